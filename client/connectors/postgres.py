"""Tables in PostgreSQL, read through ADBC as a stream of column batches.

The statement lists the contract's columns and nothing else: what is not asked for never leaves the
database.
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from wardround.client.connectors.source import TablePlace, missing_column
from wardround.protocol.errors import TableAway, TableError


@dataclass(frozen=True)
class PostgresSource:
    """uri: a libpq address; keep the password in ``~/.pgpass``. places: named as ``schema.table``.

    Nothing is held open between reads, so that a database that was restarted is simply read again.
    """

    uri: str = field(repr=False)
    places: Mapping[str, TablePlace]
    timezone: str = "UTC"

    def has(self, table: str) -> bool:
        """Whether a table of the database is named for this table."""
        return table in self.places

    def place(self, table: str) -> TablePlace:
        """Give the table's part of the mapping."""
        return self.places[table].within(self.timezone)

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Give nothing: a database is read for every round."""
        return {}

    def statement(self, table: str, columns: tuple[str, ...]) -> str:
        """Write the one statement that is ever sent for a table: a SELECT that lists the columns."""
        rename = self.places[table].columns
        listed = ", ".join(f"{_quoted(rename.get(c, c))} AS {_quoted(c)}" for c in columns)
        place = ".".join(_quoted(part) for part in self.places[table].name.split("."))
        return f"SELECT {listed} FROM {place}"  # noqa: S608 (every name is quoted)

    def read(self, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Stream these columns, under the contract's names; TableError where there is no such one."""
        statement = self.statement(table, columns)
        schema = next(self._batches(table, columns, f"{statement} LIMIT 0")).schema

        def batches(
            projection: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
        ) -> Iterator[pl.DataFrame]:
            # The statement stays the one that a steward can check in the database's log.
            for batch in self._batches(table, columns, statement):
                frame = batch if predicate is None else batch.filter(predicate)
                frame = frame if projection is None else frame.select(projection)
                yield frame if rows is None else frame.head(rows)
                if rows is not None:
                    rows -= min(rows, len(frame))
                    if rows == 0:
                        return

        return register_io_source(batches, schema=schema)

    def _batches(self, table: str, columns: tuple[str, ...], statement: str) -> Iterator[pl.DataFrame]:
        """Batches as they come; at least one, empty if need be."""
        dbapi, pyarrow = _drivers()
        try:
            with contextlib.closing(dbapi.connect(self.uri)) as connection, connection.cursor() as cursor:
                cursor.execute(statement)
                reader = cursor.fetch_record_batch()
                yield _frame(pyarrow, reader.schema.empty_table())
                for batch in reader:
                    yield _frame(pyarrow, pyarrow.Table.from_batches([batch]))
        except (dbapi.Error, pyarrow.ArrowException, OSError) as error:
            raise self._explained(error, table, columns) from None

    def _explained(self, error: Any, table: str, columns: tuple[str, ...]) -> TableError:
        """Give a line of ours: the database's own text may quote cells."""
        where = f"{table}: {self.places[table].name} in PostgreSQL"
        state = getattr(error, "sqlstate", None) or ""
        if state == "42703":
            named = [self.places[table].columns.get(column, column) for column in columns]
            return TableError(f"{where}: {missing_column(' or '.join(named), [])}")
        reasons = {
            "42P01": "no such table; correct its name in the mapping",
            "42501": "no permission; grant SELECT on it to this user",
        }
        reason = reasons.get(state, "cannot be read; check address, user and that the server runs")
        kind = TableAway if _is_away(error, state) else TableError
        return kind(f"{where}: {reason}{state and f' (SQLSTATE {state})'}")


def _is_away(error: Any, state: str) -> bool:
    """Whether the server itself is missing: no connection, no resources, shut down; never what cells hold."""
    status = getattr(getattr(error, "status_code", None), "name", "")
    return isinstance(error, OSError) or state[:2] in ("08", "53", "57") or (not state and status == "IO")


def _frame(pyarrow: Any, table: Any) -> pl.DataFrame:
    """Arrow to polars; types that Arrow does not know (numeric) arrive as their text."""
    columns = [
        column.cast(column.type.storage_type)
        if isinstance(column.type, pyarrow.BaseExtensionType)
        else column
        for column in table.columns
    ]
    frame = pl.from_arrow(pyarrow.table(columns, names=table.column_names))
    if not isinstance(frame, pl.DataFrame):
        raise TypeError("an Arrow table becomes a frame")
    return frame


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _drivers() -> tuple[Any, Any]:
    try:
        import pyarrow
        from adbc_driver_postgresql import dbapi
    except ImportError:
        raise TableError(
            f"PostgreSQL: driver not installed; in the checkout scripts/install.sh {sys.prefix} postgresql"
        ) from None
    return dbapi, pyarrow
