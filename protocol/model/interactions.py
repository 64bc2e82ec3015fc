"""Interactions of two fields that no contract names: one effect for each pair of their bins.

All pairs of features with few bins, but for those that the contract crosses (``Layout.interactions``). A main effect
shows in every pair of its field; what neither field tells alone is the interaction (GA²M: Lou, Caruana, Gehrke and
Hooker 2013, "Accurate intelligible models with pairwise interactions"). The row of an event has one active cell for
each pair, scaled by a public factor so that its norm is 1.
"""

from collections.abc import Iterator
from math import sqrt

import numpy as np

from wardround.protocol.arrays import Floats, Integers32
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import Events


def cell_count(layout: Layout) -> int:
    """Number of effects: pairs of bins over all interactions."""
    return sum(pair.size for pair in layout.interactions)


def cell_scale(layout: Layout) -> float:
    """Public factor of each cell. Guarantee: an event's scaled row of cells has norm at most 1."""
    return 1 / sqrt(max(len(layout.interactions), 1))


def active_cells(layout: Layout, events: Events) -> Integers32:
    """int32 [events, interactions]: each row's active cells, ascending."""
    cells = np.empty((len(events.bins), len(layout.interactions)), np.int32)
    for index, active in enumerate(_by_pair(layout, events)):
        cells[:, index] = active
    return cells


def interaction_logits(layout: Layout, weights: Floats, events: Events) -> Floats:
    """What interactions add to each event's log-odds: float64 [events]. weights: float64 [cells], scaled."""
    logits, effects = np.zeros(len(events.bins)), weights * cell_scale(layout)
    # Pair by pair: all active cells at once would be as many columns as there are pairs.
    for active in _by_pair(layout, events):
        logits += effects[active]
    return logits


def _by_pair(layout: Layout, events: Events) -> Iterator[Integers32]:
    """Give each pair's active cell, int32 [events], in the order of the layout."""
    position, start = {field.name: index for index, field in enumerate(layout.features)}, 0
    for pair in layout.interactions:
        first, second = (events.bins[:, position[parent]] for parent in pair.parents)
        yield start + first * np.int32(pair.second.size) + second
        start += pair.size
