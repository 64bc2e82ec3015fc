"""Each change that a message makes must earn its place: the guard against the winner's curse.

The best of many messages by a noisy model owes much of its gain to luck (the winner's curse; Thaler 1988), and a test
of its whole gain does not help: one change that truly gains carries others along that only seem to. So a message is
taken apart into what it changes of the standard one (channel, tone, hour …), one change after another; the parts add up
to the whole difference in log-odds. A part for the better counts only where it exceeds ``GUARD`` of its own errors,
a part for the worse always. A message whose changes are all doubtful gains nothing, and the standard one stands.

The error is that of the posterior (``wardround.server.algorithm.weight_error``): how far the truth may be off, not the
noise alone; and the weights are the posterior's mean, already shrunk, so that what passes by chance promises little.
"""

from collections.abc import Mapping

import numpy as np

from wardround.client.outreach.choose.gain import message_differences
from wardround.protocol.arrays import Floats, Floats32, Integers32
from wardround.protocol.contract.contract import Contract
from wardround.protocol.model.design import Events

GUARD = 1.0
"""Errors that a change for the better must exceed; chosen on synthetic federations (docs/lab/outreach.md)."""


def change_differences(
    contract: Contract,
    effects: Floats,
    error_factor: Floats,
    option: Events,
    standard: Events,
    not_for_gain: Mapping[str, Floats],
) -> tuple[Floats, Floats]:
    """Give the difference in log-odds of each change, and its error: float64 [events, changes] each.

    They add up to the whole difference. A change is one feature in which the two differ for some event, with the
    histories by it. In the contract's order; none: no columns. Arguments and errors as of ``message_differences``.
    """
    parts, before = [], standard
    for features, values in _changes(contract, option, standard):
        after = _Mixed(before, option, features, values)
        parts.append(message_differences(contract.layout, effects, error_factor, after, before, not_for_gain))
        before = after
    if not parts:
        return np.zeros((len(standard.bins), 0)), np.zeros((len(standard.bins), 0))
    return np.stack([one for one, _ in parts], axis=1), np.stack([error for _, error in parts], axis=1)


def earned(differences: Floats, errors: Floats, guard: float = GUARD) -> Floats:
    """Add up the changes that count: float64 [events], in log-odds. Arguments: [events, changes]."""
    counts = (differences > guard * errors) | (differences < 0)
    return np.asarray(np.where(counts, differences, 0.0).sum(axis=1))


def _changes(contract: Contract, option: Events, standard: Events) -> list[tuple[list[int], list[int]]]:
    """Places of bins and of ranged values that change together, change by change."""
    by = {feature.name: feature.by or feature.name for feature in contract.features}
    layout = contract.layout
    bins = {field.name: place for place, field in enumerate(layout.features)}
    values = {name: place for place, name in enumerate(layout.values)}
    found: dict[str, tuple[list[int], list[int]]] = {}
    for name in by:
        which, places, arrays = (0, bins, "bins") if name in bins else (1, values, "values")
        place = places[name]
        if (getattr(option, arrays)[:, place] != getattr(standard, arrays)[:, place]).any():
            found.setdefault(by[name], ([], []))[which].append(place)
    return list(found.values())


class _Mixed:
    """Events with some features from ``option`` and the others as they were."""

    def __init__(self, before: Events, option: Events, features: list[int], values: list[int]) -> None:
        self.bins: Integers32 = before.bins.copy()
        self.values: Floats32 = before.values.copy()
        self.bins[:, features] = option.bins[:, features]
        self.values[:, values] = option.values[:, values]
