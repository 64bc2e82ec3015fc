"""A protocol's arms as a table of the hospital's own, which the gate reads for an uplift query.

Who was counted in, with the arm that was drawn and the window in which outcomes count: the same patients as ``measure``
counts. The table names patients: it is for the hospital's own disk, and nothing of it leaves but by a charged query.
"""

from datetime import timedelta

import polars as pl

from wardround.client.connectors.source import TableSource
from wardround.client.outreach.measure.outcomes import PATIENT, TOKEN, counted_in, patients_of
from wardround.client.outreach.measure.protocol_file import SignedProtocol
from wardround.protocol.contract.arm import PERSONAL
from wardround.protocol.errors import ConfigurationError

ENTRIES = ("token", "recipient", "arm", "made_at", "stands_on")
"""Columns of the journal's proposals that are read."""
COLUMNS = ("patient", "arm", "counted_in", "until")
_TIME = "%Y-%m-%dT%H:%M:%S"


def arms_table(
    signed: SignedProtocol, entries: pl.DataFrame, source: TableSource, key: bytes
) -> pl.DataFrame:
    """Give ``COLUMNS``, one row per patient who was counted in, by identifier; times on the hospital's wall clock.

    entries: the journal's proposals, ``ENTRIES``; key: the hospital's patients key. Patients of whom no message is left
    in the tables have no row, nor have those of an arm ``personal``. ConfigurationError where the hospital's own part
    chose messages of another arm (rule 10), or where the mapping names no messages.
    """
    # An arm of that name says itself what chose; no contract can name it, and its patients are in no arm.
    patients = entries.filter((pl.col("recipient") == "patient") & (pl.col("arm") != PERSONAL))
    _refuse_own_part(signed, patients)
    people = counted_in(patients, signed, source.timezone)
    named = patients_of(source, "messages", key).join(people, on=TOKEN, how="inner")
    until = pl.col("since") + timedelta(days=signed.protocol.outcome.days)
    return named.select(
        pl.col(PATIENT).alias("patient"),
        "arm",
        pl.col("since").dt.strftime(_TIME).alias("counted_in"),
        until.dt.strftime(_TIME).alias("until"),
    ).sort("patient")


def _refuse_own_part(signed: SignedProtocol, patients: pl.DataFrame) -> None:
    chose = pl.col("stands_on").str.json_path_match("$.own_part").fill_null("false") == "true"
    if len(patients.filter(pl.col("arm").is_in(list(signed.protocol.arms)) & chose)):
        raise ConfigurationError(
            f"protocol={signed.protocol.name}: this hospital's own part chose messages of its arms, so they are this "
            "hospital's own to measure (outreach measure); a comparison over hospitals needs a protocol without that"
        )
