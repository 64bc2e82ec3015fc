"""Reading a column's cells, whatever type a source gave them: text, number, truth value, timestamp, word.

Every expression works row by row: what a cell becomes never depends on another row. What does not parse
becomes null, of whatever type or size it is (tests/client/connectors/test_parsing.py tries them all). Sources may hand
over text throughout (CSV) or typed columns (Parquet, a database).
"""

from collections.abc import Sequence
from itertools import product
from unicodedata import normalize

import polars as pl

from wardround.client.connectors.table_format import PLAIN, TableFormat
from wardround.client.connectors.timestamps import (
    UNITS,
    timestamp_of_number,
    timestamps_of_texts,
    wall_of_instant,
    wall_of_plain,
    within_calendar,
)
from wardround.protocol.contract.codes import CODE_OR_RANGE, DASH, HYPHEN, code_index
from wardround.protocol.contract.tree import Tree

MISSING_TEXTS = ("", "na", "n/a", "nan", "null", "none", "?", "-")
# Words that mean one thing in every language in which they are usual, in lower case and composed (NFC). Left out, and
# to be declared where they occur: single letters but t, f, y and n; "da", "ano", "ne", "tak", "nie".
TRUE_TEXTS = (
    "true", "t", "yes", "y", "sí", "si", "oui", "ja", "sim", "да",
    "verdadero", "verdadeiro", "vrai", "wahr", "vero",
)  # fmt: skip
FALSE_TEXTS = (
    "false", "f", "no", "n", "non", "nein", "nee", "não", "nao", "nej", "nei", "нет",
    "falso", "faux", "falsch",
)  # fmt: skip
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
_SPACES, _APOSTROPHES = " \u00a0\u202f\u2009", "'\u2019"


def is_given(name: str, dtype: pl.DataType) -> pl.Expr:
    """Whether the cell holds anything: not null, not NaN, not one of the usual words for missing."""
    cell = pl.col(name)
    if dtype.is_float():
        return cell.is_not_null() & cell.is_not_nan()
    if _is_text(dtype):
        return cell.is_not_null() & ~text(name, dtype).is_in(_MISSING_SPELLINGS).fill_null(False)
    return cell.is_not_null()


def text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Strip the text; a number without fraction is written as a whole one, so that 1.0 is "1".

    Null where a cell has no text of its own: lists, structs, times of day, intervals.
    """
    cell = pl.col(name)
    if dtype.is_float():
        # Cells that are not whole are cast as they stand: only the branch that is taken matters.
        whole = cell.cast(pl.Int64, strict=False)
        return pl.when(cell == whole).then(whole.cast(pl.String)).otherwise(cell.cast(pl.String))
    if isinstance(dtype, pl.Decimal):
        return cell.cast(pl.String, strict=False).str.replace(r"\.0+$", "")
    if isinstance(dtype, (pl.Datetime, pl.Date)):
        return within_calendar(cell, _unit(dtype)).cast(pl.String, strict=False).alias(name)
    if isinstance(dtype, pl.Binary):
        return cell.map_batches(_decoded, return_dtype=pl.String(), is_elementwise=True).str.strip_chars()
    if _is_text(dtype) or dtype.is_integer() or dtype == pl.Boolean:
        return cell.cast(pl.String, strict=False).str.strip_chars()
    return _nothing(name, pl.String())


def lower_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Stripped text in lower case: for columns of few words."""
    return _per_distinct(name, dtype, text(name, dtype).str.to_lowercase(), pl.String())


def number(name: str, dtype: pl.DataType, form: TableFormat = PLAIN) -> pl.Expr:
    """Float64, written with the format's decimal and thousands signs; infinite and NaN cells count as missing."""
    if not (dtype.is_numeric() or dtype == pl.Boolean or _is_text(dtype)):
        return _nothing(name, pl.Float64())
    cell = _plain_number(text(name, dtype), form) if _is_text(dtype) else pl.col(name)
    value = cell.cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value).alias(name)


def probability(name: str, dtype: pl.DataType, form: TableFormat = PLAIN) -> pl.Expr:
    """Float64, a number above 0 and at most 1; others count as missing, a percentage too."""
    value = number(name, dtype, form)
    return pl.when((value > 0) & (value <= 1)).then(value).alias(name)


def truth(name: str, dtype: pl.DataType, form: TableFormat = PLAIN) -> pl.Expr:
    """Boolean of 0 and 1, yes and no, true and false in several languages; the format's own words come first."""
    if dtype == pl.Boolean:
        return pl.col(name)
    value, words = number(name, dtype, form), text(name, dtype)
    spelt = words.str.normalize("NFC").str.to_lowercase()
    yes, no = value == 1, value == 0
    if _is_text(dtype):
        yes, no = yes | spelt.is_in(TRUE_TEXTS), no | spelt.is_in(FALSE_TEXTS)
    own_yes, own_no = (
        spelt.is_in([_comparable(word) for word in own]) if own else pl.lit(False)
        for own in (form.true, form.false)
    )
    found = pl.when(own_yes).then(True).when(own_no).then(False).when(yes).then(True).when(no).then(False)
    return _per_distinct(name, dtype, found, pl.Boolean())


def word_index(name: str, dtype: pl.DataType, words: Sequence[str], form: TableFormat = PLAIN) -> pl.Expr:
    """Position in ``words`` (Int32), null where the cell is none of them; "0" and "0.0" are the same word."""
    cell = text(name, dtype)
    index = cell.replace_strict(list(words), list(range(len(words))), default=None, return_dtype=pl.Int32)
    numeric = {float(word): i for i, word in enumerate(words) if _spells_number(word)}
    if not numeric:
        return _per_distinct(name, dtype, index, pl.Int32())
    by_value = number(name, dtype, form).replace_strict(
        list(numeric), list(numeric.values()), default=None, return_dtype=pl.Int32
    )
    return _per_distinct(name, dtype, pl.coalesce(index, by_value), pl.Int32())


def listed_index(
    name: str, dtype: pl.DataType, words: Sequence[str], form: TableFormat = PLAIN, codes: Tree | None = None
) -> pl.Expr:
    """Position in ``words`` (Int32) as ``word_index`` has it; with ``codes``, of the node of that tree it falls in."""
    if codes is None:
        return word_index(name, dtype, words, form)
    index = code_index(codes)

    def parse_batch(cells: pl.Series) -> pl.Series:
        distinct = cells.drop_nulls().unique()
        nodes = pl.Series([index.node_of(cell) for cell in distinct.to_list()], dtype=pl.Int32)
        return cells.replace_strict(distinct, nodes, default=None, return_dtype=pl.Int32)

    token = text(name, dtype).str.replace_all(DASH, HYPHEN, literal=True).str.extract(f"^({CODE_OR_RANGE})")
    # As long as the longest node: thousands of deeper codes are few of these.
    prefix = token.str.to_uppercase().str.replace_all(".", "", literal=True).str.slice(0, index.looked_at)
    short = pl.when(token.str.contains(HYPHEN, literal=True)).then(token).otherwise(prefix)
    found = short.map_batches(parse_batch, return_dtype=pl.Int32, is_elementwise=True)
    return _per_distinct(name, dtype, found, pl.Int32())


def instant(name: str, dtype: pl.DataType, form: TableFormat = PLAIN, zone: str = "UTC") -> pl.Expr:
    """Datetime in microseconds as the wall clock of ``zone`` shows it (client.connectors.timestamps says the rules)."""
    cell = pl.col(name)
    if isinstance(dtype, (pl.Datetime, pl.Date)):
        timestamp = within_calendar(cell, _unit(dtype))
        if isinstance(dtype, pl.Date):
            return timestamp.cast(pl.Datetime("us"), strict=False).alias(name)
        plain = timestamp.cast(pl.Datetime(dtype.time_unit)).cast(pl.Datetime("us"), strict=False)
        if dtype.time_zone is None:
            return wall_of_plain(plain, form.timezone or zone, zone).alias(name)
        utc = timestamp.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return wall_of_instant(utc.cast(pl.Datetime("us"), strict=False), zone).alias(name)
    if form.dates in UNITS and dtype.is_numeric():
        return timestamp_of_number(number(name, dtype), form, zone).alias(name)
    if _is_text(dtype) or (form.dates == "YYYYMMDD" and dtype.is_numeric()):
        return text(name, dtype).map_batches(
            lambda texts: timestamps_of_texts(texts, form, zone),
            return_dtype=pl.Datetime("us"),
            is_elementwise=True,
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

    if not _is_text(dtype) or isinstance(dtype, pl.Binary):
        return parse
    return pl.col(name).map_batches(parse_batch, return_dtype=out, is_elementwise=True)


def _plain_number(cell: pl.Expr, form: TableFormat) -> pl.Expr:
    """Write a number with a point and no groups; null where its signs are not the format's: 1.234 is never guessed."""
    if form.thousands:
        group = {" ": f"[{_SPACES}]", "'": f"[{_APOSTROPHES}]"}.get(form.thousands, rf"\{form.thousands}")
        grouped = rf"^[+-]?[0-9]{{1,3}}(?:{group}[0-9]{{3}})+(?:\{form.decimal}[0-9]*)?$"
        cell = pl.when(cell.str.contains(grouped)).then(cell.str.replace_all(group, "")).otherwise(cell)
    if form.decimal == ".":
        return cell
    without_point = pl.when(~cell.str.contains(".", literal=True)).then(cell)
    return without_point.str.replace(form.decimal, ".", literal=True)


def _decoded(cells: pl.Series) -> pl.Series:
    """Text that a file calls bytes (some writers of Parquet do); null where it is not UTF-8."""
    return pl.Series(cells.name, [_utf8(cell) for cell in cells], pl.String)


def _utf8(cell: bytes | None) -> str | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return None


def _unit(dtype: pl.Datetime | pl.Date) -> str:
    return dtype.time_unit if isinstance(dtype, pl.Datetime) else "d"


def _comparable(word: str) -> str:
    return normalize("NFC", word.strip()).lower()


def _nothing(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.when(pl.col(name).is_null()).then(pl.lit(None, dtype)).alias(name)


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum, pl.Binary))


def _spells_number(word: str) -> bool:
    try:
        return float(word) == float(word)
    except ValueError:
        return False
