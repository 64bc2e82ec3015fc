"""Turns at a lock: one after the other, and nobody waits for ever."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.lock_holder import held_by_another
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.turns import in_turn, turn_in


def test_in_turn_one_waits_for_the_other(tmp_path: Path) -> None:
    seen: list[str] = []
    path, inside = tmp_path / "claim.lock", threading.Event()

    def first() -> None:
        with in_turn(path):
            inside.set()
            time.sleep(0.2)
            seen.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(10)
    with in_turn(path):
        seen.append("second")
    thread.join()
    assert seen == ["first", "second"]


def test_a_lock_that_cannot_be_taken_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "outreach.lock").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be taken"), in_turn(tmp_path / "outreach.lock"):
        raise AssertionError("a folder was locked")


def test_who_holds_a_lock_for_too_long_is_named_and_waited_for_no_longer(tmp_path: Path) -> None:
    """``outreach stop`` waited for ever for an export that somebody had stopped at a terminal."""
    path = tmp_path / "outreach.lock"
    path.touch()
    with (
        held_by_another(path) as process,
        pytest.raises(ConfigurationError, match=rf"process {process.pid} has held .*for 0\.1 s"),
        in_turn(path, 0.1),
    ):
        raise AssertionError("two hold it")
    with in_turn(path, 0.1):
        pass


def test_a_folders_lock_that_a_stopped_program_holds_is_waited_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Approvals, withdrawals, ledger and accounts waited for ever for a command that was stopped with Ctrl-Z."""
    monkeypatch.setattr("wardround.protocol.turns.MOMENT_SECONDS", 0.1)
    with held_by_another(tmp_path) as process:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        with pytest.raises(TimeoutError) as told, turn_in(tmp_path):
            raise AssertionError("two hold it")
        assert told.value.strerror is not None
        assert f"process {process.pid}, which is stopped, has held" in told.value.strerror
    with turn_in(tmp_path):
        pass
