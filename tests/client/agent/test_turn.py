"""Who waits for a turn learns of the turn before by whole delays only."""

from types import SimpleNamespace

import pytest

from wardround.client.agent import turn
from wardround.client.agent.turn import Turns


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by what is slept."""
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    clock.sleep = lambda seconds: setattr(clock, "now", clock.now + seconds)
    monkeypatch.setattr(turn, "time", clock)
    return clock


@pytest.mark.parametrize("computed", [0.0, 0.01, 0.5, 1.999, 2.0])
def test_the_next_turn_begins_at_a_whole_delay_however_long_this_one_computed(clock, computed):
    turns = Turns()
    with turns.take():
        turns.reads_tables(2.0)
        clock.now += computed
    assert clock.now == 102.0


def test_a_turn_that_reads_no_table_ends_at_once_and_forgets_the_last_ones_delay(clock):
    turns = Turns()
    with turns.take():
        turns.reads_tables(2.0)
    with turns.take():
        clock.now += 0.25
    assert clock.now == 102.25


def test_a_fault_within_a_turn_keeps_to_whole_delays_and_lets_the_next_in(clock):
    turns = Turns()

    def fail():
        with turns.take():
            turns.reads_tables(2.0)
            clock.now += 2.5
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert clock.now == 104.0
    with turns.take():
        pass
