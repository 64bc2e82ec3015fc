"""Parquet and Arrow files: columns come with types, and only those that a contract can read are read."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from wardround.client.connectors.compressed import plain_name
from wardround.client.connectors.decoding import decoded
from wardround.client.connectors.panic import panics_are_faults
from wardround.client.connectors.source import missing_columns
from wardround.client.connectors.typed_bytes import read_bytes
from wardround.protocol.errors import TableError

ENDINGS = (".parquet", ".arrow", ".feather")
_TEXTS = (pl.String, pl.Categorical, pl.Enum)
_NEVER_CELLS = (pl.List, pl.Array, pl.Struct, pl.Object, pl.Duration, pl.Unknown)


def scan(path: Path, columns: Mapping[str, str]) -> pl.LazyFrame:
    """Scan columns; bytes become text, cell by cell. columns: name in the frame → name in the file."""
    frame, schema = _opened(path)
    faults = []
    missing = [name for name in columns.values() if name not in schema]
    if missing:
        faults.append(missing_columns(missing, list(schema)))
    faults += [
        f"column {name} holds {schema[name].base_type()}: write it as text, number or date"
        for name in columns.values()
        if name in schema and isinstance(schema[name], _NEVER_CELLS)
    ]
    if faults:
        raise TableError(f"{path.name}: {'; '.join(faults)}")
    if not _is_utf8(frame, [name for name in columns.values() if isinstance(schema[name], _TEXTS)]):
        frame = read_bytes(path, list(dict.fromkeys(columns.values()))).lazy()
        schema = frame.collect_schema()
    return frame.select(
        _as_cells(pl.col(name), schema[name]).alias(column) for column, name in columns.items()
    )


def columns(path: Path) -> dict[str, pl.DataType]:
    """Give each column's type by its name."""
    return dict(_opened(path)[1])


def _opened(path: Path) -> tuple[pl.LazyFrame, pl.Schema]:
    try:
        with panics_are_faults():
            if plain_name(path).endswith(".parquet"):
                # glob=False: a name with * or [ is a file's name, not a pattern.
                frame = pl.scan_parquet(path, glob=False)
            else:
                frame = pl.scan_ipc(path, glob=False)
            return frame, frame.collect_schema()
    except TableError as error:
        raise TableError(f"{path.name} cannot be read: {error}") from None
    except (pl.exceptions.PolarsError, OSError, NotImplementedError) as error:
        raise TableError(f"{path.name} cannot be read ({type(error).__name__}); export it again") from None


def _is_utf8(frame: pl.LazyFrame, texts: list[str]) -> bool:
    """Whether polars can read these columns: it checks text a column at a time."""
    lengths = [pl.col(name).cast(pl.String).str.len_bytes().sum() for name in dict.fromkeys(texts)]
    try:
        with panics_are_faults():
            frame.select(lengths).collect(engine="streaming")
    except (TableError, pl.exceptions.PolarsError, OSError):
        return False
    return True


def _as_cells(cell: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Binary):
        return cell.map_batches(_texts, return_dtype=pl.String, is_elementwise=True)
    if isinstance(dtype, pl.Null):
        return cell.cast(pl.String)
    return cell


def _texts(cells: pl.Series) -> pl.Series:
    """Decode each cell by itself, as a line of a text file is: in all tables a name must become the same text."""
    try:
        return cells.cast(pl.String)
    except pl.exceptions.PolarsError:  # some cell is not UTF-8
        texts = [None if cell is None else decoded(cell, "utf-8") for cell in cells]
        return pl.Series(cells.name, texts, pl.String)
