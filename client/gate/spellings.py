"""How identifiers are spelt and whom the other tables name: counts for the hospital's own people, never a spelling."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.codes import CONSENT_KINDS
from wardround.client.connectors.patient_form import (
    AS_TEXT,
    AS_WRITTEN,
    canonical_texts,
    loose_texts,
    readings,
)
from wardround.client.connectors.rounded import are_rounded
from wardround.client.connectors.source import DAMAGED, Tables
from wardround.client.gate.events import identifier
from wardround.client.gate.identity import PATIENT
from wardround.protocol.contract.contract import TABLES, Contract

_FEWEST_DIGITS = 3  # that are taken for an identifier where letters stand around them


@dataclass(frozen=True, kw_only=True)
class Spellings:
    """Of the messages: rows with an identifier, those of them of another form, patients, events per patient.

    rounded: rows whose identifier a spreadsheet rounded. collapsed: patients with several spellings. near: patients
    whom another has a loose form in common with.
    """

    given: int
    of_other_form: int
    patients: int
    median_events: float
    most_events: int
    rounded: int
    collapsed: int
    near: int


@dataclass(frozen=True, kw_only=True)
class Named:
    """Rows of one kind in another table: all, those that name nobody with a message, those that nearly do."""

    table: str
    kind: str
    rows: int
    nobody: int
    nearly: int


def count_spellings(tables: Tables, contract: Contract) -> Spellings:
    """Count the spellings of the messages' identifiers."""
    each = _spelt(tables, contract, "messages").collect(engine="streaming")
    each = each.group_by("written", PATIENT).agg(pl.len().alias("rows"))
    people = each.drop_nulls(PATIENT).group_by(PATIENT).agg(pl.col("rows").sum(), pl.len().alias("spellings"))
    loose = loose_texts(_as_text(people[PATIENT], tables))
    events = people["rows"].to_numpy()
    return Spellings(
        given=int(each["rows"].sum()),
        of_other_form=int(each.filter(pl.col(PATIENT).is_null())["rows"].sum()),
        patients=len(people),
        median_events=float(np.median(events)) if len(events) else 0.0,
        most_events=int(events.max(initial=0)),
        rounded=int(each.filter(are_rounded(each["written"]))["rows"].sum()),
        collapsed=int((people["spellings"] > 1).sum()),
        near=int((~loose.is_unique() & loose.is_not_null()).sum()),
    )


def count_named(tables: Tables, contract: Contract, table: str) -> list[Named]:
    """Count, by kind in the consents, the rows that name nobody who has a message."""
    if tables.part(table, contract) is None:
        return []
    known = (
        _spelt(tables, contract, "messages").select(PATIENT).drop_nulls().unique().collect(engine="streaming")
    )
    rows = _spelt(tables, contract, table).collect(engine="streaming").with_row_index("row")
    strictly = rows[PATIENT].is_in(known[PATIENT].implode()).fill_null(False)
    loosely = rows["row"].is_in(_loosely(rows, known, tables).implode())
    # As the gate hears them (`consent_match`): a grant strictly, a withdrawal loosely as well.
    heard = strictly | (loosely & rows["against"])
    nearly = ~heard & (loosely | rows["row"].is_in(_by_digits(rows, known, tables).implode()))
    # Also where it is heard: it is heard for others too.
    nearly |= are_rounded(rows["written"])
    counted = (
        rows.with_columns(nobody=~heard, nearly=nearly)
        .group_by("kind")
        .agg(pl.len().alias("rows"), pl.col("nobody").sum(), pl.col("nearly").sum())
    )
    return [Named(table=table, **row) for row in counted.sort("kind").iter_rows(named=True)]


def count_damaged(tables: Tables, contract: Contract) -> dict[str, int]:
    """Count, by table, the rows that could not be read whole."""
    found = {}
    for table in TABLES:
        rows = tables.part(table, contract) if contract.columns(table) else None
        if rows is not None and DAMAGED in rows.collect_schema():
            found[table] = rows.select(pl.col(DAMAGED).count()).collect(engine="streaming").item()
    return {table: count for table, count in found.items() if count}


def _spelt(tables: Tables, contract: Contract, table: str) -> pl.LazyFrame:
    """Identifiers as ``written`` and in canonical form, of rows that have one; in consents also kind and against."""
    rows = tables.part(table, contract)
    if rows is None:
        raise ValueError(f"tables without {table}")
    schema, column = rows.collect_schema(), contract.patient
    written = pl.when(parsing.is_given(column, schema[column])).then(parsing.text(column, schema[column]))
    others = [pl.lit("").alias("kind"), pl.lit(False).alias("against")]
    if table == "consents":
        against = parsing.is_given("withdrawn_at", schema["withdrawn_at"])
        kind = parsing.lower_text("kind", schema["kind"])
        others = [
            # A kind that the product does not know is whatever stands in that cell, and is not shown.
            pl.when(kind.is_in(list(CONSENT_KINDS)))
            .then(kind)
            .otherwise(pl.lit("other kinds"))
            .alias("kind"),
            against.alias("against"),
        ]
    named = identifier(column, schema, tables.patient_form).alias(PATIENT)
    return rows.select(written.alias("written"), named, *others).filter(pl.col("written").is_not_null())


def _loosely(rows: pl.DataFrame, known: pl.DataFrame, tables: Tables) -> pl.Series:
    meant = readings(rows.select("row", pl.col("written").alias(PATIENT)), tables.patient_form)
    return meant.join(readings(known, tables.patient_form), on="loose", how="semi")["row"].unique()


def _by_digits(rows: pl.DataFrame, known: pl.DataFrame, tables: Tables) -> pl.Series:
    """Rows that name somebody by digits alone: ``p0042`` or ``MRN 42`` for 0042, or the other way round."""
    theirs, ours = (loose_texts(_as_text(one, tables)) for one in (rows["written"], known[PATIENT]))
    marked = pl.DataFrame({"row": rows["row"], "loose": theirs, "digits": _digits_of(theirs)})
    digits = _digits_of(ours)
    one_way = marked["digits"].is_in(ours.filter(ours == digits).drop_nulls().implode())
    other_way = (theirs == marked["digits"]) & theirs.is_in(digits.drop_nulls().implode())
    return marked.filter(one_way.fill_null(False) | other_way.fill_null(False))["row"]


def _digits_of(loose: pl.Series) -> pl.Series:
    digits = loose.str.replace_all("[^0-9]", "").str.replace("^0+([0-9])", "$1")
    return digits.set((digits.str.len_bytes() < _FEWEST_DIGITS).fill_null(False), None)


def _as_text(texts: pl.Series, tables: Tables) -> pl.Series:
    return canonical_texts(texts, AS_TEXT) if tables.patient_form == AS_WRITTEN else texts
