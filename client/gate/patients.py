"""The table of patients: one row of features per patient, whichever rows name that patient and in whatever order."""

from dataclasses import dataclass

import polars as pl

from wardround.client.connectors.source import Tables
from wardround.client.gate.bins import bin_type, feature_column, missing_value
from wardround.client.gate.events import identifier, read_rows_of_people
from wardround.client.gate.identity import PATIENT, identify
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.feature import Feature

_MISSING = "missing:"


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """Patients with a row in the table of patients; with several; with several that differ in what is read."""

    patients: int
    several: int
    differing: int


def read_patients(tables: Tables, contract: Contract, people: pl.DataFrame) -> pl.DataFrame:
    """Features of the patients table, row by row for ``people``; missing where a patient has no row there.

    Of a patient's several rows the one with the fewest missing values counts; of several such the one that comes first
    by its values, so that the order of the rows never matters (test_row_order.py).
    """
    features = _features(contract)
    frame = tables.part("patients", contract) if features else None
    if frame is None:
        return people.select(
            pl.lit(missing_value(f), column_type).alias(feature_column(f.name))
            for f, column_type in ((f, bin_type(f)) for f in features)
        )
    rows = read_rows_of_people(frame, tables, contract, "patients", people)
    if rows["index"].is_duplicated().any():
        rows = _most_complete(rows, features)
    joined = people.select("index").join(rows, on="index", how="left", maintain_order="left")
    return joined.select(
        pl.col(feature_column(f.name)).fill_null(pl.lit(missing_value(f), bin_type(f))) for f in features
    )


def count_repeated(tables: Tables, contract: Contract, key: bytes) -> Repeated:
    """Count patients who stand in the table of patients more than once; the tables are one hospital's."""
    frame = tables.part("patients", contract) if _features(contract) else None
    if frame is None:
        return Repeated(patients=0, several=0, differing=0)
    named = identifier(contract.patient, frame.collect_schema(), tables.patient_form).alias(PATIENT)
    people = identify(frame.select(named).drop_nulls().unique().collect(engine="streaming"), key)
    rows = read_rows_of_people(frame, tables, contract, "patients", people)
    return Repeated(
        patients=len(people),
        several=rows.filter(rows["index"].is_duplicated())["index"].n_unique(),
        differing=int(rows.unique()["index"].value_counts()["count"].gt(1).sum()),
    )


def _features(contract: Contract) -> list[Feature]:
    return [f for f in contract.features if f.table == "patients"]


def _most_complete(rows: pl.DataFrame, features: list[Feature]) -> pl.DataFrame:
    """Give one row per patient."""
    names = [feature_column(f.name) for f in features]
    missing = [
        pl.col(name) == pl.lit(missing_value(f), bin_type(f)) for f, name in zip(features, names, strict=True)
    ]
    ranked = rows.with_columns(pl.sum_horizontal(missing).alias(_MISSING)).sort("index", _MISSING, *names)
    return ranked.unique("index", keep="first", maintain_order=True).drop(_MISSING)
