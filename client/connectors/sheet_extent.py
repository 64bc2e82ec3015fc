"""How far a sheet reaches, looked up before it is read.

Its reader holds every place up to the last cell: a space typed by mistake at XFD1048576 asked for 412 GB, and the
process was ended by the allocator, with no error that could be caught.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from wardround.protocol.errors import TableError

MOST_PLACES = 2**26
"""Rows times columns: all rows that Excel allows, with 64 columns."""
_BLOCK_BYTES, _OVERLAP_BYTES = 2**22, 256
_ROW = re.compile(rb"<row\s[^>]{0,200}?\br=[\"']([0-9]{1,9})[\"']")
_COLUMN = re.compile(rb"r=[\"']([A-Za-z]{2,3})[0-9]{1,9}[\"']")


def check_extent(path: Path) -> None:
    """Refuse an .xlsx or .xlsm file that has a cell far beyond its table; TableError names the remedy."""
    try:
        with zipfile.ZipFile(path) as book:
            for item in book.namelist():
                if item.startswith("xl/worksheets/") and item.endswith(".xml"):
                    with book.open(item) as sheet:
                        _check(path, cast("BinaryIO", sheet))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise TableError(
            f"{path.name} cannot be read ({type(error).__name__}); save it again as .xlsx, or as CSV"
        ) from None


def _check(path: Path, sheet: BinaryIO) -> None:
    # Columns of one letter are within these 26: only longer names are looked for.
    rows, columns = 1, 26
    for block in _blocks(sheet):
        rows = max(rows, max(map(int, _ROW.findall(block)), default=0))
        columns = max(columns, max(map(_number, set(_COLUMN.findall(block))), default=0))
    if rows * columns > MOST_PLACES:
        raise TableError(
            f"{path.name}: a sheet reaches to row {rows:,} and column {columns:,}, more than {MOST_PLACES:,} places; "
            "delete the rows and columns behind the table, or save it as CSV"
        )


def _blocks(sheet: BinaryIO) -> Iterator[bytes]:
    end = b""
    while block := sheet.read(_BLOCK_BYTES):
        yield end + block
        # What a block's end cuts in two is seen whole with the next block.
        end = block[-_OVERLAP_BYTES:]


def _number(letters: bytes) -> int:
    """Give a column's number: A is 1, AA is 27."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - 64
    return number
