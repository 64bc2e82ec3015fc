"""Writes that Flower makes at every call: tasks expire all the same, and nothing else is left out."""

from types import SimpleNamespace

import pytest

from wardround.server.network.spared_writes import SECONDS, spare_looks_at_runs, spare_writes


class State:
    """Counts what Flower's would write."""

    looks = counts = 0
    fails = False

    def _cleanup_expired_task_tokens(self):
        if self.fails:
            raise OSError("disk")
        State.looks += 1

    def store_traffic(self, run_id, *, bytes_sent, bytes_recv):
        State.counts += 1


@pytest.fixture
def spared(monkeypatch):
    """A class of states of which looks are spared, and the time by which they are."""
    now = [100.0]
    for name in ("_cleanup_expired_task_tokens", "store_traffic"):
        monkeypatch.setattr(State, name, getattr(State, name))
    monkeypatch.setattr(State, "looks", 0)
    monkeypatch.setattr(State, "counts", 0)
    spare_writes(State, lambda: now[0])
    return State, now


def test_states_look_for_expired_tasks_once_a_second_together(spared):
    state, now = spared
    one, other = state(), state()
    for passed, looks in ((0.0, 1), (SECONDS / 2, 1), (SECONDS, 2), (1.5 * SECONDS, 2), (5 * SECONDS, 3)):
        now[0] = 100.0 + passed
        one._cleanup_expired_task_tokens()
        other._cleanup_expired_task_tokens()
        assert state.looks == looks


def test_a_look_that_failed_is_made_again_at_once(spared, monkeypatch):
    state, _ = spared
    monkeypatch.setattr(state, "fails", True)
    with pytest.raises(OSError, match="disk"):
        state()._cleanup_expired_task_tokens()
    monkeypatch.setattr(state, "fails", False)
    state()._cleanup_expired_task_tokens()
    assert state.looks == 1


def test_bytes_are_not_counted(spared):
    state, _ = spared
    state().store_traffic(7, bytes_sent=1, bytes_recv=0)
    assert state.counts == 0


def test_a_run_that_goes_on_is_looked_at_once_a_second_and_one_that_ended_each_time():
    now, looked, ended = [100.0], [], set()

    class Runs:
        def finish_task(self, run):
            ended.add(run)
            return True

    def check_abort(run, statuses, state):
        looked.append(run)
        return "Run is finished." if run in ended else None

    handlers = SimpleNamespace(check_abort=check_abort)
    spare_looks_at_runs(handlers, Runs, lambda: now[0])

    def look(run, statuses=("finished",)):
        before = len(looked)
        return handlers.check_abort(run, list(statuses), None), len(looked) - before

    assert [look(7), look(7), look(8), look(7, ("pending",))] == [(None, 1), (None, 0), (None, 1), (None, 1)]
    now[0] += SECONDS
    assert [look(8), look(8)] == [(None, 1), (None, 0)]
    assert Runs().finish_task(7)
    assert [look(7), look(7)] == [("Run is finished.", 1)] * 2, "at once, and each time"
    assert [look(8), look(8)] == [(None, 1), (None, 0)]
