"""A stream of batches as a lazy frame: what sources share that read a table bit by bit."""

from collections.abc import Callable, Iterator

import polars as pl
from polars.io.plugins import register_io_source

Reader = Callable[[list[str] | None], Iterator[pl.DataFrame]]
"""Reads a table's batches, with these columns of it at least; all of them for None."""


def lazy_frame(schema: pl.Schema, read: Reader) -> pl.LazyFrame:
    """Give a frame that is read, a batch at a time, whenever it is collected.

    schema: what every batch has. The statement that a database gets stays the one that a steward can check in its log:
    what is not wanted of a batch is left out here.
    """

    def batches(
        projection: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        for batch in read(projection):
            frame = batch if predicate is None else batch.filter(predicate)
            frame = frame if projection is None else frame.select(projection)
            yield frame if rows is None else frame.head(rows)
            if rows is not None:
                rows -= min(rows, len(frame))
                if rows == 0:
                    return

    return register_io_source(batches, schema=schema)
