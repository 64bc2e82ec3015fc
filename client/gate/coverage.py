"""Consent coverage: how many of the patients who have messages may be learned from, counted for the doctor."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from wardround.client.connectors.source import Tables
from wardround.client.gate.consent import standing_consents
from wardround.client.gate.events import identifier
from wardround.client.gate.identity import PATIENT, identify
from wardround.protocol.contract.contract import Contract


@dataclass(frozen=True)
class Coverage:
    """Numbers of patients with a message: all, who consent to the purpose now, who chose topics, by source."""

    patients: int
    consented: int
    topic_choosers: int
    by_source: dict[str, int]


def consent_coverage(tables: Tables, contract: Contract, key: bytes, now: datetime) -> Coverage:
    """Count patients by what their consents come to at ``now``; the tables are one hospital's."""
    frame = tables.part("messages", contract)
    if frame is None:
        raise ValueError("tables without messages")
    names = frame.select(
        identifier(contract.patient, frame.collect_schema(), tables.patient_form).alias(PATIENT)
    )
    people = identify(names.drop_nulls().unique().collect(engine="streaming"), key)
    standing = standing_consents(tables, contract, people, now)
    purpose = standing.filter(kind="purpose", value=contract.purpose.lower())
    active = purpose.filter("active")["index"].n_unique()
    refused = purpose.filter(~pl.col("active"))["index"].n_unique()
    return Coverage(
        patients=len(people),
        consented=active if contract.consent.required else len(people) - refused,
        topic_choosers=standing.filter(kind="topic")["index"].n_unique(),
        by_source={
            source: standing.filter(pl.col("active"), kind="source", value=source.lower())["index"].n_unique()
            for source in contract.sources
        },
    )
