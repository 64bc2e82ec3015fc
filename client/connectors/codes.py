"""What a column's words come to under the contract: shares missing, *other* and out of range.

Counts leave this module, and words only for a person on the spot who asked for them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.source import Tables
from wardround.client.connectors.table_format import TableFormat
from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.contract.feature import Feature
from wardround.protocol.contract.tree import Tree

CONSENT_KINDS = ("purpose", "topic", "source", "other")
"""Kinds of consents; ``other`` is what a hospital says is about nothing that is asked here."""
_MOST_WORDS = 1000  # distinct words of a column that are looked at


@dataclass(frozen=True, kw_only=True)
class ColumnShares:
    """Rows of one column: all, with something in the cell, of these *other* and out of range.

    first: the row, from 0, where either first occurs; None for nowhere. vocabulary: the contract's words; empty for
    a number.
    """

    table: str
    column: str
    vocabulary: tuple[str, ...]
    codes: Tree | None = None
    rows: int
    given: int
    other: int
    out_of_range: int
    first: int | None

    @property
    def missing_share(self) -> float:
        """Share of the rows."""
        return 1 - self.given / max(self.rows, 1)

    @property
    def other_share(self) -> float:
        """Share of the cells with something in them that are none of the contract's words."""
        return self.other / max(self.given, 1)

    @property
    def out_of_range_share(self) -> float:
        """Share of the cells with something in them."""
        return self.out_of_range / max(self.given, 1)


def count_codes(tables: Tables, contract: Contract) -> list[ColumnShares]:
    """Count every column that has words or a range in the contract, in one pass over each table."""
    found = []
    for table in TABLES:
        frame = tables.part(table, contract) if contract.columns(table) else None
        wanted = list(_wanted(table, contract))
        if frame is None or not wanted:
            continue
        schema, form = frame.collect_schema(), tables.format(table)
        counts = [pl.len().alias("rows")]
        for number, (column, words, valid, codes) in enumerate(wanted):
            given = parsing.is_given(column, schema[column])
            other = given & _is_other(column, schema, words, form, codes)
            beyond = given & _is_beyond(column, schema, valid, form)
            counts += [
                given.sum().alias(f"given:{number}"),
                other.sum().alias(f"other:{number}"),
                beyond.sum().alias(f"beyond:{number}"),
                pl.col("row:").filter(other | beyond).min().alias(f"first:{number}"),
            ]
        row = frame.with_row_index("row:").select(counts).collect(engine="streaming").row(0, named=True)
        found += [
            ColumnShares(
                table=table,
                column=column,
                vocabulary=words,
                codes=codes,
                rows=row["rows"],
                given=row[f"given:{number}"],
                other=row[f"other:{number}"],
                out_of_range=row[f"beyond:{number}"],
                first=row[f"first:{number}"],
            )
            for number, (column, words, _, codes) in enumerate(wanted)
        ]
    return found


def unknown_words(
    tables: Tables, contract: Contract, one: ColumnShares, most: int = 5
) -> list[tuple[str, int]]:
    """Give the most frequent words of a column that the contract does not know: for a person's eyes alone."""
    words = _words_of(tables, contract, one)
    form = tables.format(one.table)
    index = parsing.listed_index("word", pl.String(), one.vocabulary, form, one.codes)
    unknown = words.filter(index.is_null()).sort("len", "word", descending=[True, False])
    return [(str(word), int(count)) for word, count in unknown.head(most).iter_rows()]


def _words_of(tables: Tables, contract: Contract, one: ColumnShares) -> pl.DataFrame:
    frame = tables.part(one.table, contract)
    if frame is None:
        raise ValueError(f"tables without {one.table}")
    dtype = frame.collect_schema()[one.column]
    word = parsing.text(one.column, dtype).alias("word")
    rows = frame.filter(parsing.is_given(one.column, dtype)).select(word)
    return rows.group_by("word").len().collect(engine="streaming").sort("len", "word").tail(_MOST_WORDS)


def _wanted(
    table: str, contract: Contract
) -> Iterator[tuple[str, tuple[str, ...], tuple[float, float] | None, Tree | None]]:
    """Columns with the contract's words (and the tree of codes), or with the range of numbers that it takes."""
    if table == "consents":
        yield "kind", CONSENT_KINDS, None, None
    if table == "arms" and contract.arms is not None:
        yield contract.arms.column, contract.arms.words, None, None
    for feature in contract.features:
        if feature.table == table and feature.worded:
            yield feature.columns[0], feature.vocabulary, None, feature.codes
        elif feature.table == table and feature.kind == "numeric" and _range_of(feature) is not None:
            yield feature.columns[0], (), _range_of(feature), None


def _range_of(feature: Feature) -> tuple[float, float] | None:
    return feature.valid or feature.range


def _is_other(
    column: str, schema: pl.Schema, words: tuple[str, ...], form: TableFormat, codes: Tree | None
) -> pl.Expr:
    if not words:
        return pl.lit(False)
    if words == CONSENT_KINDS:
        return ~parsing.lower_text(column, schema[column]).is_in(list(words)).fill_null(False)
    return parsing.listed_index(column, schema[column], words, form, codes).is_null()


def _is_beyond(
    column: str, schema: pl.Schema, valid: tuple[float, float] | None, form: TableFormat
) -> pl.Expr:
    if valid is None:
        return pl.lit(False)
    number = parsing.number(column, schema[column], form)
    return ((number < valid[0]) | (number > valid[1])).fill_null(False)
