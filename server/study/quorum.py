"""Ask the hospitals for one round, or one evaluation, until a quorum has answered: repeats are free."""

import time
from collections.abc import Callable
from typing import TypeVar

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.retry import Backoff, LastLine
from wardround.server.study.served import Attendance, ServedStudy, attendance_facts, attendance_line

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0

Answered = TypeVar("Answered")


class Stopped(Exception):
    """The operator stopped the study between two askings."""


def waiting(study: ServedStudy, wait_seconds: float) -> Backoff:
    """Make the pauses of one wait; they end after ``wait_seconds``, and early where the study is stopped."""
    return Backoff(
        FIRST_PAUSE_SECONDS,
        LONGEST_PAUSE_SECONDS,
        give_up_seconds=wait_seconds,
        stopped=study.folder.stop.exists,
    )


class WaitedInVain(ConfigurationError):
    """Too few have answered within the time that the operator wants to wait."""


def ask_until_quorum(
    study: ServedStudy,
    ask: Callable[[], tuple[Attendance, Answered]],
    what: str,
    *,
    round_number: int,
    event: str,
    wait_seconds: float,
) -> tuple[Answered, float]:
    """Ask until a quorum has answered; give what came of it, and the seconds that the last asking took.

    ask: asks every hospital once, and gives who answered and what their answers make. what, event: how the log
    names an asking below quorum. Stopped where the operator stops the study; ConfigurationError after
    ``wait_seconds`` in vain.
    """
    return ask_until(
        study,
        ask,
        lambda who, _: len(who.accepted) >= study.quorum,
        what,
        need=f"quorum {study.quorum}",
        round_number=round_number,
        event=event,
        wait_seconds=wait_seconds,
    )


def ask_until(
    study: ServedStudy,
    ask: Callable[[], tuple[Attendance, Answered]],
    enough: Callable[[Attendance, Answered], bool],
    what: str,
    *,
    need: str,
    round_number: int,
    event: str,
    wait_seconds: float,
    sent: str = "a release",
) -> tuple[Answered, float]:
    """Ask until what has come is enough, as ``ask_until_quorum`` does. need: says in words what would be enough."""
    backoff, last = waiting(study, wait_seconds), LastLine()
    while True:
        begun = time.monotonic()
        who, answered = ask()
        # Before the look for a stop: these releases are charged, so the round is closed with them first.
        if enough(who, answered):
            return answered, time.monotonic() - begun
        line = f"{what}: {attendance_line(who, sent)}, {need}"
        # A wait of an hour would otherwise fill the log with one line per asking.
        if last.differs(line):
            study.log.write(event, f"{line}; asking again", round=round_number, **attendance_facts(who))
        if study.folder.stop.exists():
            raise Stopped
        if not backoff.sleep():
            raise WaitedInVain(
                f"{line}, after {wait_seconds:.0f} s; fix this, then resume: charged releases are resent at no "
                "further privacy cost"
            )
