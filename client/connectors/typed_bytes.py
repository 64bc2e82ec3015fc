"""Parquet and Arrow files whose text is not UTF-8, read by pyarrow as the bytes that stand there.

Polars checks a column's text as a whole: one cell took away all rows of the table. Here such a cell is its own row's
business. Only files that polars refuses are read this way, and whole: these columns are held in memory.
"""

from pathlib import Path
from typing import Any

import polars as pl

from wardround.client.connectors.compressed import plain_name
from wardround.client.connectors.panic import panics_are_faults
from wardround.protocol.errors import TableError


def read_bytes(path: Path, columns: list[str]) -> pl.DataFrame:
    """Read these columns, text (also as categories) as Binary; TableError where the file is damaged otherwise."""
    import pyarrow  # takes 0.2 s, and few files need it

    try:
        with panics_are_faults():
            table = _read(path, columns)
            frame = pl.from_arrow(
                pyarrow.table([_as_bytes(column) for column in table.columns], names=table.column_names)
            )
    except TableError as error:
        raise TableError(f"{path.name} cannot be read: {error}") from None
    except (pyarrow.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path.name} cannot be read ({type(error).__name__}); export it again") from None
    if not isinstance(frame, pl.DataFrame):
        raise TypeError("an Arrow table becomes a frame")
    return frame


def _read(path: Path, columns: list[str]) -> Any:
    from pyarrow import ipc, parquet

    if plain_name(path).endswith(".parquet"):
        with parquet.ParquetFile(path) as file:
            # pyarrow gives them in the file's order, whatever was asked for.
            return file.read(columns=columns).select(columns)
    with ipc.open_file(path) as file:
        return file.read_all().select(columns)


def _as_bytes(column: Any) -> Any:
    from pyarrow import large_binary, types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        return column
    plain = column.cast(kind) if types.is_dictionary(column.type) else column
    return plain.cast(large_binary())
