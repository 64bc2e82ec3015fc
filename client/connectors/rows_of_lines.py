"""Rows that go over several lines: for a table whose mapping says ``format.newlines: in_cells``.

A line that leaves a quote open is joined with those after it, up to the next with an odd number of quotes: by RFC 4180
no other can close it. They become one row, with a space for each line feed, only if that row is whole and none of the
later lines may be another's: a row by itself, or the begin of one that names a patient. All other lines stay what they
are. So a broken quote never takes a row whose own quotes are in order and that is one line. In consents
(``LineFormat.cautious``) it takes no line either in which text that may be an identifier stands where identifiers do: a
withdrawal must be heard, even of a row that is broken itself.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from wardround.client.connectors.line_format import LONGEST_LINE, LineFormat
from wardround.client.connectors.vetting import PLAIN, QUOTED, Lines, vetted
from wardround.protocol.arrays import Booleans, Integers

_NEWLINE, _SPACE = b"\n", b" "


def joined_blocks(
    blocks: Iterable[tuple[bytes, bool]], written: LineFormat, width: int, patient: int
) -> Iterator[tuple[bytes, bool]]:
    """Give blocks of whole lines as blocks of whole rows, each one line.

    blocks: data that ends in a newline, and whether it is the start of one overlong line. width, patient: fields of a
    row, and the position of the patient's identifier. Guarantee: where a block ends changes nothing.
    """
    rest = b""
    for data, overlong in blocks:
        if overlong:
            whole, after, rest = rest, data, b""
        else:
            (whole, rest), after = _joined(rest + data, written, width, patient), b""
        yield from ((whole, False),) if whole else ()
        yield from ((after, True),) if after else ()
    if rest:
        yield rest, False


def _joined(data: bytes, written: LineFormat, width: int, patient: int) -> tuple[bytes, bytes]:
    """Join what can be joined; gives also the lines at the end that those of the next block may complete."""
    quote = written.quote.encode()
    if not quote or quote not in data:
        return data, b""
    lines = vetted(data, written, width)
    block = np.frombuffer(data, np.uint8)
    counts = np.bincount(
        np.searchsorted(lines.ends, np.flatnonzero(block == quote[0])), minlength=len(lines.ends)
    )
    odd = np.flatnonzero(counts % 2 == 1)
    pairs, free = _chosen(_are_rows(lines, odd, written, width, patient))
    cut = len(data)
    # Kept for the next block only while what is open can still be a row.
    if free and cut - lines.starts[odd[-1]] <= LONGEST_LINE and not _whole(lines)[odd[-1]]:
        cut = int(lines.starts[odd[-1]])
    within = np.zeros(len(lines.ends) + 1, np.int64)
    within[odd[pairs]] += 1
    within[odd[pairs + 1]] -= 1
    changed = block.copy()
    changed[lines.ends[np.cumsum(within)[:-1] > 0]] = _SPACE[0]
    return changed[:cut].tobytes(), data[cut:]


def _are_rows(lines: Lines, odd: Integers, written: LineFormat, width: int, patient: int) -> Booleans:
    """Say which lines of an odd number of quotes make a row with the next such line: bool [lines of odd number]."""
    found = np.zeros(len(odd), np.bool_)
    first, last = odd[:-1], odd[1:]
    whole = _whole(lines)
    before = np.cumsum(whole)
    fits = lines.ends[last] - lines.starts[first] < LONGEST_LINE
    # No whole row may lie between the two: a broken quote must not take it.
    wanted = np.flatnonzero(fits & ~whole[first] & (before[last - 1] == before[first]))
    wanted = np.array(
        [at for at in wanted if not _doubtful(lines, first[at], last[at], written, patient)], np.int64
    )
    if len(wanted):
        texts = [lines.data[lines.starts[first[at]] : lines.ends[last[at]]] for at in wanted]
        each = b"".join(text.replace(_NEWLINE, _SPACE) + _NEWLINE for text in texts)
        found[wanted] = vetted(each, written, width).kinds == QUOTED
    return found


def _chosen(rows: Booleans) -> tuple[Integers, bool]:
    """Choose pairs from the front, of which none share a line; also whether the last line is left over."""
    pairs, at = [], 0
    while at < len(rows):
        if rows[at]:
            pairs.append(at)
        at += 1 + bool(rows[at])
    free = len(rows) > 0 and pairs[-1:] != [len(rows) - 2]
    return np.array(pairs, np.int64), free


def _whole(lines: Lines) -> Booleans:
    whole: Booleans = (lines.kinds == PLAIN) | (lines.kinds == QUOTED)
    return whole


def _doubtful(lines: Lines, first: np.integer, last: np.integer, written: LineFormat, patient: int) -> bool:
    """Whether the line that closes the quote may begin another row; with ``cautious`` whether any may name a patient.

    What may be a name ends before the first quote: behind one, RFC 4180 says that the cell is still the same.
    """
    begins, named = _read_alone(lines.of(last), written, patient)
    if not written.cautious:
        return begins and named
    within = np.arange(first + 1, last)
    return named or any(_read_alone(lines.of(at), written, patient)[1] for at in within)


def _read_alone(line: bytes, written: LineFormat, patient: int) -> tuple[bool, bool]:
    """Whether a line's first quote begins a field, and whether a field before it may be the patient's identifier."""
    fields = line.partition(written.quote.encode())[0].split(written.separator.encode())
    return not fields[-1], len(fields) > patient + 1 and bool(fields[patient].strip())
