"""Spreadsheets, cell by cell: a reader that gives a column one type would let one patient's cell change all others'."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from io import BytesIO
from pathlib import Path

import polars as pl
import python_calamine

from wardround.client.connectors.panic import panics_are_faults
from wardround.client.connectors.sheet_copy import readable_copy
from wardround.client.connectors.sheet_extent import check_extent
from wardround.client.connectors.source import DAMAGED
from wardround.client.connectors.table_format import TableFormat
from wardround.protocol.errors import TableError

ENDINGS = (".xlsx", ".xlsm", ".xls", ".ods")
NAMELESS = (".xls", ".ods")
"""Kinds of file in which a damaged row cannot be read again, so that nobody knows whom it may name."""
_ZIPPED = (".xlsx", ".xlsm")
_WHOLE = 2.0**53  # above, a float does not hold every whole number


Row = Sequence[object]


@dataclass(frozen=True, eq=False)
class Sheet:
    """One sheet: its columns' names (none where it has no such line) and its rows.

    A row that cannot be read is None. unread: those rows' cells once more, times as numbers; empty where the kind
    of file allows none.
    """

    names: tuple[str, ...]
    rows: Sequence[Row | None] = field(repr=False)
    unread: Mapping[int, Row] = field(repr=False)


def sheet_name(path: Path, form: TableFormat) -> str:
    """Name the sheet that is read: the first, where the format names none. TableError where there is no such one."""
    return _sheet_name(_workbook(path, path), path, form)


def read_sheet(path: Path, form: TableFormat) -> Sheet:
    """Read a sheet whole; its format allows 1,048,576 rows. TableError where it cannot be read."""
    if path.suffix.lower() in _ZIPPED:
        # Before it is opened: the reader asks for memory for every place up to the last cell.
        check_extent(path)
    book = _workbook(path, path)
    name = _sheet_name(book, path, form)
    rows = _rows_of_file(path, book, name)
    first = -1
    if form.header:
        first = next(
            (index for index, row in enumerate(rows) if row is None or not _is_blank(row)), len(rows)
        )
        if first == len(rows):
            raise TableError(f"{path.name}: sheet {name} is empty; name another: format.sheet")
    header = rows[first] if form.header else []
    names = tuple(_name(cell) for cell in header or [])
    return Sheet(names, rows[first + 1 :], _unread(path, name, rows, first + 1))


def check_alone(path: Path, form: TableFormat, columns: Collection[str]) -> None:
    """Refuse a file of which nobody said which sheet counts, and whose others have these columns too; TableError.

    An export too long for one sheet goes on in the next, and an old copy may stand in front, where nobody sees it.
    """
    if form.sheet is not None or not form.header:
        return
    book = _workbook(path, path)
    found = [name for name in book.sheet_names[1:] if set(columns) <= set(_names_of(path, book, name))]
    if found:
        raise TableError(
            f"{path.name}: sheet {book.sheet_names[0]} would be read, but {', '.join(found[:8])} has the same columns; "
            "put all rows on one sheet, and name it: format.sheet"
        )


def _names_of(path: Path, book: python_calamine.CalamineWorkbook, name: str) -> tuple[str, ...]:
    """Give the names in the first row that is not blank; none where there is no row, or nothing to be read."""
    try:
        rows = _rows_of_file(path, book, name)
    except TableError:  # a chart by itself is such a sheet
        return ()
    return tuple(map(_name, next((row for row in rows if row and not _is_blank(row)), ())))


def frame_of(sheet: Sheet, places: Mapping[str, int]) -> pl.DataFrame:
    """Give columns as text, with ``DAMAGED``; rows that are blank or repeat the names are null.

    places: each column's position, from 0; the patient's identifier first.
    """
    kept = [_kept(row, sheet.names) for row in sheet.rows]
    patient = next(iter(places.values()))
    unread = [
        # "" and not null where nobody is named: null would say that the row was read whole.
        _cell(sheet.unread.get(index), patient) or "" if row is None else None
        for index, row in enumerate(sheet.rows)
    ]
    columns = {name: [_cell(row, place) for row in kept] for name, place in places.items()}
    return pl.DataFrame({**columns, DAMAGED: unread}, schema=dict.fromkeys((*columns, DAMAGED), pl.String))


def text_of(cell: object) -> str | None:
    """Write a cell as text: whole numbers without fraction, times in ISO 8601, true and false; None for nothing."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < _WHOLE else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(sep="T", timespec="microseconds" if cell.microsecond else "seconds")
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell.total_seconds())
    return str(cell) or None


def _kept(row: Row | None, names: Sequence[str]) -> Row | None:
    return None if row is None or _is_blank(row) or _repeats(row, names) else row


def _cell(row: Row | None, place: int) -> str | None:
    return None if row is None or place >= len(row) else text_of(row[place])


def _name(cell: object) -> str:
    return " ".join((text_of(cell) or "").split())


def _is_blank(row: Row) -> bool:
    return all(isinstance(cell, str) and not cell.strip() for cell in row)


def _repeats(row: Row, names: Sequence[str]) -> bool:
    return bool(names) and tuple(_name(cell) for cell in row) == names


def _rows(book: python_calamine.CalamineWorkbook, name: str) -> Iterator[Row | None]:
    """Give row by row; None for one that its reader gives up on: a number beyond the calendar shown as a date."""
    with panics_are_faults():
        rows = iter(book.get_sheet_by_name(name).iter_rows())
    while True:
        try:
            with panics_are_faults():
                row: Row = next(rows)
        except StopIteration:
            return
        except (TableError, ValueError, OverflowError):
            yield None
        else:
            yield row


def _rows_of_file(path: Path, book: python_calamine.CalamineWorkbook, name: str) -> list[Row | None]:
    """Give all rows; where the reader does not know some cell, from a copy of the file without such cells."""
    try:
        return list(_rows(book, name))
    except (python_calamine.CalamineError, TableError) as error:
        if path.suffix.lower() not in _ZIPPED:
            raise _fault(path, error) from None
    try:
        return list(_rows(_workbook(readable_copy(path, dates_as_numbers=False), path), name))
    except python_calamine.CalamineError as error:
        raise _fault(path, error) from None


def _unread(path: Path, name: str, rows: Sequence[Row | None], start: int) -> Mapping[int, Row]:
    """Read the rows that are None again from a copy of the file in which no cell is shown as a date."""
    wanted = [index for index in range(start, len(rows)) if rows[index] is None]
    if not wanted or path.suffix.lower() not in _ZIPPED:
        return {}
    again = list(_rows(_workbook(readable_copy(path, dates_as_numbers=True), path), name))
    return {index - start: row for index in wanted if (row := again[index]) is not None}


def _workbook(content: Path | BytesIO, path: Path) -> python_calamine.CalamineWorkbook:
    try:
        with panics_are_faults():
            return python_calamine.load_workbook(content)
    except (python_calamine.CalamineError, TableError, OSError, ValueError) as error:
        raise _fault(path, error) from None


def _fault(path: Path, error: Exception) -> TableError:
    return TableError(
        f"{path.name} cannot be read ({type(error).__name__}); save it again as .xlsx, or as CSV"
    )


def _sheet_name(book: python_calamine.CalamineWorkbook, path: Path, form: TableFormat) -> str:
    names = book.sheet_names
    if form.sheet is None and names:
        return str(names[0])
    if form.sheet not in names:
        raise TableError(f"{path.name}: no sheet {form.sheet}; there is {', '.join(names[:8]) or 'none'}")
    return str(form.sheet)
