"""Pauses double up to the longest, end when the time is up or somebody stops, and lines are reported once."""

import pytest

from wardround.protocol import retry
from wardround.protocol.retry import Backoff, LastLine


class Clock:
    """Stands for the module ``time``: sleeping moves it on."""

    def __init__(self):
        self.now, self.slept = 1000.0, 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(retry, "time", found)
    return found


def pauses(backoff: Backoff, clock: Clock, count: int) -> list[float]:
    found = []
    for _ in range(count):
        before = clock.slept
        assert backoff.sleep()
        found.append(round(clock.slept - before, 9))
    return found


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_reset(clock):
    backoff = Backoff(1.0, 5.0)
    assert pauses(backoff, clock, 4) == [1.0, 2.0, 4.0, 5.0]
    backoff.reset()
    assert [backoff.next_pause() for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]


def test_the_time_runs_from_the_first_pause_and_cuts_the_last(clock):
    backoff = Backoff(1.0, 60.0, give_up_seconds=4.0)
    clock.now += 3600  # all went well meanwhile
    assert pauses(backoff, clock, 3) == [1.0, 2.0, 1.0]
    assert not backoff.sleep()
    assert clock.slept == pytest.approx(4.0)
    backoff.reset()
    assert backoff.sleep()


def test_who_may_not_wait_does_not_sleep(clock):
    assert not Backoff(1.0, 60.0, give_up_seconds=0.0).sleep()
    assert clock.slept == 0


def test_a_stop_ends_a_pause_at_once(clock):
    assert Backoff(30.0, 60.0, stopped=lambda: clock.slept > 1).sleep()
    assert 1 < clock.slept < 1.5


def test_a_line_is_new_once_until_another_comes_or_it_is_forgotten():
    last = LastLine()
    assert [last.differs(line) for line in ("a", "a", "b", "a")] == [True, False, True, True]
    last.clear()
    assert last.differs("a")
