"""A contract's numbers as fine as histogram boosting sees raw columns: for the bar without privacy alone.

The same gate reads the same tables by a contract whose edges are many more, from public bounds as the contract's own;
what comes out is matched to a cohort's events by the row of the table. Boosting puts raw numbers into 255 bins anyway.
"""

from dataclasses import replace

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats32
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.feature import Feature
from wardround.simulations.federation.federation import Federation
from wardround.simulations.study.comparison import UNORDERED

MOST_EVENTS = 10_000
"""No patient's events are drawn from: every row that any draw could give must be there to be matched."""
_STEPS = 120
_LONGEST = 50.0  # of a history's counts, which have no public bound
_LONGEST_GAP = 1000.0  # days, likewise


def fine_contract(contract: Contract) -> Contract:
    """Give the contract with about 250 edges for each binned number, and without crosses."""
    features = tuple(
        replace(feature, edges=fine_edges(feature)) if feature.edges else feature
        for feature in contract.features
    )
    return replace(contract, features=features, crosses=(), events_per_patient=MOST_EVENTS)


def fine_edges(feature: Feature) -> tuple[float, ...]:
    """Ascending edges: the feature's own, equal steps over its public bounds, and steps that grow from zero."""
    low, high = _bounds(feature)
    even = np.linspace(low, high, _STEPS)
    top = max(abs(low), abs(high))
    growing = np.geomspace(top / 1e4, top, _STEPS)
    steps = np.concatenate([even, growing, -growing if low < 0 else []])
    if feature.kind in ("gap_days", "hour") or (feature.kind == "history" and feature.statistic != "rate"):
        steps = np.concatenate([steps, np.arange(low, min(high, low + _STEPS))]).round()
    inside = steps[(steps >= low) & (steps <= high)]
    return tuple(float(edge) for edge in np.unique(np.concatenate([inside, feature.edges])))


def _bounds(feature: Feature) -> tuple[float, float]:
    if feature.valid is not None:
        return feature.valid
    first, last = feature.edges[0], feature.edges[-1]
    if feature.kind == "hour":
        return 0.0, 24.0
    if feature.kind == "history":
        longest = {"rate": 1.0, "days_since": _LONGEST_GAP}.get(str(feature.statistic), _LONGEST)
        return 0.0, max(last, longest)
    # Nobody said where it ends: as far again beyond the outer edges as lies between them.
    span = max(last - first, abs(last), 1.0)
    return first - span, last + span


def fine_columns(cohort: Cohort, fine: Federation) -> Floats32:
    """Give the ordered features of a cohort's events: float32 [events, columns]; NaN where a number is missing."""
    layout = fine.contract.layout
    kinds = {feature.name: feature.kind for feature in fine.contract.features}
    rows = np.concatenate([fine.training.rows, fine.heldout.rows])
    order = np.argsort(rows)
    places = order[np.minimum(np.searchsorted(rows, cohort.rows, sorter=order), len(rows) - 1)]
    absent = rows[places] != cohort.rows
    columns = []
    for index, field in enumerate(layout.features):
        if kinds[field.name] not in UNORDERED:
            bins = np.concatenate([fine.training.bins[:, index], fine.heldout.bins[:, index]])[places]
            missing = absent | (bins == field.size - 1)
            columns.append(np.where(missing, np.nan, bins).astype(np.float32))
    if not columns:
        return np.zeros((cohort.event_count, 0), np.float32)
    return np.column_stack(columns)
