"""One statement sent by ODBC, and what it gives; what goes wrong is a line of ours."""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from wardround.client.connectors.odbc_access import OdbcAccess
from wardround.client.connectors.odbc_dialects import LONGEST_CELL
from wardround.protocol.errors import TableAway, TableError

CONNECT_SECONDS = 10
_BATCH_ROWS, _BATCH_BYTES = 20_000, 32_000_000
_STATE = re.compile(r"State: (\w{5}), Native error: (-?\d+)")
_AWAY_ERRORS = ("2002", "2003", "2006", "2013", "1040", "1053", "1205")
"""Errors of MariaDB and MySQL that come with the state HY000: no connection, lost, too many, shutting down, locked."""


def open_batches(
    access: OdbcAccess, environment: Mapping[str, str], statement: str, where: str
) -> Iterator[pl.DataFrame]:
    """Send a statement and yield what it gives, every cell as text; TableError begins with ``where``."""
    reader = open_reader(access, environment, statement, where, as_text=True)
    import pyarrow

    arrow_odbc = _driver()
    while True:
        try:
            batch = next(reader, None)
        except arrow_odbc.Error as error:
            raise _explained(str(error), where) from None
        if batch is None:
            return
        frame = pl.from_arrow(pyarrow.Table.from_batches([batch]))
        if isinstance(frame, pl.DataFrame):
            yield frame


def open_reader(
    access: OdbcAccess, environment: Mapping[str, str], statement: str, where: str, *, as_text: bool
) -> Any:
    """Send a statement; gives arrow-odbc's reader, whose columns have the types that the driver states, or text."""
    import pyarrow

    arrow_odbc = _driver()

    def texts(schema: Any) -> Any:
        return pyarrow.schema([(name, pyarrow.string()) for name in schema.names])

    try:
        return arrow_odbc.read_arrow_batches_from_odbc(
            statement,
            connection_string=access.complete(environment),
            batch_size=_BATCH_ROWS,
            max_bytes_per_batch=_BATCH_BYTES,
            max_text_size=2 * LONGEST_CELL,  # in units of UTF-16, of which a character has at most two
            max_binary_size=1,
            login_timeout_sec=CONNECT_SECONDS,
            map_schema=texts if as_text else None,
            fetch_concurrently=False,
            payload_text_encoding=arrow_odbc.TextEncoding.UTF16,
        )
    except arrow_odbc.Error as error:
        raise _explained(str(error), where) from None


def _explained(text: str, where: str) -> TableError:
    """Give a line of ours: the driver's own text may quote cells, and holds what was sent."""
    state, native = found.groups() if (found := _STATE.search(text)) else ("", "")
    reasons = {
        "42S02": "no such table; correct its name in the mapping",
        "42000": "no permission; grant SELECT on it to this user",
        "28000": "user or password is refused; correct them",
        "IM002": "no such DSN or driver; see odbcinst -q -d",
        "01000": "the driver's library cannot be opened; see odbcinst -q -d",
    }
    reason = reasons.get(state, "cannot be read; check connection, names, and that the server runs")
    away = state[:2] == "08" or state in ("HYT00", "HYT01") or native in _AWAY_ERRORS
    return (TableAway if away else TableError)(f"{where}: {reason}{state and f' (SQLSTATE {state})'}")


def _driver() -> Any:
    try:
        import arrow_odbc
    except (ImportError, OSError):  # OSError: the system has no unixODBC
        raise TableError(
            f"ODBC: driver not installed; in the checkout scripts/install.sh {sys.prefix} odbc, "
            "and unixODBC from the system's packages"
        ) from None
    return arrow_odbc
