"""What patients took back by a reply, a call or a complaint: HOME/withdrawals.jsonl, one line each, in canonical JSON.

The list stands beside the hospital's own consents until those say the same, and can only withdraw: it is one more
source, heard at the very next computation. Identifiers stand in it as they were written, so that they can be matched
loosely; the file is for its owner alone. ``withdrawals.head`` beside it says how far it had grown.

    {"at":"2026-12-01T09:00:00+00:00","channel":"","consent":"contact","patient":"P-17","person":"","reason":"",
     "record":"…","why":"stop"}
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from wardround.client.connectors.kinds import Kind
from wardround.client.connectors.source import TablePlace, TableSource
from wardround.client.connectors.table_format import TableFormat
from wardround.client.connectors.withdrawals_head import (
    head_of,
    keep_list_head,
    read_list_head,
    require_grown,
)
from wardround.protocol.errors import ConfigurationError, TableError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.installed import installed_version
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import is_line
from wardround.protocol.turns import turn_in

WITHDRAWALS = "withdrawals.jsonl"
LARGEST_LIST, LARGEST_LINE, LONGEST_REASON = 2**26, 4096, 500
ALL = "all"
CONSENTS = ("contact", "learn", "personalise", ALL)
AGAIN = "again"
"""What a line is that a person adds where a patient says yes again: it lifts that patient's lines before it."""
PAGE_STOP, PAGE, PAGE_AGAIN = "page_stop", "page", "page_again"
"""What came by the patients' page: no contact any more; no more of one thing, or a pause; that again.

``PAGE_AGAIN`` lifts ``PAGE`` alone, of the same thing: the page can undo what the page did, and grants nothing.
"""
WHYS = ("stop", "bounce", "complaint", "refusal", AGAIN, PAGE_STOP, PAGE, PAGE_AGAIN)
_LATER_KEYS = ("topic", "until")
"""Keys of a line that are left out where they are empty: lists of before have none."""


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """One patient's word. consent: of ``CONSENTS``. channel: what of *contact* is taken back, empty for all of it.

    topic: the same, of what messages are about. until: of a pause, the day on which messages may come again, ISO.
    record: SHA-256 of what it was read from, so that a file that is read twice counts once. person, reason: who took
    it down, and why, where a person did.
    """

    patient: str = field(repr=False)
    consent: str
    channel: str = ""
    topic: str = ""
    until: str = ""
    why: str
    at: datetime
    record: str = ""
    person: str = ""
    reason: str = field(default="", repr=False)

    @property
    def is_all_contact(self) -> bool:
        """Whether nothing may be sent any more: neither one channel alone, nor one topic, nor for a time."""
        return self.consent in ("contact", ALL) and not (self.channel or self.topic or self.until)


def in_force(rows: Sequence[Withdrawal]) -> tuple[Withdrawal, ...]:
    """Give what still stands: all lines but those that a later ``again`` lifts, of the same identifier and consent."""
    return tuple(_parted(rows)[0])


class WithdrawalList:
    """The file. A crash leaves it as it was, or with the new lines."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made with the first line."""
        self.path = path

    def read(self) -> tuple[Withdrawal, ...]:
        """Give all lines, oldest first; TableError where the file is not what this class wrote.

        Nothing falls back to an empty or an older list: whoever withdrew must not be forgotten because a byte was lost,
        or a file was put back.
        """
        # The head first: a line that is added in between only makes the list longer.
        head = read_list_head(self.path)
        try:
            content = read_bounded(self.path, LARGEST_LIST)
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise TableError(f"withdrawals={self.path}: cannot be read ({error.strerror})") from error
        require_grown(self.path, content, head)
        if len(content) > LARGEST_LIST or content[-1:] not in (b"", b"\n"):
            raise TableError(f"withdrawals={self.path}: is cut or too large; restore it from the newest copy")
        return tuple(self._row(line, n) for n, line in enumerate(content.split(b"\n")[:-1], 1))

    def standing(self) -> tuple[Withdrawal, ...]:
        """Give what stands now."""
        return in_force(self.read())

    def add(self, rows: Sequence[Withdrawal], latest: Sequence[datetime] = ()) -> int:
        """Keep new lines durably, each record once; how many were new. ConfigurationError where they cannot be kept.

        latest: of each row, when at the latest it was said. A record that a person lifted since counts anew where it
        may have been said after that: it may be another word of the patient, and no opt-out is lost.
        """
        with turn_in(self.path.parent, self._unwritable):
            known = self.read()
            new = _new_lines(known, rows, latest)
            content = b"".join(_line(row) + b"\n" for row in (*known, *new))
            # Behind it is the head that a full disk did not take: the list alone could be put back unseen.
            if not new and (not known or read_list_head(self.path) == head_of(content)):
                return 0
            # By the reader's own checks: nothing is written that could not be read again.
            for number, row in enumerate(new, len(known) + 1):
                self._row(_line(row), number)
            try:
                if new:
                    write_durably(self.path, content, 0o600)
                keep_list_head(self.path, content)
            except OSError as error:
                raise ConfigurationError(
                    f"withdrawals={self.path}: cannot be written ({error.strerror}); free the disk or make it "
                    "writable, then run it again: what was kept counts once"
                ) from error
        return len(new)

    def _unwritable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(f"withdrawals={self.path}: cannot be written ({error.strerror})")

    def _row(self, line: bytes, number: int) -> Withdrawal:
        row = _read_line(line)
        if row is None and _of_another_release(line):
            # Not "restore" at once: whoever withdrew since that copy would be forgotten.
            raise TableError(
                f"withdrawals={self.path}: line {number} says what this release ({installed_version()}) does not "
                "know: a newer release wrote it, or it was altered; install the newest release that was ever used in "
                "this home, and restore the newest copy only where that says the same"
            )
        if row is None:
            raise TableError(
                f"withdrawals={self.path}: line {number} is not what inbound writes; restore the newest copy"
            )
        return row


def _new_lines(
    known: Sequence[Withdrawal], rows: Sequence[Withdrawal], latest: Sequence[datetime]
) -> list[Withdrawal]:
    _, lifted = _parted(known)
    records = {row.record for row in known if row.record}
    new: list[Withdrawal] = []
    for place, row in enumerate(rows):
        again = lifted.get(row.record)
        if row.record not in records or (
            again is not None and place < len(latest) and latest[place] >= again
        ):
            new.append(row)
            records |= {row.record} - {""}
            lifted.pop(row.record, None)
    return new


def _parted(rows: Sequence[Withdrawal]) -> tuple[list[Withdrawal], dict[str, datetime]]:
    """Part lines into what stands, and the records that do not any more, with the time at which they were lifted."""
    standing: list[Withdrawal] = []
    lifted: dict[str, datetime] = {}
    for row in rows:
        if row.why not in (AGAIN, PAGE_AGAIN):
            standing.append(row)
            lifted.pop(row.record, None)
            continue
        gone = [one for one in standing if _lifts(row, one)]
        lifted |= {one.record: row.at for one in gone if one.record}
        standing = [one for one in standing if not _lifts(row, one)]
    return standing, lifted


def _lifts(row: Withdrawal, one: Withdrawal) -> bool:
    """Whether a line that says yes again takes back another one."""
    if row.patient != one.patient:
        return False
    if row.why == AGAIN:
        return row.consent in (ALL, one.consent)
    same = (row.channel, row.topic) == (one.channel, one.topic)
    return one.why == PAGE and one.consent == row.consent and same


def _line(row: Withdrawal) -> bytes:
    plain = {key: value for key, value in asdict(row).items() if value or key not in _LATER_KEYS}
    return canonical_json({**plain, "at": row.at.astimezone(UTC).isoformat(timespec="seconds")})


def _read_line(line: bytes) -> Withdrawal | None:
    """Read a line in its one spelling; None where it is none."""
    try:
        plain = read_json(line, LARGEST_LINE)
        if canonical_json(plain) != line:
            return None
        row = Withdrawal(**{**plain, "at": datetime.fromisoformat(plain["at"])})
        day = row.until == "" or date.fromisoformat(row.until).isoformat() == row.until
    except (ValueError, TypeError, KeyError):
        return None
    texts = is_line(row.patient) and all(
        text == "" or is_line(text, LONGEST_REASON)
        for text in (row.channel, row.topic, row.record, row.person, row.reason)
    )
    known = row.consent in CONSENTS and row.why in WHYS and row.at.tzinfo is not None
    return row if texts and known and day else None


def _of_another_release(line: bytes) -> bool:
    """Whether a line has all that every line has, in its one spelling, and a key or a word that is not of these."""
    try:
        plain = read_json(line, LARGEST_LINE)
        spelt = canonical_json(plain) == line
    except ValueError:
        return False
    keys = set(Withdrawal.__dataclass_fields__)
    if not (spelt and isinstance(plain, dict) and plain.keys() >= keys - {*_LATER_KEYS}):
        return False
    return not plain.keys() <= keys or plain["why"] not in WHYS or plain["consent"] not in CONSENTS


@dataclass(frozen=True, eq=False)
class WithWithdrawals:
    """A hospital's tables with its own list of withdrawals beside them. The tables themselves are given as they are."""

    tables: TableSource
    list: WithdrawalList

    @property
    def timezone(self) -> str:
        """Name the hospital's own time zone."""
        return self.tables.timezone

    def has(self, table: str) -> bool:
        """Whether the mapping names this table."""
        return self.tables.has(table)

    def place(self, table: str) -> TablePlace:
        """Give the table's part of the mapping."""
        return self.tables.place(table)

    def format(self, table: str) -> TableFormat:
        """Say how the table's cells are written."""
        return self.tables.format(table)

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Name the tables' files, and the list's: what is kept warm is read anew when either changes."""
        files = self.tables.files()
        # Empty for a database, and it must stay so: its tables are read in every round, and the list with them.
        return {**files, "withdrawals": (self.list.path,)} if files and self.list.path.exists() else files

    def kinds(self, table: str) -> dict[str, Kind]:
        """Say what each column holds."""
        return self.tables.kinds(table)

    def snapshot(self) -> "WithWithdrawals":
        """Give the tables as of one time, and the list as it is whenever it is asked."""
        return WithWithdrawals(self.tables.snapshot(), self.list)

    def read(self, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Read a table."""
        return self.tables.read(table, columns)

    def withdrawn(self) -> tuple[str, ...]:
        """Give the identifiers, as written, of patients who no longer want to be learned from."""
        return tuple({row.patient: None for row in self.list.standing() if row.consent in ("learn", ALL)})
