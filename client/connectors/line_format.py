"""How a text file is cut into cells: what its mapping says, and what its first line tells where it says nothing.

Nothing here looks at a patient's cells. Where a file has no first line of names, nothing is sniffed at all: its
first line is a patient's, and would decide how all others are read.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wardround.client.connectors.compressed import opened
from wardround.client.connectors.decoding import decoded
from wardround.client.connectors.table_format import IN_CELLS, SEPARATORS, TableFormat
from wardround.protocol.errors import TableError

LONGEST_LINE = 2**20
"""Bytes; a longer line is damaged."""
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_BLANK = " \t\r\n\x00\x1a"
_EXCELS_OWN = tuple(f"sep={separator}" for separator in SEPARATORS)
_MOST_LINES_OF_HEADER = 20
_ENDS_OF_NOBODY = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]")


@dataclass(frozen=True, kw_only=True)
class LineFormat:
    """How the lines of one file are read.

    separator, quote: one character each; no quote is "". encoding: a codec's name, with its byte order. end: what
    ends a line, a line feed or a carriage return. start: bytes (of the decompressed file) before the first row. names:
    the columns, by position; empty where the file names none. header: the line of names as UTF-8, to know it again;
    None where there is none. newlines_in_cells: whether a row may go over several lines. cautious: as consents are,
    where doubt is a withdrawal: empty fields behind the last name are damage, and no line that may name a patient is
    part of another's cell.
    """

    separator: str
    quote: str
    encoding: str
    end: str
    start: int
    names: tuple[str, ...]
    header: bytes | None
    newlines_in_cells: bool = False
    cautious: bool = False

    @property
    def least_width(self) -> int:
        """Fields that a row must have: blank names at the end of the line of names need no cells."""
        named = [index for index, name in enumerate(self.names, start=1) if name]
        return max(named, default=1)


def line_format_of(path: Path, form: TableFormat) -> LineFormat:
    """Complete a format by a file's byte order mark and line of names. TableError where there is no such line.

    Guarantee (test_row_local.py): what it gives depends on the setting, the file's name and the line of names alone.
    """
    if not form.header:
        return _without_header(path, form)
    with opened(path) as stream:
        # Twice: in UTF-16 a character has two bytes.
        raw = stream.read(2 * LONGEST_LINE)
    encoding, start = _encoding(raw, form.encoding)
    unit = 2 if encoding.startswith("utf-16") else 1
    # One character for each byte (or for each pair of UTF-16): a place in the text is a place in the file.
    text = raw[start:].decode("latin-1" if unit == 1 else encoding, errors="replace")
    line, end, length = _first_line(text, form.quote)
    separator = form.separator
    if line.strip('"').lower() in _EXCELS_OWN:  # Excel's own way to name the separator
        separator = separator or line.strip('"')[4]
        start, text = start + _size(text[:length], unit), text[length:]
        line, end, length = _first_line(text, form.quote)
    if not line.strip(_BLANK):
        raise TableError(f"{path.name} cannot be read: it is empty; look at the export")
    if length > LONGEST_LINE:
        raise TableError(f"{path.name} cannot be read: its first line is longer than {LONGEST_LINE:,} bytes")
    if unit == 1:
        line = decoded(line.encode("latin-1"), encoding)
    if _ENDS_OF_NOBODY.search(_outside(line, form.quote)):
        # Its first line would hold all of its cells, and be shown as names.
        raise TableError(
            f"{path.name} cannot be read: its lines end as no table's do (U+2028, say); export it with line feeds"
        )
    separator = separator or _separator(line, form.quote)
    return LineFormat(
        separator=separator,
        quote=form.quote,
        encoding=encoding,
        end=end,
        start=start + _size(text[:length], unit),
        names=tuple(_fields(line, separator, form.quote)),
        header=line.encode("utf-8", errors="replace"),
        newlines_in_cells=form.newlines == IN_CELLS,
    )


def completed(path: Path, form: TableFormat) -> TableFormat:
    """Give the format with what ``line_format_of`` found."""
    written = line_format_of(path, form)
    encoding = "utf-16" if written.encoding.startswith("utf-16") else written.encoding
    return replace(form, separator=written.separator, encoding=encoding)


def _without_header(path: Path, form: TableFormat) -> LineFormat:
    encoding = form.encoding or "utf-8"
    start = 0
    with opened(path) as stream:
        mark = stream.read(3)
    if encoding == "utf-8" and mark == _UTF8_MARK:
        start = 3
    if encoding == "utf-16":
        start = 2 if mark[:2] in _UTF16_MARKS else 0
        encoding = _UTF16_MARKS.get(mark[:2], "utf-16-le")
    separator = form.separator or ("\t" if ".tsv" in path.suffixes else ",")
    return LineFormat(
        separator=separator,
        quote=form.quote,
        encoding=encoding,
        end="\n",
        start=start,
        names=(),
        header=None,
        newlines_in_cells=form.newlines == IN_CELLS,
    )


def _encoding(raw: bytes, named: str | None) -> tuple[str, int]:
    """Give the codec and the length of the byte order mark; without one, names are seen to be UTF-16 by their NULs."""
    if raw.startswith(_UTF8_MARK) and named in (None, "utf-8"):
        return "utf-8", 3
    if named in (None, "utf-16"):
        if raw[:2] in _UTF16_MARKS:
            return _UTF16_MARKS[raw[:2]], 2
        if raw[:1] == b"\0" and raw[1:2] != b"\0":
            return "utf-16-be", 0
        if named == "utf-16" or (raw[1:2] == b"\0" and raw[3:4] == b"\0"):
            return "utf-16-le", 0
    return named or "utf-8", 0


def _first_line(text: str, quote: str) -> tuple[str, str, int]:
    """Give the first line that is not blank, what ends lines, and the length of all up to the next line.

    A name in quotes may go over several lines; only the names may.
    """
    start = len(text) - len(text.lstrip(_BLANK))
    stop = start
    for _ in range(_MOST_LINES_OF_HEADER):
        ends = [place for place in (text.find("\n", stop), text.find("\r", stop)) if place >= 0]
        stop = min(ends, default=len(text))
        if not quote or text.count(quote, start, stop) % 2 == 0:
            break
        stop += 1
    else:
        # A quote that nothing closes: names are one line then, and no rows are taken for them.
        ends = [place for place in (text.find("\n", start), text.find("\r", start)) if place >= 0]
        stop = min(ends, default=len(text))
    line, mark = text[start:stop], text[stop : stop + 2]
    if mark == "\r\n":
        return line, "\n", stop + 2
    return line, "\r" if mark[:1] == "\r" else "\n", min(stop + 1, len(text))


def _size(text: str, unit: int) -> int:
    return len(text) if unit == 1 else len(text.encode("utf-16-le", errors="surrogatepass"))


def _separator(line: str, quote: str) -> str:
    """Give the separator that stands most often between the names; a comma where none does."""
    return max(SEPARATORS, key=_outside(line, quote).count)


def _outside(line: str, quote: str) -> str:
    """Give what stands outside of quotes."""
    return "".join(line.split(quote)[::2]) if quote else line


def _fields(line: str, separator: str, quote: str) -> Sequence[str]:
    if not quote:
        return [name.strip() for name in line.split(separator)]
    try:
        names = next(csv.reader([line], delimiter=separator, quotechar=quote), [])
    except csv.Error:  # a name of more than 131,072 characters
        names = line.split(separator)
    return [" ".join(name.split()) for name in names]
