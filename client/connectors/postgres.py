"""Tables in PostgreSQL, read through ADBC as a stream of column batches.

The statement lists the contract's columns and nothing else: what is not asked for never leaves the
database. The catalogue is looked at first: what no reader could understand is refused by the column's type, before a
cell is read.
"""

import contextlib
import sys
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from wardround.client.connectors.database import quoted, quoted_place
from wardround.client.connectors.kinds import Kind
from wardround.client.connectors.postgres_types import CATALOGUE, CatalogueColumn, expression, readable
from wardround.client.connectors.source import MappedSource, TablePlace, missing_column
from wardround.client.connectors.stream import lazy_frame
from wardround.protocol.errors import TableAway, TableError

CONNECT_SECONDS, LOCK_SECONDS, STATEMENT_SECONDS = 10, 10, 3600
"""How long the server may be silent, a table locked, and a statement run; then the database is away."""

_NO_TABLE = "no such table, or no right to its schema; correct its name in the mapping"
# REPEATABLE READ: at a weaker level PostgreSQL takes no snapshot of another connection.
_BEGIN = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_SETTINGS = f"""
SELECT set_config('client_encoding', 'UTF8', true), set_config('DateStyle', 'ISO', true),
    set_config('lock_timeout', '{LOCK_SECONDS}s', true), set_config('statement_timeout', '{STATEMENT_SECONDS}s', true),
    set_config('idle_in_transaction_session_timeout', '{STATEMENT_SECONDS}s', true)
"""


class Snapshot:
    """One state of the database, which connections opened later still see; it is let go with this object."""

    def __init__(self, uri: str) -> None:
        """Connect, read-only, and take the state as it is now; raises the driver's own errors."""
        self._uri = uri
        self._connection = _connect(uri)
        # An open transaction holds back the server's own cleaning up: it must not last as long as the process.
        weakref.finalize(self, _close, self._connection)
        with self._connection.cursor() as cursor:
            cursor.execute(_BEGIN)
            cursor.execute(_SETTINGS)
            cursor.execute("SELECT pg_export_snapshot()")
            self._name = str(cursor.fetchone()[0])

    def look(self, statement: str, parameters: list[str] | None = None) -> Any:
        """Ask for a few rows; gives an Arrow table."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetch_arrow_table()

    def stream(self, statement: str) -> Iterator[Any]:
        """Read by a connection of its own that sees this state; gives Arrow batches."""
        with contextlib.closing(_connect(self._uri)) as connection, connection.cursor() as cursor:
            cursor.execute(_BEGIN)
            # Before the settings: PostgreSQL takes a snapshot only before the transaction's first query.
            cursor.execute("SET TRANSACTION SNAPSHOT " + quoted(self._name, "'"))
            cursor.execute(_SETTINGS)
            cursor.execute(statement)
            yield from cursor.fetch_record_batch()

    def stands(self) -> bool:
        """Whether the server still answers: an error in mid-stream comes without its code."""
        try:
            return bool(self.look("SELECT 1"))
        except Exception:
            return False


@dataclass(frozen=True)
class PostgresSource(MappedSource):
    """uri: a libpq address; keep the password in ``~/.pgpass``. places: named as ``schema.table``.

    Nothing is held open once the frames are gone, so that a database that was restarted is simply read again.
    """

    uri: str = field(repr=False)
    places: Mapping[str, TablePlace]
    timezone: str = "UTC"
    held: Snapshot | None = field(default=None, repr=False, compare=False)

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Give nothing: a database is read for every round."""
        return {}

    def snapshot(self) -> "PostgresSource":
        """Give the source as of one time: every table that is read of it shows the same state of the database."""
        with self._explaining("messages"):
            return replace(self, held=Snapshot(self.uri))

    def kinds(self, table: str) -> dict[str, Kind]:
        """Say what each column holds, from the catalogue."""
        place = self.places[table]
        with self._explaining(table):
            rows = frame_of_arrow(Snapshot(self.uri).look(CATALOGUE, [quoted_place(place.name)])).rows()
        if not rows:
            raise TableError(f"{table}: {place.name} in PostgreSQL: {_NO_TABLE}")
        return {row[0]: CatalogueColumn(*row[:5]).holds for row in rows}

    def statement(self, table: str, columns: Mapping[str, CatalogueColumn], encoding: str = "UTF8") -> str:
        """Write the one statement that is sent for a table's rows: a SELECT that lists the columns.

        Without ORDER BY: the gate gives the same whatever order the disk has them in, and a server sorts ten million
        rows for a minute.
        """
        listed = ", ".join(
            f"{expression(column, encoding)} AS {quoted(name)}" for name, column in columns.items()
        )
        return f"SELECT {listed} FROM {quoted_place(self.places[table].name)}"  # noqa: S608 (quoted)

    def read(self, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Stream these columns, under the contract's names.

        TableError names each column that is not there, and each whose type is no single value, with what to write.
        """
        snapshot = self.held or self.snapshot().held
        if snapshot is None:
            raise ValueError("a source as of one time holds a snapshot")
        with self._explaining(table, snapshot):
            found, encoding = self._asked(table, columns, snapshot)
            statement = self.statement(table, found, encoding)
            empty = snapshot.look(f"{statement} LIMIT 0")

        def frame(arrow: Any) -> pl.DataFrame:
            return readable(frame_of_arrow(arrow), found, encoding, columns[0])

        def read(_: list[str] | None) -> Iterator[pl.DataFrame]:
            import pyarrow

            with self._explaining(table, snapshot):
                for batch in snapshot.stream(statement):
                    yield frame(pyarrow.Table.from_batches([batch]))

        return lazy_frame(frame(empty).schema, read)

    def _asked(
        self, table: str, columns: tuple[str, ...], snapshot: Snapshot
    ) -> tuple[dict[str, CatalogueColumn], str]:
        """Look the columns up in the catalogue; give them by the contract's names, and the server's encoding."""
        place = self.places[table]
        where = f"{table}: {place.name} in PostgreSQL"
        rows = frame_of_arrow(snapshot.look(CATALOGUE, [quoted_place(place.name)])).rows()
        if not rows:
            raise TableError(f"{where}: {_NO_TABLE}")
        secured, encoding = rows[0][5:]
        if secured and table == "consents":
            raise TableError(
                f"{where}: row security hides rows from this user, and a withdrawal could be among them; "
                "name a view that shows all"
            )
        present = {row[0]: CatalogueColumn(*row[:5]) for row in rows}
        named = {column: place.columns.get(column, column) for column in columns}
        faults = [missing_column(name, list(present)) for name in named.values() if name not in present]
        found = {column: present[name] for column, name in named.items() if name in present}
        faults += [
            f"column {column.name} is of type {column.declared}; name a view that has {column.remedy}"
            for column in found.values()
            if column.remedy
        ]
        if faults:
            raise TableError(f"{where}: {'; '.join(faults)}")
        return found, encoding

    def _explaining(
        self, table: str, snapshot: Snapshot | None = None
    ) -> contextlib.AbstractContextManager[None]:
        return explaining(f"{table}: {self.places[table].name} in PostgreSQL", snapshot)


@contextlib.contextmanager
def explaining(where: str, snapshot: Snapshot | None = None) -> Iterator[None]:
    """Give a line of ours in the place of the driver's error: the database's own text may quote cells."""
    import pyarrow

    dbapi = _driver()
    try:
        yield
    except (dbapi.Error, pyarrow.ArrowException, OSError) as error:
        state = getattr(error, "sqlstate", None) or ""
        away = _is_away(error, state) and not (snapshot and not state and snapshot.stands())
        kind = TableAway if away else TableError
        raise kind(f"{where}: {_reason(state, away)}{state and f' (SQLSTATE {state})'}") from None


def _reason(state: str, away: bool) -> str:
    reasons = {
        "42501": "no permission; grant SELECT on it to this user",
        "55P03": f"locked by somebody else for {LOCK_SECONDS} s; it is tried again",
    }
    if state in reasons:
        return reasons[state]
    # Class 22 are data exceptions: an expression, and so a view's, met a cell that it cannot take.
    if away or (state and state[:2] != "22"):
        return "cannot be read; check address, user and that the server runs"
    return "a view's own expression fails (on a cell, or for lack of a right); correct the view so that it gives null"


def _is_away(error: Any, state: str) -> bool:
    """Whether the server itself is missing, or has let our snapshot go; never what cells hold.

    That is: no connection, no resources, shut down, locked, a standby's conflict with what its primary cleans up.
    """
    status = getattr(getattr(error, "status_code", None), "name", "")
    gone = state[:2] in ("08", "53", "57") or state in ("55P03", "40001", "25P03", "55000")
    return isinstance(error, OSError) or gone or (not state and status == "IO")


def frame_of_arrow(table: Any) -> pl.DataFrame:
    """Arrow to polars; types that Arrow does not know arrive as their text."""
    import pyarrow

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


def _connect(uri: str) -> Any:
    """Connect within a time; a server that never answers would hold a round for ever."""
    if "connect_timeout" not in uri:
        joint = ("&" if "?" in uri else "?") if "://" in uri else " "
        uri = f"{uri}{joint}connect_timeout={CONNECT_SECONDS}"
    return _driver().connect(uri)


def _close(connection: Any) -> None:
    with contextlib.suppress(Exception):  # the server is gone, and with it what was open
        connection.close()


def _driver() -> Any:
    try:
        from adbc_driver_postgresql import dbapi
    except ImportError:
        raise TableError(
            f"PostgreSQL: driver not installed; in the checkout scripts/install.sh {sys.prefix} postgresql"
        ) from None
    return dbapi
