"""Which patients a row of the consents speaks of: a grant strictly, whatever stands against it loosely.

Doubt about identity falls on the safe side. A grant counts for the patient whose identifier is the same in
canonical form. A withdrawal, an opt-out, a row whose dates cannot be read and a choice of topics count for every
patient whom they could mean. A row that was damaged in the file withdraws everything, for whoever it may name.
"""

from collections.abc import Sequence

import polars as pl

from wardround.client.connectors.patient_form import PatientForm, readings
from wardround.client.connectors.rounded import are_rounded, whom_rounded_mean
from wardround.client.connectors.source import DAMAGED
from wardround.client.gate.identity import PATIENT
from wardround.protocol.contract.contract import HOSPITAL_COLUMN

NARROWING = ("topic", "channel")
"""Kinds of rows that choose: who has one gets what is chosen, and nothing else."""


def whom_rows_mean(
    rows: pl.DataFrame, people: pl.DataFrame, form: PatientForm, standing: pl.Expr
) -> pl.DataFrame:
    """Join rows of consents to ``people`` (``index``); a row stands once for each patient that it means.

    rows: ``patient`` canonical, ``written`` as it was, kind, ``granted_at`` and whatever else. standing: of a row,
    whether it is a grant in force. Where a row is matched loosely, ``granted_at`` is null: it grants nothing. So it is
    where a spreadsheet rounded the identifier: several patients may then have the same.
    """
    identity = [name for name in (HOSPITAL_COLUMN, PATIENT) if name in people.columns]
    nothing = pl.lit(None, rows.schema["granted_at"]).alias("granted_at")
    exact = rows.with_columns(pl.when(~are_rounded(rows["written"])).then("granted_at").alias("granted_at"))
    strictly = exact.join(people.select("index", *identity), on=identity, how="inner")
    # A choice narrows what its patient gets: like a withdrawal, it counts for everybody whom it could mean.
    narrows = pl.col("kind").is_in(NARROWING)
    against = rows.filter(~standing | narrows).with_row_index("row")
    who = _loosely(against, people, form)
    loosely = who.join(against, on="row", how="inner")
    return pl.concat([strictly, loosely.drop("row").with_columns(nothing).select(strictly.columns)])


def whom_damaged_rows_mean(rows: pl.LazyFrame, people: pl.DataFrame, form: PatientForm) -> pl.Series:
    """Patients (``index``, UInt32) whom a damaged row of the consents may name, by any of its readings."""
    if DAMAGED not in rows.collect_schema():
        return pl.Series("index", [], pl.UInt32)
    named = rows.select(pl.col(DAMAGED).alias(PATIENT)).drop_nulls().collect(engine="streaming")
    each = named.select(pl.col(PATIENT).str.split("\n").explode())
    # In a federation's tables not even the hospital can be read: the row counts at all of them.
    return _meant(each, people, form)


def whom_rounded_rows_mean(rows: pl.DataFrame, people: pl.DataFrame, standing: pl.Expr) -> pl.Series:
    """Patients (``index``, UInt32) whom a row may mean that stands against something, where digits were lost.

    As a damaged row does, it counts for everything: nobody can tell whose it is. standing: as in ``whom_rows_mean``.
    """
    return whom_rounded_mean(rows.filter(~standing)["written"], people)


def whom_texts_mean(texts: Sequence[str], people: pl.DataFrame, form: PatientForm) -> pl.Series:
    """Patients (``index``, UInt32) whom any of these identifiers, as written, could mean."""
    return _meant(pl.DataFrame({PATIENT: texts}, {PATIENT: pl.String}), people, form)


def _meant(named: pl.DataFrame, people: pl.DataFrame, form: PatientForm) -> pl.Series:
    if named.is_empty():
        return pl.Series("index", [], pl.UInt32)
    known = readings(people.select("index", PATIENT), form)
    alike = readings(named, form).join(known, on="loose", how="inner")["index"]
    return pl.concat([alike, whom_rounded_mean(named[PATIENT], people)]).unique()


def _loosely(rows: pl.DataFrame, people: pl.DataFrame, form: PatientForm) -> pl.DataFrame:
    """Pairs of ``row`` and ``index`` that agree in a loose form."""
    if rows.is_empty():  # as most runs find them: the loose form of a million identifiers takes seconds
        return pl.DataFrame(schema={"row": rows.schema["row"], "index": people.schema["index"]})
    hospital = [HOSPITAL_COLUMN] if HOSPITAL_COLUMN in people.columns else []
    meant = readings(rows.select("row", *hospital, pl.col("written").alias(PATIENT)), form)
    known = readings(people.select("index", *hospital, PATIENT), form)
    return meant.join(known, on=["loose", *hospital], how="inner").select("row", "index").unique()
