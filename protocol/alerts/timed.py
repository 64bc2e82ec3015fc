"""Runs that a timer starts: each is noted in the home, so that one that failed, or never began, is told.

    HOME/timers/NAME/run.json   of the newest run: when it began, when and how it ended, and within how many hours
                                the next one must begin
    HOME/timers/NAME/lock       held by each run for as long as it lives, however it ends

What started the run (systemd, cron, an engine of containers) may know as much, but the process that tells people may
not ask it: it sees no bus of the machine, and in a container there is none. A note in the home asks nobody.
"""

import fcntl
import logging
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardround.protocol.alerts.alert import Alert
from wardround.protocol.command_line.exit_codes import FAULT, OK
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.log import report
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import is_name, zoned_time

TIMERS, NOTE, LOCK = "timers", "run.json", "lock"
GRACE = timedelta(hours=2)
"""How much later than it said a run may begin: clocks are set back in autumn, and a timer may be moved a little."""
OVERDUE_SECONDS = 3600.0
"""How long a run must be overdue: after a night in which the machine was off, it begins by itself."""
_LARGEST = 4096


@dataclass(frozen=True, kw_only=True)
class TimedRun:
    """The newest run of a timer. every_hours: within which the next begins. ended, code: None before its end."""

    began: datetime
    every_hours: int
    ended: datetime | None = None
    code: int | None = None


def run_noted(
    options: Namespace,
    settings: str,
    run: Callable[[], int],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Run a command, and note in its home how that went where a timer started it; gives the command's exit code.

    settings: a file that every home has; in another folder nothing is noted. A note that cannot be written is logged
    and stops nothing.
    """
    every = getattr(options, "by_timer", None)
    if every is None or not (options.home / settings).is_file():
        return run()
    folder = options.home / TIMERS / options.timer
    one = TimedRun(began=now(), every_hours=every)
    with ExitStack() as stack:
        _noted(folder, one, stack)
        code = FAULT
        try:
            code = run()
        finally:
            _noted(folder, replace(one, ended=now(), code=code))
    return code


def timed_alerts(home: Path, event: str, now: datetime) -> Iterator[Alert]:
    """Give an alert for each timer whose newest run failed or broke off, or whose next run did not begin.

    event: of this side's list. now: of the clock, in UTC. ConfigurationError for a note that no run wrote.
    """
    for folder in sorted(path.parent for path in (home / TIMERS).glob(f"*/{NOTE}")):
        if not is_name(folder.name):
            raise ConfigurationError(f"timers={folder}: no run wrote this; remove it")
        one, lives = _look(folder)
        yield from _of_run(folder, one, lives, event, now)


def _of_run(folder: Path, one: TimedRun, lives: bool, event: str, now: datetime) -> Iterator[Alert]:
    name, began = folder.name, f"{one.began:%Y-%m-%d %H:%M} UTC"
    if one.code != OK and not lives:
        how = "broke off" if one.ended is None else "failed"
        yield Alert(
            event=event,
            subject=name,
            text=f"{name}: the run of {began} {how}",
            remedy=f"its log says why (under systemd: journalctl -u wardround-{name}); then run it again",
        )
    if now - one.began > timedelta(hours=one.every_hours) + GRACE:
        what = "still runs" if lives else "is the last one"
        yield Alert(
            event=event,
            subject=f"{name}, overdue",
            text=f"{name}: the run of {began} {what}, and one is due every {one.every_hours} hours",
            remedy=f"look at its timer (systemctl list-timers, or cron); if nobody wants it any more, remove {folder}",
            after_seconds=OVERDUE_SECONDS,
        )


def _noted(folder: Path, one: TimedRun, stack: ExitStack | None = None) -> None:
    """Write the note. stack: holds the lock from before the note, which says that the run lives."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stack is not None:
            lock = stack.enter_context((folder / LOCK).open("a"))
            # Shared: a run waits for nobody but a look, which holds it for a moment.
            fcntl.flock(lock, fcntl.LOCK_SH)
        write_durably(folder / NOTE, canonical_json(_plain(one)), 0o600)
    except OSError as error:
        report(f"timers={folder}: this run cannot be noted ({error.strerror})", logging.WARNING)


def _look(folder: Path) -> tuple[TimedRun, bool]:
    """Give the newest run, and whether it lives. A lock that is held in another container is seen too."""
    try:
        with (folder / LOCK).open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read(folder / NOTE), True
            return _read(folder / NOTE), False
    except FileNotFoundError:
        return _read(folder / NOTE), False  # of a backup, which takes no locks along
    except OSError as error:
        raise ConfigurationError(f"timers={folder}: cannot be read ({error.strerror})") from error


def _read(path: Path) -> TimedRun:
    try:
        return _run(read_json(read_bounded(path, _LARGEST), _LARGEST))
    except OSError as error:
        raise ConfigurationError(f"timers={path}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"timers={path}: is not what a run wrote; remove it") from error


def _plain(one: TimedRun) -> dict[str, object]:
    ended = None if one.ended is None else one.ended.isoformat()
    return {"began": one.began.isoformat(), "every_hours": one.every_hours, "ended": ended, "code": one.code}


def _run(plain: Mapping[str, object]) -> TimedRun:
    began, every, ended, code = (plain[key] for key in ("began", "every_hours", "ended", "code"))
    if not isinstance(every, int) or not isinstance(code, int | None):
        raise ValueError("hours and exit code are whole numbers")
    end = None if ended is None else zoned_time(str(ended))
    return TimedRun(began=zoned_time(str(began)), every_hours=every, ended=end, code=code)
