"""Tables in files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from wardround.client.connectors.source import TablePlace, missing_column
from wardround.protocol.errors import TableError


@dataclass(frozen=True)
class FileSource:
    """CSV (also ``.gz``) and Parquet files below ``folder``."""

    places: Mapping[str, TablePlace]
    folder: Path
    timezone: str = "UTC"

    def has(self, table: str) -> bool:
        """Whether a path is named for this table."""
        return table in self.places

    def place(self, table: str) -> TablePlace:
        """Give the table's part of the mapping."""
        return self.places[table].within(self.timezone)

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Name each table's file."""
        return {table: (self.folder / place.name,) for table, place in self.places.items()}

    def snapshot(self) -> "FileSource":
        """Give the files as they are: an export replaces a file, and what is being read stays."""
        return self

    def read(self, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Scan the file; CSV cells stay text until they are parsed, so that no type is guessed."""
        path = self.folder / self.places[table].name
        frame = scan_file(path, table)
        try:
            present = frame.collect_schema().names()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise TableError(f"{table}: {path.name} cannot be read ({type(error).__name__})") from None
        rename = self.places[table].columns
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
