"""Rows of a text file: each line vetted by itself, then parsed by polars, every cell as text.

A damaged line stays a row, of nulls, with what may be its patient's identifier in ``DAMAGED``; so does a blank one,
without. Polars is given whole, sound lines alone, and the rows that it finds are counted against them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from wardround.client.connectors.compressed import opened
from wardround.client.connectors.decoding import decoded
from wardround.client.connectors.line_format import LineFormat
from wardround.client.connectors.lines import blocks_of_lines
from wardround.client.connectors.rows_of_lines import joined_blocks
from wardround.client.connectors.source import DAMAGED
from wardround.client.connectors.stream import lazy_frame
from wardround.client.connectors.vetting import DAMAGED_LINE, PLAIN, QUOTED, Lines, vetted

_READ_FOR_NAMES = 2**16  # bytes of a damaged line
_SKIPPED_AT_ONCE = 2**16


def scan_lines(path: Path, written: LineFormat, places: Mapping[str, int]) -> pl.LazyFrame:
    """Stream a text file's columns: text, with ``DAMAGED``. In the order of the file.

    places: each column's position, from 0; the patient's identifier first. TableError while it is read, where the
    file cannot be read to its end.
    """
    width = len(written.names) or 1 + max(places.values())
    schema = pl.Schema({name: pl.String() for name in (*places, DAMAGED)})
    return lazy_frame(schema, lambda projection: _frames(path, written, places, width, projection))


def _frames(
    path: Path, written: LineFormat, places: Mapping[str, int], width: int, projection: Sequence[str] | None
) -> Iterator[pl.DataFrame]:
    patient = next(iter(places.values()))
    wanted = {name: place for name, place in places.items() if projection is None or name in projection}
    with opened(path) as stream:
        _skip(stream, written.start)
        blocks = blocks_of_lines(stream, written)
        if written.newlines_in_cells:
            blocks = joined_blocks(blocks, written, width, patient)
        for data, overlong in blocks:
            lines = vetted(data, written, width)
            if overlong:
                lines.kinds[:] = DAMAGED_LINE
            yield _frame(lines, written, wanted, width, patient)


def _skip(stream: object, count: int) -> None:
    read = stream.read  # type: ignore[attr-defined]
    while count > 0 and (block := read(min(count, _SKIPPED_AT_ONCE))):
        count -= len(block)


def _frame(
    lines: Lines, written: LineFormat, wanted: Mapping[str, int], width: int, patient: int
) -> pl.DataFrame:
    kinds = lines.kinds
    if not wanted:  # a frame without columns has no length either
        return _damaged(lines, written, width, patient).to_frame()
    sorts = [kind for kind in (PLAIN, QUOTED) if (kinds == kind).any()]
    parts = [_parsed(lines, kind, written, wanted, width) for kind in sorts]
    if len(sorts) == 1 and (kinds == sorts[0]).all():
        return parts[0].with_columns(pl.lit(None, pl.String).alias(DAMAGED))
    names = list(wanted)
    # Row 0 is the one of nulls, put in front below: damaged and blank lines keep their places.
    rows = np.zeros(len(kinds), np.int64)
    nothing = pl.DataFrame({name: [None] for name in names}, schema=dict.fromkeys(names, pl.String))
    for kind, before in zip(sorts, np.cumsum([1, *map(len, parts)]), strict=False):
        rows[kinds == kind] = before + np.arange((kinds == kind).sum())
    whole = pl.concat([nothing, *parts])[rows]
    return whole.with_columns(_damaged(lines, written, width, patient))


def _parsed(
    lines: Lines, kind: int, written: LineFormat, wanted: Mapping[str, int], width: int
) -> pl.DataFrame:
    count = int((lines.kinds == kind).sum())
    frame = _read(lines.joined(kind), kind, written, wanted, width)
    if len(frame) == count:
        return frame
    # Not seen yet; a parser that takes some line for two must not move all that follow.
    each = [
        _read(lines.of(index) + b"\n", kind, written, wanted, width)
        for index in np.flatnonzero(lines.kinds == kind)
    ]
    nothing = frame.clear(1)
    return pl.concat([one if len(one) == 1 else nothing for one in each])


def _read(data: bytes, kind: int, written: LineFormat, wanted: Mapping[str, int], width: int) -> pl.DataFrame:
    """Parse sound lines. A line of our own names comes first: polars drops a mark at the start of its input."""
    numbers = [str(place) for place in range(width)]
    frame = pl.read_csv(
        written.separator.join(numbers).encode() + b"\n" + data,
        columns=[str(place) for place in sorted(set(wanted.values()))] or ["0"],
        separator=written.separator,
        quote_char=written.quote if kind == QUOTED else None,
        infer_schema=False,  # a type would be guessed from other patients' cells
        truncate_ragged_lines=True,  # vetting lets empty fields stand behind the last name
    )
    return frame.select(pl.col(str(place)).alias(name) for name, place in wanted.items())


def _damaged(lines: Lines, written: LineFormat, width: int, patient: int) -> pl.Series:
    texts = pl.Series(DAMAGED, [None], pl.String).new_from_index(0, len(lines.kinds))
    found = np.flatnonzero(lines.kinds == DAMAGED_LINE)
    if len(found) == 0:
        return texts
    names = [_possible_names(lines.of(index), written, width, patient) for index in found]
    return texts.scatter(found.tolist(), names)


def _possible_names(line: bytes, written: LineFormat, width: int, patient: int) -> str:
    """Give the fields that may be the identifier: counted from the left, and from the right; one per line."""
    cut = len(line) > _READ_FOR_NAMES
    fields = decoded(line[:_READ_FOR_NAMES], "utf-8").split(written.separator)
    # A stray separator moves what stands on one side of it: from the other end the place is still right.
    from_right = len(fields) - (width - patient)
    readings = [patient] if cut or not written.names else [patient, from_right]
    found = [fields[place] for place in readings if 0 <= place < len(fields)]
    stripped = (" ".join(name.replace(written.quote or "\0", "").split()) for name in found)
    return "\n".join(dict.fromkeys(name for name in stripped if name))
