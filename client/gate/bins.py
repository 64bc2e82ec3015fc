"""From a cell to a bin or a scaled value, row by row, as soon as it is read: the raw value dies there.

What comes out per feature is one column: its bin (missing or other is the last), or a float32 in [-1, 1].
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.client.connectors import parsing
from wardround.client.connectors.source import Tables
from wardround.client.connectors.table_format import TableFormat
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.feature import Feature

_CLOCKED = ("hour", "weekday", "month", "gap_days")


def feature_column(name: str) -> str:
    """Name of the column that holds a feature's bin or scaled value."""
    return f"feature:{name}"


def missing_value(feature: Feature) -> int | float:
    """Give what stands for a missing value: the last bin, or 0."""
    return len(feature.labels) - 1 if feature.binned else 0.0


def bin_type(feature: Feature) -> type[pl.DataType]:
    """Narrowest type for the feature's column: 10 million rows of it are held at once."""
    if not feature.binned:
        return pl.Float32
    return pl.UInt8 if len(feature.labels) <= 256 else pl.UInt16


def bin_numbers(feature: Feature, numbers: Floats) -> NDArray[np.generic]:
    """Bins [n] or scaled float32 values [n] of numbers [n]; NaN and infinity count as missing.

    Guarantee: a bin within ``len(feature.labels)``, a value in [-1, 1], whatever the numbers are.
    """
    missing = ~np.isfinite(numbers)
    if feature.valid is not None:
        missing |= (numbers < feature.valid[0]) | (numbers > feature.valid[1])
    if feature.range is not None:
        low, high = feature.range
        share = (np.clip(np.where(missing, low, numbers), low, high) - low) / (high - low)
        return np.where(missing, 0.0, np.clip(2.0 * share - 1.0, -1.0, 1.0)).astype(np.float32)
    # Only comparisons with public edges: no arithmetic that another machine could round differently.
    bins = np.searchsorted(np.asarray(feature.edges), numbers, side="right")
    # searchsorted sorts NaN behind every edge, into the bin of the largest numbers.
    bins[missing] = missing_value(feature)
    return bins.astype(np.uint8 if bin_type(feature) is pl.UInt8 else np.uint16)


def timestamp_column(column: str) -> str:
    """Name under which ``read_features`` has a column's parsed timestamp for ``keep`` to refer to."""
    return f"timestamp:{column}"


def read_features(
    frame: pl.LazyFrame,
    tables: Tables,
    contract: Contract,
    table: str,
    keep: Sequence[pl.Expr],
    timestamps: Sequence[str] = (),
) -> pl.LazyFrame:
    """Columns ``keep`` and one per feature of the table (history excepted) instead of the raw columns.

    frame: of the table, whose format and time zone ``tables`` knows. timestamps: further columns to parse as such.
    Hour, weekday, month and days are those of the hospital's own zone.
    """
    schema = frame.collect_schema()
    features = [f for f in contract.features if f.table == table and f.kind != "history"]
    clocked = dict.fromkeys([*timestamps, *(c for f in features if f.kind in _CLOCKED for c in f.columns)])
    form, zone = tables.format(table), tables.timezone
    parsed = [
        parsing.instant(column, schema[column], form, zone).alias(timestamp_column(column))
        for column in clocked
    ]
    columns = [_expression(f, schema, form).alias(feature_column(f.name)) for f in features]
    return frame.with_columns(parsed).select(*keep, *columns)


def _expression(feature: Feature, schema: pl.Schema, form: TableFormat) -> pl.Expr:
    missing, kind = missing_value(feature), bin_type(feature)
    column = feature.columns[0]
    if feature.worded:
        index = parsing.listed_index(column, schema[column], feature.vocabulary, form, feature.codes)
        return index.fill_null(missing).cast(kind)
    if feature.kind == "boolean":
        return parsing.truth(column, schema[column], form).cast(kind).fill_null(missing)
    if feature.kind in ("weekday", "month"):
        clock = pl.col(timestamp_column(column)).dt
        index = clock.weekday() if feature.kind == "weekday" else clock.month()
        # polars counts weekdays and months from 1, bins begin at 0.
        return (index.cast(pl.Int32) - 1).fill_null(missing).cast(kind)
    return _number(feature, schema, form).map_batches(
        lambda numbers: pl.Series(bin_numbers(feature, numbers.cast(pl.Float64).to_numpy())),
        return_dtype=kind,
        is_elementwise=True,  # lets polars stream it in batches: no cell may depend on another here
    )


def _number(feature: Feature, schema: pl.Schema, form: TableFormat) -> pl.Expr:
    if feature.kind == "numeric":
        return parsing.number(feature.columns[0], schema[feature.columns[0]], form)
    if feature.kind == "hour":
        return pl.col(timestamp_column(feature.columns[0])).dt.hour().cast(pl.Float64)
    days = [pl.col(timestamp_column(column)).dt.date().cast(pl.Int32) for column in feature.columns]
    return (days[1] - days[0]).cast(pl.Float64)
