"""Admitted events → Cohort: the only form in which patients reach the mathematics."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.client.cohort import Cohort
from wardround.client.gate.arms import ARM
from wardround.client.gate.bins import feature_column
from wardround.client.gate.events import PROPENSITY
from wardround.client.gate.identity import tokens_of
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.contract import HOSPITAL_COLUMN, Contract

Number = TypeVar("Number", np.int32, np.float32)


def encode(frame: pl.DataFrame, contract: Contract, hospitals: Sequence[str] | None = None) -> Cohort:
    """Arrange one part of ``Admitted`` by hospital, patient's token, and time within a patient.

    hospitals: names in the order of the cohort's segments, each kept even if no event is its own; None
    means all that occur, in the order of their names (a single one where the frame has no such column).
    The order of events within a patient, and with it every row, does not depend on other patients.
    ValueError for an event of a hospital that is not named.
    """
    places, segments = _places(frame, hospitals)
    if np.any(places[1:] < places[:-1]):
        order = np.argsort(places, kind="stable")  # within a hospital the gate has sorted already
        frame, places = frame[order], places[order]
    high, low = frame["token_high"].to_numpy(), frame["token_low"].to_numpy()
    fresh = np.ones(len(frame), np.bool_)
    fresh[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1]) | (places[1:] != places[:-1])
    first = np.flatnonzero(fresh)
    binned = [feature_column(field.name) for field in contract.layout.features]
    ranged = [feature_column(name) for name in contract.layout.values]
    return Cohort(
        bins=_columns(frame, binned, np.int32),
        values=_columns(frame, ranged, np.float32),
        # NaN, not -1: whoever takes an undecided event for an outcome gets no number.
        labels=np.where(frame["label"].to_numpy() < 0, np.nan, frame["label"].to_numpy()).astype(np.float64),
        rows=frame["row"].to_numpy().astype(np.int64),
        known=frame["known"].to_numpy(),
        tokens=tokens_of(high[first], low[first]),
        events_from=np.append(first, len(frame)).astype(np.int64),
        patients_from=np.searchsorted(places[first], np.arange(segments + 1)).astype(np.int64),
        arms=frame[ARM].fill_null(-1).to_numpy().astype(np.int32) if ARM in frame.columns else None,
        importance=_importance(frame, contract),
    )


def _importance(frame: pl.DataFrame, contract: Contract) -> Floats | None:
    if contract.propensity is None:
        return None
    # NaN where there is none, as in what is only scored: whoever learned from such an event would get no number.
    return contract.propensity.weights(frame[PROPENSITY].fill_null(np.nan).to_numpy())


def _places(frame: pl.DataFrame, hospitals: Sequence[str] | None) -> tuple[Integers, int]:
    """Position of each event's hospital in the order asked for, and the number of hospitals."""
    if HOSPITAL_COLUMN not in frame.columns:
        if hospitals is not None and len(hospitals) != 1:
            raise ValueError(f"{len(hospitals)} hospitals named for tables of a single one")
        return np.zeros(len(frame), np.int64), 1
    column = frame[HOSPITAL_COLUMN].cast(pl.String)
    names = list(column.unique().sort() if hospitals is None else hospitals)
    places = column.replace_strict(names, list(range(len(names))), default=None, return_dtype=pl.Int64)
    if places.null_count():
        raise ValueError(f"{places.null_count()} events of hospitals that are not named")
    return places.to_numpy(), len(names)


def _columns(frame: pl.DataFrame, names: Sequence[str], dtype: type[Number]) -> NDArray[Number]:
    out = np.empty((len(frame), len(names)), dtype)
    for position, name in enumerate(names):
        out[:, position] = frame[name].to_numpy()
    return out
