"""What beats everything: deceased, pregnancy loss, inpatient, palliative, a clinician's stop. Pure.

A row counts for every patient whom it could mean, whatever reason stands in it. A date that cannot be read bounds
nothing, and nobody comes back from *deceased*.
"""

from datetime import datetime

import polars as pl

from wardround.client.connectors.patient_form import PatientForm
from wardround.client.gate.consent_match import whom_texts_mean
from wardround.client.outreach.tables import OutreachTable


def whom_vetoes_mean(
    table: OutreachTable, people: pl.DataFrame, form: PatientForm, now: datetime, until: datetime
) -> pl.Series:
    """Give ``index`` of whom a veto holds at some time from ``now`` to ``until``, on the hospital's wall clock."""
    begun = (pl.col("starts_at") <= until).fill_null(True)
    over = (pl.col("ends_at") <= now).fill_null(False)
    holds = (pl.col("reason") == "deceased").fill_null(False) | (begun & ~over)
    named = table.rows.filter(holds & ~pl.col("damaged"))["written"].drop_nulls().unique()
    return whom_texts_mean(named.to_list(), people, form)
