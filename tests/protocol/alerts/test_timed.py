"""A run that a timer starts is noted, and told where it failed, broke off, or the next did not begin."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.protocol.alerts import timed
from wardround.protocol.alerts.timed import NOTE, OVERDUE_SECONDS, TIMERS, run_noted, timed_alerts
from wardround.protocol.errors import ConfigurationError

BEGIN = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "hospital.yaml").touch()
    return tmp_path


def run(home: Path, code: int = 0, at: datetime = BEGIN, hours: int | None = 24) -> int:
    options = Namespace(home=home, by_timer=hours, timer="score")
    return run_noted(options, "hospital.yaml", lambda: code, lambda: at)


def told(home: Path, now: datetime = BEGIN + timedelta(hours=1)) -> list[str]:
    return [alert.subject for alert in timed_alerts(home, "timer", now)]


def test_a_run_that_went_well_is_noted_and_nobody_is_told(home: Path) -> None:
    assert run(home) == 0
    assert told(home) == []
    note = home / TIMERS / "score" / NOTE
    assert json.loads(note.read_bytes())["code"] == 0
    assert (note.stat().st_mode & 0o777, note.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("code", [1, 2, 130])
def test_a_run_that_failed_is_told_until_one_goes_well(home: Path, code: int) -> None:
    assert run(home, code) == code
    (alert,) = timed_alerts(home, "timer", BEGIN)
    assert alert.key == "timer score"
    assert str(alert).startswith("score: the run of 2026-11-01 02:30 UTC failed. Remedy: its log says why")
    assert alert.after_seconds == 0
    # The same the next night: one alert, under one key, so nobody is told again.
    run(home, code, BEGIN + timedelta(days=1))
    assert told(home, BEGIN + timedelta(days=1)) == ["score"]
    run(home, 0, BEGIN + timedelta(days=2))
    assert told(home, BEGIN + timedelta(days=2)) == []


def test_a_run_that_raises_has_failed_and_raises(home: Path) -> None:
    def fail() -> int:
        raise OSError("of the command, which is not run again")

    with pytest.raises(OSError, match="not run again"):
        run_noted(Namespace(home=home, by_timer=24, timer="score"), "hospital.yaml", fail, lambda: BEGIN)
    assert told(home) == ["score"]


def test_a_run_that_never_began_is_told_when_it_is_overdue(home: Path) -> None:
    run(home)
    assert told(home, BEGIN + timedelta(hours=26)) == []
    (alert,) = timed_alerts(home, "timer", BEGIN + timedelta(hours=26, seconds=1))
    assert (alert.subject, alert.after_seconds) == ("score, overdue", OVERDUE_SECONDS)
    run(home, at=BEGIN, hours=24 * 7)
    assert told(home, BEGIN + timedelta(days=7)) == []


KILLED = """
import sys, time
from argparse import Namespace
from pathlib import Path
from wardround.protocol.alerts.timed import run_noted
def work():
    print("at work", flush=True)
    time.sleep(600)
    return 0
run_noted(Namespace(home=Path(sys.argv[1]), by_timer=24, timer="score"), "hospital.yaml", work)
"""


def test_a_run_that_is_killed_broke_off_and_one_that_lives_did_not(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, home], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        now = datetime.now(UTC)
        assert told(home, now) == []
        (late,) = timed_alerts(home, "timer", now + timedelta(days=2))
        assert "still runs" in late.text
        os.kill(process.pid, signal.SIGKILL)
    (alert,) = timed_alerts(home, "timer", now)
    assert "broke off" in alert.text


def test_a_look_in_the_middle_makes_a_run_wait_and_not_fail(home: Path) -> None:
    run(home, 2)
    with (home / TIMERS / "score" / timed.LOCK).open("rb") as look, ThreadPoolExecutor() as pool:
        fcntl.flock(look, fcntl.LOCK_EX)
        begun = pool.submit(run, home)
        assert told(home) == []  # held: a run that is about to begin lives
        with pytest.raises(TimeoutError):
            begun.result(0.05)
        fcntl.flock(look, fcntl.LOCK_UN)
        assert begun.result(10) == 0
    assert told(home) == []


def test_without_the_flag_or_outside_of_a_home_nothing_is_noted(home: Path, tmp_path: Path) -> None:
    assert run(home, hours=None) == 0
    (tmp_path / "other").mkdir()
    assert run(tmp_path / "other", 2) == 2
    assert run(tmp_path / "none", 2) == 2
    assert not list(tmp_path.rglob(TIMERS))


def test_a_note_that_cannot_be_written_stops_no_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / TIMERS).write_text("in the way")
    assert run(home, 0) == 0
    assert "cannot be noted" in capsys.readouterr().err


@given(
    st.binary(max_size=200)
    | st.just(b'{"began":"2026-11-01T00:00:00","every_hours":1,"ended":null,"code":0}')
)
def test_a_note_that_no_run_wrote_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("home") / TIMERS / "score"
    folder.mkdir(parents=True)
    (folder / NOTE).write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not what a run wrote; remove it"):
        list(timed_alerts(folder.parents[1], "timer", BEGIN))
