"""Columns that hold each other's cells, whatever they are: words, numbers or timestamps, of one table or of two.

Looked for in the first rows of each table. A pair is named only where hardly a cell of either column is what the
contract expects there, and nearly all are what it expects in the other: all else is left to the counts of codes and
types.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.codes import CONSENT_KINDS
from wardround.client.connectors.source import Tables
from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.contract.tree import Tree

_ROWS = 20_000
_FEWEST = 10  # cells, below which nothing is said
_CROSSWISE, _OWN = 0.8, 0.2
Pair = tuple[tuple[str, str], tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class _Expected:
    """What a contract expects in a column: words (or ``codes``), else a number (within ``valid``), else a timestamp."""

    table: str
    column: str
    words: tuple[str, ...] = ()
    number: bool = False
    valid: tuple[float, float] | None = None
    codes: Tree | None = None


def swapped_columns(tables: Tables, contract: Contract) -> list[Pair]:
    """Give pairs of table and column that hold each other's cells; a column is in one pair at most."""
    expected = list(_expected(contract))
    first = {
        table: part.head(_ROWS) for table in TABLES if (part := _part(tables, contract, table)) is not None
    }
    rows = {table: frame.collect(engine="streaming") for table, frame in first.items()}
    there = [one for one in expected if one.table in rows]
    # NaN, of too few cells, is neither below nor above a bound: such a column is never named.
    wrong = [one for one in there if _share(rows[one.table], one, one, tables) < _OWN]
    found: list[Pair] = []
    for one, other in combinations(wrong, 2):
        names = (one.table, one.column), (other.table, other.column)
        taken = {name for pair in found for name in pair}
        crosswise = (_share(rows[a.table], a, b, tables) for a, b in ((one, other), (other, one)))
        if taken.isdisjoint(names) and all(share >= _CROSSWISE for share in crosswise):
            found.append(names)
    return found


def _part(tables: Tables, contract: Contract, table: str) -> pl.LazyFrame | None:
    return tables.part(table, contract) if contract.columns(table) else None


def _share(rows: pl.DataFrame, one: _Expected, other: _Expected, tables: Tables) -> float:
    """Share of one column's cells that are what is expected in another; NaN where there are too few."""
    name, dtype, form = one.column, rows.schema[one.column], tables.format(one.table)
    if other.words == CONSENT_KINDS:
        fits = parsing.lower_text(name, dtype).is_in(list(CONSENT_KINDS))
    elif other.words:
        fits = parsing.listed_index(name, dtype, other.words, form, other.codes).is_not_null()
    elif other.number:
        number = parsing.number(name, dtype, form)
        fits = number.is_between(*other.valid) if other.valid else number.is_not_null()
    else:
        fits = parsing.instant(name, dtype, form, tables.timezone).is_not_null()
    given = rows.filter(parsing.is_given(name, dtype)).select(fits.fill_null(False).alias("fits"))
    return float(given["fits"].sum()) / len(given) if len(given) >= _FEWEST else float("nan")


def _expected(contract: Contract) -> Iterator[_Expected]:
    """Give each column of the contract that holds anything but an identifier or free words, once."""
    label = contract.label
    found = [_Expected(table="messages", column=label.column, words=label.words)]
    if contract.columns("consents"):
        found.append(_Expected(table="consents", column="kind", words=CONSENT_KINDS))
    timestamps = [("messages", contract.decided_at), ("messages", contract.outcome_at)]
    timestamps.append(("assessments", contract.assessed_at))
    if contract.arms is not None:
        found.append(_Expected(table="arms", column=contract.arms.column, words=contract.arms.words))
        timestamps += [("arms", contract.arms.since), ("arms", contract.arms.until)]
    if contract.propensity is not None:
        drawn = contract.propensity.column
        found.append(_Expected(table="messages", column=drawn, number=True, valid=(0.0, 1.0)))
    for feature in contract.features:
        if feature.worded:
            words, column = feature.vocabulary, feature.columns[0]
            found.append(_Expected(table=feature.table, column=column, words=words, codes=feature.codes))
        elif feature.kind == "numeric":
            valid = feature.valid or feature.range
            found.append(_Expected(table=feature.table, column=feature.columns[0], number=True, valid=valid))
        elif feature.kind in ("hour", "weekday", "month", "gap_days"):
            timestamps += [(feature.table, column) for column in feature.columns]
    found += [_Expected(table=table, column=column) for table, column in timestamps if column is not None]
    # Reversed: of a column that is expected twice, the first expectation stays.
    yield from {(one.table, one.column): one for one in reversed(found)}.values()
