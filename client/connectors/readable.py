"""How many cells of each column do not parse: counted before a study, shown as counts, never as values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.source import Tables
from wardround.client.connectors.table_format import DATES, TableFormat
from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.contract.feature import Feature
from wardround.protocol.errors import TableError

MOST_UNREADABLE = 0.10
_WANTED = {
    "numeric": "a number",
    "probability": "a probability above 0 and at most 1",
    "boolean": "yes or no (1 or 0)",
    "timestamp": "a date (ISO 8601)",
    "label": "one of the label's values",
}
_TRIALS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "numeric": (
        {"decimal": ","},
        {"thousands": ","},
        {"decimal": ",", "thousands": "."},
        {"thousands": " "},
        {"thousands": "'"},
    ),
    "probability": ({"decimal": ","},),
    "timestamp": tuple({"dates": dates} for dates in DATES),
}
"""Formats that are tried on cells, to be proposed to a person: nothing is read by one that nobody has set."""
_MOST_PROPOSED = 3
_ROW = "row:"


@dataclass(frozen=True)
class Readability:
    """Rows of one column: all, those with something in the cell, those of these that do not parse.

    first_row: the first of them, from 1 (in a text file the line after; the first line holds the names). most: the
    share of them that may be.
    """

    table: str
    column: str
    wanted: str
    rows: int
    given: int
    unreadable: int
    first_row: int | None = None
    most: float = MOST_UNREADABLE

    @property
    def fault(self) -> str:
        """Say how many cells do not parse, and where the first is; never what it holds."""
        where = f"{self.unreadable / max(self.given, 1):.0%}, the first in row {self.first_row}"
        counted = f"{self.unreadable} of {self.given} rows do not parse as {self.wanted} ({where})"
        return f"{counted}; at most {self.most:.0%} may"

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
            bad = given & parsed.is_null()
            counts += [
                given.sum().alias(f"given:{kind}:{column}"),
                bad.sum().alias(f"unreadable:{kind}:{column}"),
                pl.col(_ROW).filter(bad).min().alias(f"first:{kind}:{column}"),
            ]
        row = (
            frame.with_row_index(_ROW, offset=1).select(counts).collect(engine="streaming").row(0, named=True)
        )
        found += [
            Readability(
                table, column, _WANTED[kind], row["rows"],
                row[f"given:{kind}:{column}"], row[f"unreadable:{kind}:{column}"], row[f"first:{kind}:{column}"],
                _most(kind, contract),
            )
            for column, kind in wanted
        ]  # fmt: skip
    return found


def check_types(tables: Tables, contract: Contract) -> list[Readability]:
    """Count as ``count_unreadable`` does; TableError if too many of a column's cells do not parse.

    It names all such columns of all tables, the worst first. Empty cells are missing, not unreadable.
    """
    found = count_unreadable(tables, contract)
    faults = [
        f"{one.table}: column {one.column}: {one.fault}; {remedy(tables, contract, one)}"
        for one in worst_first(found)
    ]
    if faults:
        raise TableError("; ".join(faults))
    return found


def worst_first(found: Sequence[Readability]) -> list[Readability]:
    """Give the columns of which too many cells do not parse, the largest share first."""
    return sorted(
        (one for one in found if one.too_many), key=lambda one: one.unreadable / one.given, reverse=True
    )


def remedy(tables: Tables, contract: Contract, one: Readability) -> str:
    """State the remedy for a column with too many unreadable cells; settings are tried, for a person to choose."""
    kind = next(kind for kind, words in _WANTED.items() if words == one.wanted)
    reading = _formats_that_read(tables, contract, one, kind)
    if reading:
        return f"set {' or '.join(reading)}"
    if kind == "label":
        return "list further words in the contract (label.set_aside), name the right column, or correct the export"
    if kind == "boolean":
        return "list its words in format.true and format.false, name the right column, or correct the export"
    return "name the right column, set format in the mapping, or correct the export"


def _formats_that_read(tables: Tables, contract: Contract, one: Readability, kind: str) -> list[str]:
    """Name the other formats under which nine tenths of the cells would parse, the best first."""
    frame, trials = tables.part(one.table, contract), _TRIALS.get(kind, ())
    if frame is None or not trials:
        return []
    dtype = frame.collect_schema()[one.column]
    given, form = parsing.is_given(one.column, dtype), tables.format(one.table)
    read = frame.select(
        (given & _parsed(kind, one.column, dtype, contract, _changed(form, trial)).is_not_null())
        .sum()
        .alias(str(place))
        for place, trial in enumerate(trials)
    ).collect()
    shares = {place: read[str(place)].item() / one.given for place in range(len(trials))}
    good = [
        place
        for place in sorted(shares, key=lambda place: -shares[place])
        if shares[place] >= 1 - MOST_UNREADABLE
    ]
    return [
        f"{_written(trials[place])} (reads {shares[place]:.0%} of them)" for place in good[:_MOST_PROPOSED]
    ]


def _changed(form: TableFormat, trial: Mapping[str, str]) -> TableFormat:
    return replace(
        form,
        decimal=trial.get("decimal", form.decimal),
        thousands=trial.get("thousands", form.thousands),
        dates=trial.get("dates", form.dates),
    )


def _written(trial: Mapping[str, str]) -> str:
    return " and ".join(
        f"format.{key} to {value if value.isalnum() else json.dumps(value)}" for key, value in trial.items()
    )


def _most(kind: str, contract: Contract) -> float:
    """Share of cells that may be of no word: a contract may say that its label's others are set aside, or refused."""
    if kind != "label" or contract.label.other is None:
        return MOST_UNREADABLE
    return 1.0 if contract.label.other == "set_aside" else 0.0


def _wanted(table: str, contract: Contract) -> list[tuple[str, str]]:
    """Which columns must parse as what, each pair once."""
    if table == "consents":
        return [(column, "timestamp") for column in ("granted_at", "withdrawn_at", "expires_at")]
    pairs = [(column, kind) for f in contract.features if f.table == table for column, kind in _feature(f)]
    if table == "messages":
        pairs.append((contract.label.column, "label"))
        pairs += [(c, "timestamp") for c in (contract.decided_at, contract.outcome_at) if c is not None]
    if table == "messages" and contract.propensity is not None:
        pairs.append((contract.propensity.column, "probability"))
    if table == "assessments" and contract.assessed_at is not None:
        pairs.append((contract.assessed_at, "timestamp"))
    if table == "arms" and contract.arms is not None:
        pairs += [(c, "timestamp") for c in (contract.arms.since, contract.arms.until) if c is not None]
    return sorted(set(pairs))


def _feature(feature: Feature) -> list[tuple[str, str]]:
    if feature.worded or feature.kind == "history":
        return []
    kind = feature.kind if feature.kind in ("numeric", "boolean") else "timestamp"
    return [(column, kind) for column in feature.columns]


def _parsed(kind: str, column: str, dtype: pl.DataType, contract: Contract, form: TableFormat) -> pl.Expr:
    if kind == "numeric":
        return parsing.number(column, dtype, form)
    if kind == "probability":
        return parsing.probability(column, dtype, form)
    if kind == "boolean":
        return parsing.truth(column, dtype, form)
    if kind == "timestamp":
        return parsing.instant(column, dtype, form)
    return parsing.word_index(column, dtype, contract.label.words, form)
