"""What the databases' sources share: a stream of batches as a lazy frame, and a name as SQL quotes it."""

from collections.abc import Callable, Iterator

import polars as pl
from polars.io.plugins import register_io_source


def lazy_frame(schema: pl.Schema, read: Callable[[], Iterator[pl.DataFrame]]) -> pl.LazyFrame:
    """Give a frame that is read, a batch at a time, whenever it is collected.

    schema: what every batch has. The statement stays the one that a steward can check in the database's log: what is
    not wanted of a batch is left out here.
    """

    def batches(
        projection: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        for batch in read():
            frame = batch if predicate is None else batch.filter(predicate)
            frame = frame if projection is None else frame.select(projection)
            yield frame if rows is None else frame.head(rows)
            if rows is not None:
                rows -= min(rows, len(frame))
                if rows == 0:
                    return

    return register_io_source(batches, schema=schema)


def quoted(name: str, quote: str = '"') -> str:
    """Write one name so that nothing in it is syntax."""
    return quote + name.replace(quote, 2 * quote) + quote


def quoted_place(name: str, quote: str = '"') -> str:
    """Write ``schema.table``, each part quoted by itself."""
    return ".".join(quoted(part, quote) for part in name.split("."))
