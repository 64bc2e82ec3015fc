"""How many cells of each column do not parse: counted before a study, shown as counts, never as values."""

from dataclasses import dataclass

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.source import Tables
from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.contract.feature import Feature
from wardround.protocol.errors import TableError

MOST_UNREADABLE = 0.10
_WANTED = {
    "numeric": "a number",
    "boolean": "yes or no (1 or 0)",
    "moment": "a date (ISO 8601)",
    "label": "one of the label's values",
}


@dataclass(frozen=True)
class Readability:
    """Rows of one column: all, those with something in the cell, those of these that do not parse."""

    table: str
    column: str
    wanted: str
    rows: int
    given: int
    unreadable: int


def count_unreadable(tables: Tables, contract: Contract) -> list[Readability]:
    """Count per column in one pass over each table; words of a vocabulary and identifiers always parse."""
    found = []
    for table in TABLES:
        frame = tables.part(table, contract) if contract.columns(table) else None
        if frame is None:
            continue
        schema = frame.collect_schema()
        wanted = _wanted(table, contract)
        counts = [pl.len().alias("rows")]
        for column, kind in wanted:
            given = parsing.is_given(column, schema[column])
            parsed = _parsed(kind, column, schema[column], contract)
            counts += [
                given.sum().alias(f"given:{kind}:{column}"),
                (given & parsed.is_null()).sum().alias(f"unreadable:{kind}:{column}"),
            ]
        row = frame.select(counts).collect(engine="streaming").row(0, named=True)
        found += [
            Readability(
                table, column, _WANTED[kind], row["rows"],
                row[f"given:{kind}:{column}"], row[f"unreadable:{kind}:{column}"],
            )
            for column, kind in wanted
        ]  # fmt: skip
    return found


def check_types(tables: Tables, contract: Contract) -> list[Readability]:
    """Count as ``count_unreadable`` does; TableError if more than a tenth of a column's cells do not parse.

    Empty cells are missing, not unreadable.
    """
    found = count_unreadable(tables, contract)
    for one in found:
        if one.unreadable > MOST_UNREADABLE * one.given:
            raise TableError(
                f"{one.table}: column {one.column}: {one.unreadable} of {one.given} rows do not parse as "
                f"{one.wanted}; at most {MOST_UNREADABLE:.0%} may; name the right column or mend the export"
            )
    return found


def _wanted(table: str, contract: Contract) -> list[tuple[str, str]]:
    """Which columns must parse as what, each pair once."""
    if table == "consents":
        return [(column, "moment") for column in ("granted_at", "withdrawn_at", "expires_at")]
    pairs = [(column, kind) for f in contract.features if f.table == table for column, kind in _feature(f)]
    if table == "messages":
        pairs.append((contract.label.column, "label"))
        pairs += [(c, "moment") for c in (contract.decided_at, contract.outcome_at) if c is not None]
    if table == "assessments" and contract.assessed_at is not None:
        pairs.append((contract.assessed_at, "moment"))
    return sorted(set(pairs))


def _feature(feature: Feature) -> list[tuple[str, str]]:
    if feature.kind in ("categorical", "history"):
        return []
    kind = feature.kind if feature.kind in ("numeric", "boolean") else "moment"
    return [(column, kind) for column in feature.columns]


def _parsed(kind: str, column: str, dtype: pl.DataType, contract: Contract) -> pl.Expr:
    if kind == "numeric":
        return parsing.number(column, dtype)
    if kind == "boolean":
        return parsing.truth(column, dtype)
    if kind == "moment":
        return parsing.instant(column, dtype)
    return parsing.word_index(column, dtype, (*contract.label.engaged, *contract.label.not_engaged))
