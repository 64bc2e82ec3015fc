"""Health risk assessments: what a patient had answered by the day before a message was decided.

One row per patient and assessment. A message sees the patient's latest assessment of an earlier *day*, as history sees
outcomes: never one of the same day, never a later one, never one past its retention. The source's opt-in is asked
afterwards, as for every feature that has a source (``client.gate.admit``).
"""

from datetime import datetime

import numpy as np
import polars as pl

from wardround.client.connectors.source import Tables
from wardround.client.gate.bins import bin_type, feature_column, missing_value, timestamp_column
from wardround.client.gate.events import read_rows_of_people
from wardround.client.gate.history import days_of, on_one_axis
from wardround.protocol.contract.contract import Contract

_ASSESSED = "assessed"


def assessed_features(
    events: pl.DataFrame, tables: Tables, contract: Contract, people: pl.DataFrame, oldest: datetime | None
) -> pl.DataFrame:
    """Features of the table assessments, one row per event; missing where none was answered in time.

    events: with index (of the patient in ``people``) and decided. oldest: assessments before it are past their
    retention (without zone); None keeps all. Guarantee (test_assessments.py): an event's values come from its own
    patient's rows alone, answered on an earlier day; the order of the rows never matters.
    """
    features = [f for f in contract.features if f.table == "assessments"]
    names = [feature_column(f.name) for f in features]
    rows = _answered(tables, contract, people, oldest)
    last = pl.repeat(None, len(events), dtype=pl.Int64, eager=True)
    if rows is None:
        rows = pl.DataFrame(schema={name: bin_type(f) for f, name in zip(features, names, strict=True)})
    else:
        last = _last_before(rows, events)
    return rows.select(
        pl.col(name).gather(last).fill_null(pl.lit(missing_value(f), bin_type(f)))
        for f, name in zip(features, names, strict=True)
    )


def _answered(
    tables: Tables, contract: Contract, people: pl.DataFrame, oldest: datetime | None
) -> pl.DataFrame | None:
    """Dated assessments of ``people``, sorted by patient, time, and values; None where there is no table."""
    assessed_at = contract.assessed_at
    frame = None if assessed_at is None else tables.part("assessments", contract)
    if frame is None or assessed_at is None:
        return None
    keep = [pl.col(timestamp_column(assessed_at)).dt.timestamp("us").alias(_ASSESSED)]
    rows = read_rows_of_people(frame, tables, contract, "assessments", people, keep, [assessed_at])
    rows = rows.filter(pl.col(_ASSESSED).is_not_null())
    if oldest is not None:
        rows = rows.filter(pl.col(_ASSESSED) >= pl.lit(oldest).cast(pl.Datetime("us")).dt.timestamp("us"))
    # By values too: of two answers of one time, which one counts must not follow from the table's order.
    values = sorted(set(rows.columns) - {"index", _ASSESSED})
    return rows.sort("index", _ASSESSED, *values)


def _last_before(rows: pl.DataFrame, events: pl.DataFrame) -> pl.Series:
    """Position in ``rows`` of each event's assessment, null where there is none: Int64 [events]."""
    owners = rows["index"].to_numpy().astype(np.int64)
    answered = on_one_axis(owners, days_of(rows[_ASSESSED].to_numpy()))
    patients = events["index"].to_numpy().astype(np.int64)
    asked = on_one_axis(patients, days_of(events["decided"].to_numpy()))
    # `last` is 0 where no row is earlier: the owner -1, put in front, is nobody.
    # `left`: an answer of the message's own day does not count.
    last = np.searchsorted(answered, asked, side="left")
    own = np.concatenate([[-1], owners])[last] == patients
    return pl.Series(last - 1, dtype=pl.Int64).set(pl.Series(~own), None)
