"""Tables in any database that has an ODBC driver, read through arrow-odbc as a stream of column batches.

Every cell is asked for as text: a driver that meets a cell which is not of its column's type ends the whole process
otherwise (arrow-odbc 10.6, a value in a binary column), and no cell may do that. Text comes as UTF-16, in which a byte
that is none is a mark in its own cell.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from wardround.client.connectors.kinds import Kind
from wardround.client.connectors.odbc_access import OdbcAccess
from wardround.client.connectors.odbc_dialects import DIALECTS, Dialect
from wardround.client.connectors.odbc_listing import list_odbc
from wardround.client.connectors.odbc_reader import open_batches, open_reader
from wardround.client.connectors.source import MappedSource, TablePlace, missing_column
from wardround.client.connectors.stream import lazy_frame
from wardround.protocol.errors import TableAway, TableError


@dataclass(frozen=True)
class OdbcSource(MappedSource):
    """places: tables or views named as ``schema.table``. environment: where a password may stand.

    Each table is read by one statement of its own, at its own time: ODBC has no snapshot that connections share.
    """

    access: OdbcAccess
    places: Mapping[str, TablePlace]
    environment: Mapping[str, str] = field(repr=False)
    timezone: str = "UTC"

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Give nothing: a database is read for every round."""
        return {}

    def snapshot(self) -> "OdbcSource":
        """Give the source itself: each of its tables is read at its own time."""
        return self

    def read(self, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Stream these columns, as text, under the contract's names; exact and floating numbers become Float64.

        TableError names each column that is not there, and each whose type is no single value.
        """
        kinds = self._kinds(table, columns)
        statement = self.statement(table, columns, kinds)
        # Not the first, the patient's identifier: as a float a long number would lose digits.
        numbers = [name for name in columns[1:] if kinds[name] == "number" and self._dialect.typed]

        def read(_: list[str] | None) -> Iterator[pl.DataFrame]:
            for batch in self._batches(table, statement):
                frame = batch.rename(dict(zip(batch.columns, columns, strict=True)))
                yield frame.with_columns(pl.col(name).cast(pl.Float64, strict=False) for name in numbers)

        types = {name: pl.Float64() if name in numbers else pl.String() for name in columns}
        return lazy_frame(pl.Schema(types), read)

    def kinds(self, table: str) -> dict[str, Kind]:
        """Say what each column that this user may read holds, from the catalogue."""
        name = self.places[table].name
        found = [
            one
            for one in list_odbc(self.access, self.environment)
            if one.name == name or one.name.endswith(f".{name}")
        ]
        if len(found) != 1:
            reason = "no such table" if not found else f"{len(found)} schemas have one"
            raise TableError(f"{self._where(table)}: {reason}; write schema.table in the mapping")
        return dict(found[0].columns)

    def statement(self, table: str, columns: tuple[str, ...], kinds: Mapping[str, str]) -> str:
        """Write the one statement that is sent for a table's rows: a SELECT that lists the columns."""
        dialect, rename = self._dialect, self.places[table].columns
        cells = []
        for column in columns:
            name = rename.get(column, column)
            sure = kinds[column] in (
                ("number", "timestamp", "other") if dialect.timestamps else ("number", "other")
            )
            cell = (
                dialect.name(name) if dialect.typed and sure else dialect.bounded(name, column == columns[0])
            )
            cells.append(f"{cell} AS {dialect.name(column)}")
        return f"SELECT {', '.join(cells)} FROM {dialect.place(self.places[table].name)}"  # noqa: S608 (names are quoted)

    @property
    def _dialect(self) -> Dialect:
        return DIALECTS[self.access.dialect]

    def _kinds(self, table: str, columns: tuple[str, ...]) -> dict[str, str]:
        """Tell of each column whether it is text, number, timestamp or other, from the types that the driver states."""
        place, dialect = self.places[table], self._dialect
        named = {column: place.columns.get(column, column) for column in columns}
        listed = ", ".join(map(dialect.name, named.values()))
        where = self._where(table)
        try:
            schema = self._schema(table, listed)
        except TableAway:
            raise
        except TableError:
            # Some right may be on these columns alone, so that all columns are asked for only to say what is missing.
            present = self._schema(table, "*").names
            faults = [missing_column(name, present) for name in named.values() if name not in present]
            if faults:
                raise TableError(f"{where}: {'; '.join(faults)}") from None
            raise
        kinds = {column: _kind(kind) for column, kind in zip(columns, schema.types, strict=True)}
        faults = [
            f"column {named[column]} is binary; name a view that has it as text, as in "
            f"CAST({dialect.name(named[column])} AS CHAR(100)) AS {dialect.name(named[column])}"
            for column, kind in kinds.items()
            if kind == "binary" and dialect.typed
        ]
        if faults:
            raise TableError(f"{where}: {'; '.join(faults)}")
        return kinds

    def _schema(self, table: str, listed: str) -> Any:
        place = self._dialect.place(self.places[table].name)
        # LIMIT and TOP are some dialects' own words; this every database understands.
        statement = f"SELECT {listed} FROM {place} WHERE 1 = 0"  # noqa: S608 (names are quoted)
        return open_reader(self.access, self.environment, statement, self._where(table), as_text=False).schema

    def _batches(self, table: str, statement: str) -> Iterator[pl.DataFrame]:
        return open_batches(self.access, self.environment, statement, self._where(table))

    def _where(self, table: str) -> str:
        return f"{table}: {self.places[table].name} by ODBC"


def _kind(kind: Any) -> str:
    """Sort Arrow's types, as the driver's are told, into those that are asked for in different ways."""
    name = str(kind)
    if "binary" in name:
        return "binary"
    if "string" in name:
        return "text"
    if name.startswith(("date", "time")):
        return "timestamp"
    return "number" if name.startswith(("decimal", "double", "float", "halffloat")) else "other"
