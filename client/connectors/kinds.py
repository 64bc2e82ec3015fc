"""What a source says of a column's type, in a few words: for drafts, which look at names and types alone."""

import polars as pl

Kind = str
"""What a source says of a column's type: one of ``KINDS``."""
KINDS = ("text", "uuid", "number", "whole", "truth", "timestamp", "other")
"""whole: numbers without fraction. other: nothing that a contract can read."""


def kind_of_dtype(dtype: pl.DataType) -> Kind:
    """Say what a column of a frame, or of a typed file, holds."""
    if dtype in (pl.String, pl.Categorical, pl.Enum, pl.Binary):
        return "text"
    if dtype == pl.Boolean:
        return "truth"
    if dtype.is_integer():
        return "whole"
    if dtype.is_numeric():
        return "number"
    return "timestamp" if dtype in (pl.Date, pl.Datetime) else "other"
