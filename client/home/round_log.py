"""How each round was computed, for the hospital's own people: from the tables, or as noise alone, and why.

    HOME/rounds.jsonl   one line of JSON per computed round: time, study, account, round, fault ("" for none); and one,
                        with "late": true, where a round began to wait for tables that could not be reached

Nothing of it leaves. It stands beside the ledger and not in it: what tables hold is in no entry, head or export. A line
is written before the release is stored, with or without a fault and of one length, so that neither a kill nor
the time of writing makes a difference. Alerts read the same lines.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from wardround.protocol.errors import WardroundError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.terms.terms import ACCOUNTS, RoundPlan
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import is_name, visible

logger = logging.getLogger("wardround.hospital")

LINE_BYTES, MOST_LINES = 1024, 4096
_LONGEST_FAULT = 400


@dataclass(frozen=True, kw_only=True)
class ComputedRound:
    """One line. fault: why noise alone was sent, without any patient's value; empty where the tables were used.

    late: nothing was computed yet, and ``fault`` says why the tables could not be reached.
    """

    time: datetime
    study: str
    account: str
    round: int
    fault: str
    late: bool = False


@dataclass(frozen=True, kw_only=True)
class TablesAway:
    """A round of one study and account that waits for tables, and since when."""

    study: str
    account: str
    round: int
    since: datetime
    why: str


@dataclass(frozen=True, kw_only=True)
class NoiseAlone:
    """Rounds of one study and account that were answered with noise alone, up to the last one computed."""

    study: str
    account: str
    first_round: int
    last_round: int
    since: datetime
    last: datetime
    fault: str


class RoundLog:
    """Appends lines, and forgets the oldest half when there are too many."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made with the first line."""
        self._path = path

    def note(self, plan: RoundPlan, fault: str, now: datetime) -> None:
        """Write a line durably; a disk that takes none changes no answer, and is logged."""
        self._write(_line(plan, fault, now))

    def note_late(self, plan: RoundPlan, why: str, now: datetime) -> None:
        """Write a line where this account of a study did not wait for its tables already: it asks again and again."""
        waiting = {(one.study, one.account) for one in tables_away(self.read())}
        if (visible(plan.study, 64), plan.account) not in waiting:
            self._write(_line(plan, why, now, late=True))

    def _write(self, line: bytes) -> None:
        try:
            self._append(line)
        except (OSError, WardroundError) as error:
            logger.warning("%s cannot be written (%s)", self._path.name, type(error).__name__)

    def _append(self, line: bytes) -> None:
        self._forget_oldest()
        # One write of one length, and fsync, with a fault and without: the time it takes tells nothing.
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)

    def _forget_oldest(self) -> None:
        """Where there are too many lines, put the newest half in the file's place."""
        if not self._path.is_file() or self._path.stat().st_size < MOST_LINES * LINE_BYTES:
            return
        # Lines have one length: a cut at this place falls between two.
        newest = self._path.read_bytes()[-(MOST_LINES * LINE_BYTES // 2) :]
        write_durably(self._path, newest, 0o600)

    def read(self) -> list[ComputedRound]:
        """Give the lines, oldest first; what a crash or another hand left unreadable is left out."""
        try:
            content = read_bounded(self._path, 2 * MOST_LINES * LINE_BYTES)
        except OSError:
            return []
        return [one for line in content.split(b"\n") for one in _parsed(line)]


def tables_away(lines: Sequence[ComputedRound]) -> list[TablesAway]:
    """Give the studies and accounts whose last round waits for tables that could not be reached."""
    return [
        TablesAway(study=study, account=account, round=own[-1].round, since=own[-1].time, why=own[-1].fault)
        for (study, account), own in _by_account(lines)
        if own[-1].late
    ]


def noise_alone(lines: Sequence[ComputedRound]) -> list[NoiseAlone]:
    """Give the faults that stand: of each study and account whose last computed round was noise alone."""
    found = []
    for (study, account), own in _by_account([one for one in lines if not one.late]):
        run = list(takewhile(lambda one: one.fault, reversed(own)))
        if run:
            last, first = run[0], run[-1]
            found.append(
                NoiseAlone(
                    study=study,
                    account=account,
                    first_round=first.round,
                    last_round=last.round,
                    since=first.time,
                    last=last.time,
                    fault=last.fault,
                )
            )
    return found


def _by_account(lines: Sequence[ComputedRound]) -> Iterator[tuple[tuple[str, str], list[ComputedRound]]]:
    for key in dict.fromkeys((one.study, one.account) for one in lines):
        yield key, [one for one in lines if (one.study, one.account) == key]


def _line(plan: RoundPlan, fault: str, now: datetime, *, late: bool = False) -> bytes:
    plain = {
        "time": now.astimezone(UTC).isoformat(timespec="seconds"),
        "study": visible(plan.study, 64),
        "account": plan.account,
        "round": plan.round,
        # ASCII, so that characters are bytes and every line has the same length.
        "fault": visible(fault, _LONGEST_FAULT).encode("ascii", "replace").decode("ascii"),
        # An earlier release passes over such a line, and reads all others.
        **({"late": True} if late else {}),
    }
    # A line begins anew: the one before may have been cut by a crash.
    return b"\n" + json.dumps(plain).encode()[: LINE_BYTES - 2].ljust(LINE_BYTES - 2) + b"\n"


def _parsed(line: bytes) -> Iterator[ComputedRound]:
    try:
        plain = read_json(line, LINE_BYTES)
        one = ComputedRound(**{**plain, "time": datetime.fromisoformat(plain["time"])})
        texts = is_name(one.study) and isinstance(one.fault, str) and type(one.late) is bool
        if texts and one.account in ACCOUNTS and type(one.round) is int and one.time.tzinfo is not None:
            yield one
    except (ValueError, TypeError, KeyError):
        return
