"""Reading a column's cells, whatever type a source gave them: text, number, truth value, moment, word.

Every expression works row by row: what a cell becomes never depends on another row. What does not parse
becomes null. Sources may hand over text throughout (CSV) or typed columns (Parquet, a database).
"""

from collections.abc import Sequence
from datetime import date
from itertools import product

import polars as pl

MISSING_TEXTS = ("", "na", "n/a", "nan", "null", "none", "?", "-")
TRUE_TEXTS = ("true", "t", "yes", "y")
FALSE_TEXTS = ("false", "f", "no", "n")
# Every spelling by itself: text would have to be turned to lower case row by row.
_MISSING_SPELLINGS = tuple(
    sorted(
        {
            "".join(letters)
            for word in MISSING_TEXTS
            for letters in product(*((letter, letter.upper()) for letter in word))
        }
    )
)
_EPOCH = date(1970, 1, 1).toordinal()
_CALENDAR = ((1, 1, 1), (9999, 12, 31))
_DAY_LENGTH = 10
_ISO_FORMATS = (("%Y-%m-%d %H:%M:%S", 19), ("%Y-%m-%d", 10), ("%Y-%m-%d %H:%M", 16))


def is_given(name: str, dtype: pl.DataType) -> pl.Expr:
    """Whether the cell holds anything: not null, not NaN, not one of the usual words for missing."""
    cell = pl.col(name)
    if dtype.is_float():
        return cell.is_not_null() & cell.is_not_nan()
    if _is_text(dtype):
        return cell.is_not_null() & ~text(name, dtype).is_in(_MISSING_SPELLINGS)
    return cell.is_not_null()


def text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Strip the text; a number without fraction is written as a whole one, so that 1.0 is "1"."""
    cell = pl.col(name)
    if dtype.is_float():
        # Cells that are not whole are cast as they stand: only the branch that is taken matters.
        whole = cell.cast(pl.Int64, strict=False)
        return pl.when(cell == whole).then(whole.cast(pl.String)).otherwise(cell.cast(pl.String))
    return cell.cast(pl.String, strict=False).str.strip_chars()


def lower_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Stripped text in lower case: for columns of few words."""
    return _per_distinct(name, dtype, text(name, dtype).str.to_lowercase(), pl.String())


def number(name: str, dtype: pl.DataType) -> pl.Expr:
    """Float64; infinite and NaN cells count as missing."""
    if not (dtype.is_numeric() or dtype == pl.Boolean or _is_text(dtype)):
        return _nothing(name, pl.Float64())
    cell = text(name, dtype) if _is_text(dtype) else pl.col(name)
    value = cell.cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value).alias(name)


def truth(name: str, dtype: pl.DataType) -> pl.Expr:
    """Boolean of 0 and 1, yes and no, true and false."""
    if dtype == pl.Boolean:
        return pl.col(name)
    value = number(name, dtype)
    yes, no = value == 1, value == 0
    if not _is_text(dtype):
        return pl.when(yes).then(True).when(no).then(False)
    words = text(name, dtype).str.to_lowercase()
    yes, no = yes | words.is_in(TRUE_TEXTS), no | words.is_in(FALSE_TEXTS)
    return _per_distinct(name, dtype, pl.when(yes).then(True).when(no).then(False), pl.Boolean())


def word_index(name: str, dtype: pl.DataType, words: Sequence[str]) -> pl.Expr:
    """Position in ``words`` (Int32), null where the cell is none of them; "0" and "0.0" are the same word."""
    cell = text(name, dtype)
    index = cell.replace_strict(list(words), list(range(len(words))), default=None, return_dtype=pl.Int32)
    numeric = {float(word): i for i, word in enumerate(words) if _spells_number(word)}
    if not numeric:
        return _per_distinct(name, dtype, index, pl.Int32())
    by_value = number(name, dtype).replace_strict(
        list(numeric), list(numeric.values()), default=None, return_dtype=pl.Int32
    )
    return _per_distinct(name, dtype, pl.coalesce(index, by_value), pl.Int32())


def instant(name: str, dtype: pl.DataType) -> pl.Expr:
    """Datetime in microseconds without zone: ISO 8601 text as written, zoned types and offsets as UTC."""
    cell = pl.col(name)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        cell = cell.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if isinstance(dtype, (pl.Datetime, pl.Date)):
        # Databases know "infinity" and the year 294276: days so far off would not fit history's arithmetic.
        return (
            pl.when(_within_calendar(cell, dtype))
            .then(cell.cast(pl.Datetime("us"), strict=False))
            .alias(name)
        )
    if _is_text(dtype):
        return text(name, dtype).map_batches(
            _moments_of_texts, return_dtype=pl.Datetime("us"), is_elementwise=True
        )
    return _nothing(name, pl.Datetime("us"))


def _per_distinct(name: str, dtype: pl.DataType, parse: pl.Expr, out: pl.DataType) -> pl.Expr:
    """Parse each distinct text of a batch once: columns of few words are the rule."""

    def parsed(cells: pl.Series) -> pl.Series:
        return cells.alias(name).to_frame().select(parse.alias(name)).to_series()

    def parse_batch(cells: pl.Series) -> pl.Series:
        distinct = cells.unique()
        if 4 * len(distinct) >= len(cells):  # an empty batch too
            return parsed(cells)
        return cells.replace_strict(distinct, parsed(distinct), return_dtype=out)

    if not _is_text(dtype):
        return parse
    return pl.col(name).map_batches(parse_batch, return_dtype=out, is_elementwise=True)


def _within_calendar(cell: pl.Expr, dtype: pl.Datetime | pl.Date) -> pl.Expr:
    unit = dtype.time_unit if isinstance(dtype, pl.Datetime) else "d"
    a_day = {"d": 1, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}[unit]
    first, last = (date(year, month, day).toordinal() - _EPOCH for year, month, day in _CALENDAR)
    return cell.to_physical().cast(pl.Int64).is_between(first * a_day, last * a_day)


def _nothing(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.when(pl.col(name).is_null()).then(pl.lit(None, dtype)).alias(name)


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))


def _spells_number(word: str) -> bool:
    try:
        return float(word) == float(word)
    except ValueError:
        return False


def _moments_of_texts(texts: pl.Series) -> pl.Series:
    """Parse ISO 8601; of days alone each distinct one once, since there are few."""
    if not (texts.str.len_bytes() > _DAY_LENGTH).any():
        distinct = texts.unique()
        if 4 * len(distinct) < len(texts):
            return texts.replace_strict(distinct, _parsed_moments(distinct), return_dtype=pl.Datetime("us"))
    return _parsed_moments(texts)


def _parsed_moments(texts: pl.Series) -> pl.Series:
    """Try a format on all rows only while rows are left that may have it."""
    head = texts.str.slice(0, 19).str.replace("T", " ", literal=True)
    lengths = head.str.len_bytes()
    moments = pl.Series(texts.name, [None], pl.Datetime("us")).new_from_index(0, len(texts))
    for form, length in _ISO_FORMATS:
        rows = lengths == length
        if rows.any():
            parsed = head.str.to_datetime(form, time_unit="us", strict=False, exact=True)
            moments = parsed if rows.all() else parsed.zip_with(rows, moments)
    return _shifted_to_utc(texts, moments)


def _shifted_to_utc(texts: pl.Series, moments: pl.Series) -> pl.Series:
    tail = texts.str.slice(19)
    plain = (tail == "") | (tail == "Z") | tail.is_null()
    if plain.all():
        return moments
    rows = pl.DataFrame({"tail": tail, "moment": moments})
    form = r"^(?:[.,]\d+)?\s*(?:Z|UTC|(?:([+-])(\d\d):?(\d\d)?))?$"
    parts = pl.col("tail").str.extract_groups(form)
    minutes = parts.struct[1].cast(pl.Int64) * 60 + parts.struct[2].cast(pl.Int64).fill_null(0)
    signed = pl.when(parts.struct[0] == "-").then(-minutes).otherwise(minutes).fill_null(0)
    shifted = pl.col("moment") - pl.duration(minutes=signed)
    return rows.select(pl.when(pl.col("tail").str.contains(form)).then(shifted).alias(texts.name)).to_series()
