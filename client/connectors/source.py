"""A hospital's tables, and the one small port through which they are read.

A source is asked for the contract's columns and gives nothing else. ``Tables`` holds what it gave, not yet
parsed, under the contract's names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

import polars as pl

from wardround.protocol.contract.contract import HOSPITAL_COLUMN, Contract
from wardround.protocol.errors import TableError

Frame = pl.DataFrame | pl.LazyFrame


class TableSource(Protocol):
    """Where tables come from; files and databases alike."""

    def has(self, table: str) -> bool:
        """Whether the hospital has named this table in its mapping."""

    def read(self, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Read exactly these columns, under the contract's names; TableError with the remedy if it cannot."""


@dataclass(frozen=True, eq=False)
class Tables:
    """Messages, patients and consents with the contract's column names, of any types.

    In a simulation the whole federation passes at once: each table then has an extra column ``hospital``.
    """

    messages: Frame = field(repr=False)
    patients: Frame | None = field(default=None, repr=False)
    consents: Frame | None = field(default=None, repr=False)

    @property
    def by_hospital(self) -> bool:
        """Whether the tables are those of a whole federation."""
        return HOSPITAL_COLUMN in self.messages.lazy().collect_schema()

    def part(self, table: str, contract: Contract) -> pl.LazyFrame | None:
        """Select the contract's columns of one table (and ``hospital``); None where there is no such table.

        TableError names a column that is missing.
        """
        frame: Frame | None = getattr(self, table)
        if frame is None:
            return None
        wanted = contract.columns(table) + ((HOSPITAL_COLUMN,) if self.by_hospital else ())
        present = frame.lazy().collect_schema().names()
        for column in wanted:
            if column not in present:
                raise TableError(f"{table}: {missing_column(column, present)}")
        return frame.lazy().select(list(dict.fromkeys(wanted)))


def missing_column(column: str, present: list[str]) -> str:
    """Say which column is missing, what comes close, and what to do."""
    close = get_close_matches(column, present, n=3) or present[:8]
    there = f"; there is {', '.join(close)}" if close else ""
    return f"column {column} is missing{there}; add it, or name the hospital's column in the mapping"


def read_tables(source: TableSource, contract: Contract) -> Tables:
    """Read what the contract asks for, lazily; only the messages must be there.

    TableError where the contract needs the patients or the consents and the mapping names none.
    """
    frames: dict[str, pl.LazyFrame | None] = {}
    for table in ("messages", "patients", "consents"):
        columns = contract.columns(table)
        frames[table] = source.read(table, columns) if columns and source.has(table) else None
        needed = contract.needs_consents if table == "consents" else bool(columns)
        if needed and frames[table] is None:
            raise TableError(f"{table}: no such table in the mapping, but contract {contract.name} needs it")
    messages = frames["messages"]
    if messages is None:
        raise TableError("messages: no such table in the mapping")
    return Tables(messages, frames["patients"], frames["consents"])


@dataclass(frozen=True)
class FileSource:
    """CSV (also ``.gz``) and Parquet files. renames: per table, the contract's name → the file's own."""

    paths: Mapping[str, Path]
    renames: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def has(self, table: str) -> bool:
        """Whether a path is named for this table."""
        return table in self.paths

    def read(self, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Scan the file; CSV cells stay text until they are parsed, so that no type is guessed."""
        path = Path(self.paths[table])
        frame = scan_file(path, table)
        try:
            present = frame.collect_schema().names()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise TableError(f"{table}: {path.name} cannot be read ({type(error).__name__})") from None
        rename = self.renames.get(table, {})
        named = [rename.get(column, column) for column in columns]
        # A file without a header has a patient's cells in its place: unless one name is right, show none.
        header = present if set(named) & set(present) else []
        for name in named:
            if name not in present:
                raise TableError(f"{table}: {path.name}: {missing_column(name, header)}")
        return frame.select(pl.col(rename.get(column, column)).alias(column) for column in columns)


def scan_file(path: Path, table: str = "messages") -> pl.LazyFrame:
    """Scan a CSV (plain or ``.gz``) with every cell as text, or a Parquet file; TableError otherwise."""
    if not path.is_file():
        raise TableError(f"{table}: no file {path}; correct the path")
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        return pl.scan_parquet(path, glob=False)
    if name.endswith((".csv", ".txt")):
        return pl.scan_csv(path, infer_schema=False, glob=False)
    raise TableError(f"{table}: {path.name}: must end in .csv, .csv.gz or .parquet")
