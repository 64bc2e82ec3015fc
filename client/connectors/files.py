"""Tables in files: text, spreadsheets, Parquet, Arrow.

The ending says which: ``.csv``, ``.tsv``, ``.txt`` (also ``.gz``, ``.zst``), ``.xlsx``, ``.xlsm``, ``.xls``, ``.ods``,
``.parquet``, ``.arrow``, ``.feather``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from wardround.client.connectors import excel, typed
from wardround.client.connectors.compressed import COMPRESSIONS, plain_name
from wardround.client.connectors.delimited import scan_lines
from wardround.client.connectors.kinds import Kind, kind_of_dtype
from wardround.client.connectors.line_format import completed, line_format_of
from wardround.client.connectors.reached import unreached
from wardround.client.connectors.source import MappedSource, TablePlace, missing_columns
from wardround.client.connectors.table_format import PLAIN, TableFormat
from wardround.protocol.errors import TableError

TEXTS = (".csv", ".tsv", ".txt")
ENDINGS = (*TEXTS, *excel.ENDINGS, *typed.ENDINGS)
_WITHDRAWING = ("consents", "preferences", "vetoes", "authorisations")
"""Tables whose damaged rows must still tell whom they may name."""


@dataclass(frozen=True)
class FileSource(MappedSource):
    """Files below ``folder``."""

    places: Mapping[str, TablePlace]
    folder: Path
    timezone: str = "UTC"

    def format(self, table: str) -> TableFormat:
        """Complete the table's format by what its file says beside its cells; as it stands where there is none."""
        form = super().format(table)
        try:
            return sniffed(self._path(table), form)
        except TableError:  # ``read`` says what is wrong
            return form

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Name each table's file."""
        return {table: (self._path(table),) for table in self.places}

    def kinds(self, table: str) -> dict[str, Kind]:
        """Say what each column holds; in a file without names those that the mapping gives a position."""
        place = self.places[table]
        if not place.format.header:
            return dict.fromkeys(place.columns.values(), "text")
        try:
            columns = columns_of(self._path(table), place.format)
        except TableError as error:
            raise type(error)(f"{table}: {error}") from None
        return {name: kind_of_dtype(dtype) for name, dtype in columns.items()}

    def snapshot(self) -> "FileSource":
        """Give the files as they are: an export replaces a file, and what is being read stays."""
        return self

    def read(self, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Read these columns; cells of text files and spreadsheets stay text, so that no type is guessed."""
        place = self.places[table]
        named = {column: place.columns.get(column, column) for column in columns}
        path = self._path(table)
        if table in _WITHDRAWING and path.name.lower().endswith(excel.NAMELESS):
            raise TableError(
                f"{table}: {path.name}: a damaged row of such a file cannot tell whose withdrawal it is; "
                "save it as .xlsx or .csv"
            )
        try:
            # A name typed with a comma moves a withdrawal's cells, and its last, empty one behind the last name.
            return scan_file(path, named, place.format, cautious=table in _WITHDRAWING)
        except TableError as error:
            raise type(error)(f"{table}: {error}") from None

    def _path(self, table: str) -> Path:
        return self.folder / self.places[table].name


def scan_file(
    path: Path, columns: Mapping[str, str], form: TableFormat = PLAIN, *, cautious: bool = False
) -> pl.LazyFrame:
    """Scan a file's columns. columns: name in the frame → name in the file, or position from 1 where it has no names.

    The patient's identifier comes first. cautious: as consents are read (``LineFormat``). TableError, in one line
    without any cell, where the file or a column is not there, or a column has a type that no contract can read.
    """
    check_file(path)
    name = plain_name(path)
    if name.endswith(TEXTS):
        written = replace(line_format_of(path, form), cautious=cautious)
        return scan_lines(path, written, positions(path, columns, written.names, form))
    if name.endswith(excel.ENDINGS):
        sheet = excel.read_sheet(path, form)
        if cautious:
            excel.check_alone(path, form, columns.values())
        return excel.frame_of(sheet, positions(path, columns, sheet.names, form)).lazy()
    return typed.scan(path, columns)


def sniffed(path: Path, form: TableFormat) -> TableFormat:
    """Complete a format by what the file says beside its cells: separator and encoding, or the sheet's name."""
    check_file(path)
    if plain_name(path).endswith(TEXTS):
        return completed(path, form)
    if plain_name(path).endswith(excel.ENDINGS):
        return replace(form, sheet=excel.sheet_name(path, form))
    return form


def columns_of(path: Path, form: TableFormat = PLAIN) -> dict[str, pl.DataType]:
    """Give each column's type by its name; text for files that know no types, nothing where they have no names."""
    check_file(path)
    if plain_name(path).endswith(typed.ENDINGS):
        return typed.columns(path)
    is_text = plain_name(path).endswith(TEXTS)
    names = line_format_of(path, form).names if is_text else excel.read_sheet(path, form).names
    return {name: pl.String() for name in names if name}


def check_file(path: Path) -> None:
    """Refuse a path that is no file, or whose ending is none of ours; TableError. ``unreached`` where nobody knows."""
    try:
        there = path.is_file()
    except OSError as error:
        raise unreached(path.name, error) from None
    if not there:
        raise TableError(f"no file {path}; correct the path")
    compressed = path.name.lower().endswith(COMPRESSIONS)
    if not plain_name(path).endswith(TEXTS if compressed else ENDINGS):
        raise TableError(
            f"{path.name}: must end in {', '.join(ENDINGS)}; text files also in {' or '.join(COMPRESSIONS)}"
        )


def positions(
    path: Path, columns: Mapping[str, str], names: Sequence[str], form: TableFormat
) -> dict[str, int]:
    """Find each column's position, from 0. TableError lists all that are missing or there twice."""
    if not form.header:
        wrong = [name for name in columns.values() if not _is_position(name)]
        if wrong:
            raise TableError(
                f"{path.name} has no line of names (format.header: false), and column {', '.join(wrong)} is no "
                "number: name each column in the mapping by its position, the first is 1"
            )
        return {column: int(name) - 1 for column, name in columns.items()}
    faults = []
    missing = [name for name in columns.values() if name not in names]
    if missing:
        faults.append(missing_columns(missing, _shown(names, columns)))
    twice = {name: list(names).count(name) for name in columns.values() if list(names).count(name) > 1}
    faults += [
        f"column {name} is there {count} times; give each a name of its own" for name, count in twice.items()
    ]
    if faults:
        raise TableError(f"{path.name}: {'; '.join(faults)}")
    return {column: list(names).index(name) for column, name in columns.items()}


def _shown(names: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    """Give the names that may be shown: a file without names has a patient's cells in their place."""
    return [name for name in names if name] if set(columns.values()) & set(names) else []


def _is_position(name: str) -> bool:
    # isdigit also takes ², on which int() raises.
    return name.isascii() and name.isdigit() and 1 <= int(name) <= 16_384
