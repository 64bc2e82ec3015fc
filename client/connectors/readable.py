"""How many cells of each column do not parse: counted before a study, shown as counts, never as values."""

from dataclasses import dataclass

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.source import Tables
from wardround.client.connectors.table_format import TableFormat
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
    most: float = MOST_UNREADABLE

    @property
    def too_many(self) -> bool:
        """Whether more than a share of ``most`` of the cells with something in them do not parse."""
        return self.unreadable > self.most * self.given


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
            parsed = _parsed(kind, column, schema[column], contract, tables.format(table))
            counts += [
                given.sum().alias(f"given:{kind}:{column}"),
                (given & parsed.is_null()).sum().alias(f"unreadable:{kind}:{column}"),
            ]
        row = frame.select(counts).collect(engine="streaming").row(0, named=True)
        found += [
            Readability(
                table, column, _WANTED[kind], row["rows"],
                row[f"given:{kind}:{column}"], row[f"unreadable:{kind}:{column}"], _most(kind, contract),
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
        if one.too_many:
            raise TableError(
                f"{one.table}: column {one.column}: {one.unreadable} of {one.given} rows do not parse as "
                f"{one.wanted}; at most {one.most:.0%} may; {remedy(one)}"
            )
    return found


def remedy(one: Readability) -> str:
    """Say what mends a column of which too many cells do not parse."""
    if one.wanted == _WANTED["label"]:
        return (
            "list further words in the contract (label.set_aside), name the right column, or mend the export"
        )
    return "name the right column, set format in the mapping, or mend the export"


def _most(kind: str, contract: Contract) -> float:
    """Share of cells that may be of no word: a contract may say that its label's others are set aside, or refused."""
    if kind != "label" or contract.label.other is None:
        return MOST_UNREADABLE
    return 1.0 if contract.label.other == "set_aside" else 0.0


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


def _parsed(kind: str, column: str, dtype: pl.DataType, contract: Contract, form: TableFormat) -> pl.Expr:
    if kind == "numeric":
        return parsing.number(column, dtype, form)
    if kind == "boolean":
        return parsing.truth(column, dtype, form)
    if kind == "moment":
        return parsing.instant(column, dtype, form)
    return parsing.word_index(column, dtype, contract.label.words, form)
