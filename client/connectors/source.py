"""A hospital's tables, and the one small port through which they are read.

A source is asked for the contract's columns and gives nothing else. ``Tables`` holds what it gave, not yet
parsed, under the contract's names, with what is needed to parse it: each table's format and the hospital's time zone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.kinds import Kind
from wardround.client.connectors.patient_form import ANY_COLUMN, AS_TEXT, PatientColumn, PatientForm
from wardround.client.connectors.table_format import PLAIN, TableFormat
from wardround.protocol.contract.contract import HOSPITAL_COLUMN, TABLES, Contract
from wardround.protocol.errors import TableError

Frame = pl.DataFrame | pl.LazyFrame
DAMAGED = "damaged:"
"""Column that a source may add: null for a row that was read whole.

In a row that was not, every other cell is null, and this one holds what may be the patient's identifier, one reading
per line: who withdraws must be heard all the same.
"""

OUTREACH_TABLES: Mapping[str, tuple[str, ...]] = {
    "preferences": ("kind", "value", "wanted", "said_at"),
    "vetoes": ("reason", "starts_at", "ends_at"),
    "addresses": ("channel", "address", "since"),
    "authorisations": ("paid_by", "topic", "signed_at", "revoked_at", "expires_at"),
}
"""Tables that a mapping may name and no contract reads: outreach alone does. Their columns, beside ``patient``."""

TRIGGER_TABLES: Mapping[str, tuple[str, ...]] = {
    "appointments": ("starts_at", "status"),
    "recalls": ("kind", "due_at", "done_at"),
    "interest": ("topic", "seen_at"),
    "care_teams": ("professional", "channel", "address"),
    "details": ("placeholder", "value"),
}
"""The same, of what makes a message due (``client.outreach.triggers``), and of what fills it in."""


@dataclass(frozen=True)
class TablePlace:
    """One table of a mapping.

    name: the path, or the name in the database. columns: the contract's name → the hospital's own, where they
    differ. values: per contract's column, the hospital's word → the contract's. patient: this table's column of the
    patient's identifier, under the hospital's own name, and how it is written.
    """

    name: str
    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    format: TableFormat = PLAIN
    patient: PatientColumn = ANY_COLUMN

    def within(self, timezone: str) -> "TablePlace":
        """Give the place with this zone for times that have none, unless its format names another."""
        return replace(self, format=replace(self.format, timezone=self.format.timezone or timezone))


class TableSource(Protocol):
    """Where tables come from; files and databases alike.

    Guarantee that every source gives and tests/client/connectors/row_local.py tries: whatever stands in one
    row's cells, the others arrive unchanged, and nothing is raised.
    """

    @property
    def timezone(self) -> str:
        """Name the hospital's own time zone (IANA)."""

    def has(self, table: str) -> bool:
        """Whether the hospital has named this table in its mapping."""

    def place(self, table: str) -> TablePlace:
        """Give the table's part of the mapping, from settings alone: nothing of the table is touched."""

    def format(self, table: str) -> TableFormat:
        """Say how the table's cells are written: what was set, and what the source says of itself; never raises."""

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Name the files that hold each table: they change when the table does. Empty for a database."""

    def kinds(self, table: str) -> dict[str, Kind]:
        """Say what each column holds, by the hospital's own names and from declared types: no row is looked at.

        TableError as ``read`` raises it.
        """

    def withdrawn(self) -> tuple[str, ...]:
        """Give identifiers, as written, of patients who withdrew beside the tables (``connectors.withdrawals``).

        TableError where that list cannot be read.
        """

    def snapshot(self) -> "TableSource":
        """Give the source as of one time, where it can: all that is read of it shows the same state."""

    def read(self, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Read exactly these columns, under the contract's names, and ``DAMAGED`` where there is.

        In any order: the gate's results never depend on it. columns: the patient's identifier first. TableError, with
        the remedy, where the table as a whole cannot be read; TableAway where it cannot be reached.
        """


class _Mapped(Protocol):
    @property
    def places(self) -> Mapping[str, TablePlace]: ...

    @property
    def timezone(self) -> str: ...


class MappedSource:
    """What every source knows from its mapping alone. places: by table; timezone: the hospital's own."""

    def has(self: _Mapped, table: str) -> bool:
        """Whether the hospital has named this table in its mapping."""
        return table in self.places

    def place(self: _Mapped, table: str) -> TablePlace:
        """Give the table's part of the mapping."""
        return self.places[table].within(self.timezone)

    def format(self: _Mapped, table: str) -> TableFormat:
        """Say how the table's cells are written, as the mapping has it."""
        return self.places[table].within(self.timezone).format

    def withdrawn(self) -> tuple[str, ...]:
        """Nobody: all that these tables know is in them."""
        return ()


@dataclass(frozen=True, eq=False)
class Tables:
    """Messages, patients, consents, assessments and arms with the contract's column names, of any types.

    formats: how each table's cells are written (plain where a table is not named). patient_form: how identifiers are
    written, in all tables. timezone: the hospital's own, in which days begin. withdrawn: identifiers, as written, of
    patients who withdrew beside the tables: nothing is learned from whomever they could mean.
    In a simulation the whole federation passes at once: each table then has an extra column
    ``hospital``.
    """

    messages: Frame = field(repr=False)
    patients: Frame | None = field(default=None, repr=False)
    consents: Frame | None = field(default=None, repr=False)
    assessments: Frame | None = field(default=None, repr=False)
    arms: Frame | None = field(default=None, repr=False)
    formats: Mapping[str, TableFormat] = field(default_factory=dict)
    timezone: str = "UTC"
    patient_form: PatientForm = AS_TEXT
    withdrawn: tuple[str, ...] = field(default=(), repr=False)

    @property
    def by_hospital(self) -> bool:
        """Whether the tables are those of a whole federation."""
        return HOSPITAL_COLUMN in self.messages.lazy().collect_schema()

    def format(self, table: str) -> TableFormat:
        """Say how a table's cells are written."""
        return self.formats.get(table, PLAIN)

    def part(self, table: str, contract: Contract) -> pl.LazyFrame | None:
        """Select the contract's columns of one table (with ``hospital`` and ``DAMAGED`` where they are there).

        None where there is no such table. TableError names a column that is missing.
        """
        frame: Frame | None = getattr(self, table)
        if frame is None:
            return None
        present = frame.lazy().collect_schema().names()
        wanted = contract.columns(table) + ((HOSPITAL_COLUMN,) if self.by_hospital else ())
        for column in wanted:
            if column not in present:
                raise TableError(f"{table}: {missing_column(column, present)}")
        damaged = (DAMAGED,) if DAMAGED in present else ()
        return frame.lazy().select(list(dict.fromkeys(wanted + damaged)))


def missing_column(column: str, present: Sequence[str]) -> str:
    """Say which column is missing, what comes close, and what to do."""
    return missing_columns([column], present)


def missing_columns(columns: Sequence[str], present: Sequence[str]) -> str:
    """Say which columns are missing, what comes close to each, and what to do; all in one line."""
    if len(columns) == 1:
        close = get_close_matches(columns[0], present, n=3) or present[:8]
        there = f"; there is {', '.join(close)}" if close else ""
        return f"column {columns[0]} is missing{there}; add it, or name the hospital's column in the mapping"
    listed = []
    for column in columns:
        close = get_close_matches(column, present, n=1)
        listed.append(f"{column} (there is {close[0]})" if close else column)
    there = f"; there is {', '.join(present[:8])}" if present else ""
    return f"columns {', '.join(listed)} are missing{there}; add them, or name the hospital's columns in the mapping"


def read_tables(source: TableSource, contract: Contract) -> Tables:
    """Read what the contract asks for, lazily; only the messages must be there.

    All tables of a database are read as of one time. TableError where the contract needs the patients or the consents
    and the mapping names none.
    """
    source = source.snapshot()
    frames: dict[str, pl.LazyFrame | None] = {}
    formats: dict[str, TableFormat] = {}
    for table in TABLES:
        columns = contract.columns(table)
        frames[table] = None
        if columns and source.has(table):
            place = source.place(table)
            frames[table] = with_words(source.read(table, columns), place)
            # From the mapping alone: what a file says of itself is for people, and may cost a whole spreadsheet.
            formats[table] = place.format
        needed = contract.needs_consents if table == "consents" else bool(columns)
        if needed and frames[table] is None:
            raise TableError(f"{table}: no such table in the mapping, but contract {contract.name} needs it")
    messages = frames["messages"]
    if messages is None:
        raise TableError("messages: no such table in the mapping")
    others = {table: frames[table] for table in TABLES if table != "messages"}
    form = source.place("messages").patient.form
    return Tables(
        messages,
        **others,
        formats=formats,
        timezone=source.timezone,
        patient_form=form,
        withdrawn=source.withdrawn(),
    )


def with_words(frame: pl.LazyFrame, place: TablePlace) -> pl.LazyFrame:
    """Write the contract's words in the place of the hospital's own, and null where it has a word for missing.

    What is no such word stays as it is.
    """
    present = frame.collect_schema()
    named = frame.with_columns(
        parsing.text(column, present[column]).replace(dict(words)).alias(column)
        for column, words in place.values.items()
        if column in present
    )
    missing = {
        spelling
        for word in place.format.missing
        for spelling in (word.strip(), word.strip().lower(), word.strip().upper(), word.strip().capitalize())
    }
    if not missing:
        return named
    columns = [(column, dtype) for column, dtype in named.collect_schema().items() if column != DAMAGED]
    return named.with_columns(
        pl.when(~parsing.text(column, dtype).is_in(sorted(missing)).fill_null(False)).then(pl.col(column))
        for column, dtype in columns
    )
