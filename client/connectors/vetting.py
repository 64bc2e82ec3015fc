"""Every line of a block looked at before it is parsed: which are rows, and which are damaged.

A line is a row if it has the fields that the line of names has, and its quotes are either those of RFC 4180 (a field
begins and ends with one, doubled within) or plain characters of fields that begin without one (``5" left``). Each
line is judged by its own bytes.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardround.client.connectors.line_format import LONGEST_LINE, LineFormat
from wardround.protocol.arrays import Booleans, Integers

PLAIN, QUOTED, BLANK, DAMAGED_LINE = range(4)
_NEWLINE = 10
_NOTHING = b" \t\r\0\x1a"
_MOST_NULS = 16
"""That a blank line of a table of withdrawals may have: more stand where a file was not written to its end."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of a block.

    starts, ends: int64 [lines], of the bytes without their end. kinds: int64 [lines], PLAIN (quotes, if any, are
    characters), QUOTED (they are not), BLANK (no cell holds anything, or the names again) or DAMAGED_LINE.
    """

    data: bytes = field(repr=False)
    starts: Integers
    ends: Integers
    kinds: Integers

    def of(self, index: np.integer) -> bytes:
        """Give one line."""
        return self.data[self.starts[index] : self.ends[index]]

    def joined(self, kind: int) -> bytes:
        """Give all lines of one kind, each with its end."""
        chosen = self.kinds == kind
        if chosen.all():
            return self.data
        lengths = self.ends - self.starts + 1
        chosen_bytes: bytes = np.frombuffer(self.data, np.uint8)[np.repeat(chosen, lengths)].tobytes()
        return chosen_bytes


def vetted(data: bytes, written: LineFormat, width: int) -> Lines:
    """Judge each line. data: ends in a newline. width: the fields of a whole row, at least where nobody named them."""
    block = np.frombuffer(data, np.uint8)
    separator = ord(written.separator)
    marks = np.flatnonzero((block == separator) | (block == _NEWLINE))
    end_marks = np.flatnonzero(block[marks] == _NEWLINE)
    ends = marks[end_marks]
    starts = np.concatenate([[0], ends[:-1] + 1])
    first_marks = np.concatenate([[0], end_marks[:-1] + 1])
    separators = end_marks - first_marks
    blank = ends - starts == separators
    quoted = damaged = parsed = np.zeros(len(ends), np.bool_)
    inside = np.zeros(len(ends), np.int64)
    if written.quote and written.quote.encode() in data:
        quotes = np.flatnonzero(block == ord(written.quote))
        quoted, damaged, parsed = _quoting(block, quotes, ends, separator)
        inside = _separators_inside(marks, separators, quotes, starts, quoted)
    whole = _has_width(marks, first_marks, ends, separators, separators - inside, quoted, written, width)
    whole &= ~damaged & (ends - starts < LONGEST_LINE)
    kinds = np.where(whole, np.where(parsed, QUOTED, PLAIN), DAMAGED_LINE)
    lines = Lines(data, starts, ends, np.where(blank, BLANK, kinds))
    _find_blank(lines, written)
    return lines


def _quoting(
    block: NDArray[np.uint8], quotes: Integers, ends: Integers, separator: int
) -> tuple[Booleans, Booleans, Booleans]:
    """Say which lines have a field that begins with a quote, which of these break RFC 4180, and which to parse.

    A line without any quote means the same either way: it goes with the others, so that few blocks are taken apart.
    """
    line = np.searchsorted(ends, quotes)
    count = np.bincount(line, minlength=len(ends))
    quote = block[quotes[0]]
    # The block ends in a newline: behind a quote there is always a byte.
    before, after = np.where(quotes > 0, block[quotes - 1], _NEWLINE), block[quotes + 1]
    begins = (before == separator) | (before == _NEWLINE)
    closing = (np.arange(len(quotes)) - (np.cumsum(count) - count)[line]) % 2 == 1
    stops = (after == separator) | (after == _NEWLINE)
    fine = np.where(closing, stops | (after == quote), begins | (before == quote))
    quoted = np.bincount(line[begins], minlength=len(ends)) > 0
    broken = (np.bincount(line[~fine], minlength=len(ends)) > 0) | (count % 2 == 1)
    return quoted, quoted & broken, quoted | ((count == 0) & quoted.any())


def _separators_inside(
    marks: Integers, separators: Integers, quotes: Integers, starts: Integers, quoted: Booleans
) -> Integers:
    """Count the separators between quotes, per line: int64 [lines]."""
    lines = np.arange(len(separators))
    line = np.repeat(lines, separators + 1)  # a line's separators and its end, which is never counted
    chosen = quoted[line]
    line, places = line[chosen], marks[chosen]
    before = np.searchsorted(quotes, places) - np.searchsorted(quotes, starts)[line]
    within = before % 2 == 1
    # An odd number of quotes leaves the line's end "inside"; such a line is damaged whatever is counted.
    return np.bincount(line[within], minlength=len(lines))


def _has_width(
    marks: Integers,
    first_marks: Integers,
    ends: Integers,
    separators: Integers,
    outside: Integers,
    quoted: Booleans,
    written: LineFormat,
    width: int,
) -> Booleans:
    """Say which lines have the right number of fields; empty ones beyond the last name may be there or not."""
    least = min(written.least_width, width)
    right: Booleans = outside >= width - 1
    if not written.names:
        return right
    right = (outside == width - 1) | (outside == least - 1)
    if written.cautious:
        return right
    for_sure = np.flatnonzero(~right & ~quoted & (outside >= least))
    excess = separators[for_sure] - (least - 1)
    # Separators alone up to the line's end: as many bytes as there are fields too many.
    trailing = ends[for_sure] - marks[first_marks[for_sure] + least - 1]
    right[for_sure] = trailing == excess
    return right


def _find_blank(lines: Lines, written: LineFormat) -> None:
    """Mark lines that hold spaces and empty quotes alone, and those that repeat the names."""
    nothing = _NOTHING + written.separator.encode() + written.quote.encode()
    for index in np.flatnonzero(lines.kinds == DAMAGED_LINE):
        line = lines.of(index)
        if not line.strip(nothing) and not (written.cautious and line.count(b"\0") > _MOST_NULS):
            lines.kinds[index] = BLANK
    if written.header is None:
        return
    alike = np.flatnonzero(lines.ends - lines.starts == len(written.header))
    heads = np.frombuffer(lines.data, np.uint8)[lines.starts[alike]]
    for index in alike[heads == written.header[0]]:
        if lines.of(index) == written.header:
            lines.kinds[index] = BLANK
