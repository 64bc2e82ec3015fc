"""Who is missing: each group's share of the patients in the table, and of those learned from. Stays in the hospital."""

from dataclasses import dataclass

import polars as pl

from wardround.client.connectors.source import Tables
from wardround.client.gate.admit import Admitted
from wardround.client.gate.bins import feature_column
from wardround.client.gate.events import read_events
from wardround.client.gate.identity import PATIENT, identify
from wardround.client.gate.patients import read_patients
from wardround.protocol.contract.contract import Contract


@dataclass(frozen=True, kw_only=True)
class GroupShare:
    """One band of one group: patients with a message in it, in the table and among those learned from, and shares."""

    group: str
    band: str
    in_table: int
    learned_from: int
    table_share: float
    learned_share: float


def group_shares(tables: Tables, contract: Contract, key: bytes, admitted: Admitted) -> list[GroupShare]:
    """Count the bands of the contract's groups; a patient with messages in two bands counts in both."""
    events = read_events(tables, contract).drop_nulls(PATIENT)
    people = identify(events.select(PATIENT).unique(), key)
    events = events.join(people.select("index", PATIENT), on=PATIENT, how="left", maintain_order="left")
    features = read_patients(tables, contract, people)
    events = events.with_columns(features[name].gather(events["index"]) for name in features.columns)
    learned = admitted.training.with_columns(index=pl.struct("token_high", "token_low"))
    found = []
    for feature in contract.features:
        column = feature_column(feature.name)
        if feature.name not in contract.groups or not feature.binned or column not in events.columns:
            continue
        there, taken = (_patients_by_band(rows, column) for rows in (events, learned))
        for band, label in enumerate(feature.labels):
            found.append(
                GroupShare(
                    group=feature.name,
                    band=label,
                    in_table=there.get(band, 0),
                    learned_from=taken.get(band, 0),
                    table_share=there.get(band, 0) / max(len(people), 1),
                    learned_share=taken.get(band, 0) / max(learned["index"].n_unique(), 1),
                )
            )
    return found


def _patients_by_band(events: pl.DataFrame, column: str) -> dict[int, int]:
    counted = events.group_by(column).agg(pl.col("index").n_unique().alias("patients"))
    return {int(band): int(count) for band, count in counted.select(column, "patients").iter_rows()}
