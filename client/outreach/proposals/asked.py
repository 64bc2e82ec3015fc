"""Messages that were never sent, as a contract's rows: what a model is asked about patients and options."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from wardround.client.connectors.source import Tables
from wardround.client.gate.bins import feature_column
from wardround.client.gate.events import read_events
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.content.words import ATTRIBUTES, attribute_feature
from wardround.protocol.arrays import Integers
from wardround.protocol.contract.contract import Contract

RESPONSE_DAYS = 14
"""How long a response is waited for where the trigger does not say: the same for every option of a patient."""
_LINKS = ("link", "has_link")


def asked_events(
    contract: Contract,
    tables: Tables,
    patients: pl.Series,
    until: pl.Series,
    module: Module,
    wall: datetime,
    first_row: int,
) -> pl.DataFrame:
    """Give one event for each patient, as ``read_events`` does: this module, decided now. until: when it ends."""
    texts = _message(contract, module, wall)
    frame = pl.DataFrame({contract.patient: patients})
    frame = frame.with_columns(**{name: pl.lit(text, pl.String) for name, text in texts.items()})
    if contract.outcome_at is not None:
        late = (pl.lit(wall) + pl.duration(days=RESPONSE_DAYS)).cast(pl.Datetime("us"))
        last = pl.coalesce(until, late).dt.strftime("%Y-%m-%dT%H:%M:%S")
        frame = frame.with_columns(last.alias(contract.outcome_at))
    events = _read(contract, tables, frame)
    return events.with_columns(row=pl.col("row") + first_row)


def option_bins(
    contract: Contract, tables: Tables, modules: Sequence[Module], hours: Sequence[int], day: datetime
) -> dict[int, Integers]:
    """Give the bins that options set: place among the contract's binned features → int64 [modules × hours].

    An option is a module at an hour, hours of one module side by side.
    """
    rows = [
        {**_message(contract, one, day.replace(hour=hour, minute=0)), contract.patient: "P"}
        for one in modules
        for hour in hours
    ]
    columns = contract.columns("messages")
    frame = pl.DataFrame(rows, dict.fromkeys(columns, pl.String), orient="row")
    events = _read(contract, tables, frame)
    told = {name for name in rows[0] if name != contract.patient}
    read = {
        one.name: set(one.columns) for one in contract.features if one.table == "messages" and one.columns
    }
    return {
        place: events[feature_column(field.name)].to_numpy().astype(np.int64)
        for place, field in enumerate(contract.layout.features)
        # A feature of another column (a lead time) is not the option's: it stays as it is.
        if field.name in read and read[field.name] <= told
    }


def _message(contract: Contract, module: Module, wall: datetime) -> dict[str, str]:
    """Give the cells of a message that a module and a time fill, by the contract's columns."""
    cells: dict[str, str] = {}
    for attribute in ATTRIBUTES:
        feature = attribute_feature(attribute, contract)
        if feature is not None:
            cells[feature.columns[0]] = getattr(module, attribute)
    for feature in contract.features:
        if feature.kind == "boolean" and feature.table == "messages" and feature.columns[0] in _LINKS:
            cells[feature.columns[0]] = "1" if module.link else "0"
    if contract.topic is not None:
        cells[contract.topic.column] = module.topic
    if contract.decided_at is not None:
        cells[contract.decided_at] = wall.strftime("%Y-%m-%dT%H:%M:%S")
    return cells


def _read(contract: Contract, tables: Tables, frame: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in contract.columns("messages") if name not in frame.columns]
    whole = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    written = Tables(whole, timezone=tables.timezone, patient_form=tables.patient_form)
    return read_events(written, contract)
