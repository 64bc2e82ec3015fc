"""Boosted trees of many hospitals at once, around logits that stay fixed: plain arrays in, plain arrays out.

Gradient boosting with Newton leaves and histograms (Friedman 2001; Chen and Guestrin 2016, eq. 6 and 7), as libraries
have it; ``test_trees_are_those_of_scikit_learn`` holds the two against each other. Written out here because no
library's trees begin at another model's logits, end as arrays without pickle, and grow for all hospitals in one pass.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix

from wardround.protocol.arrays import Booleans, Floats, Integers

Codes = NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How trees grow. ridge: added to a leaf's curvature; least_curvature: that either side of a split must have.

    Curvatures are sums of weight · p(1 − p): a patient counts at most ¼.
    """

    trees: int
    depth: int
    rate: float
    ridge: float
    least_curvature: float


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees of every hospital, all complete and of one depth; the children of node i are 2i + 1 and 2i + 2.

    columns, thresholds: int16 [hospitals, trees, inner nodes]; an event goes left where its code in the column is at
    most the threshold, which is the top code where nothing was split. values: float64 [hospitals, trees, nodes], in
    log-odds: what the tree would say if it ended there; the leaves come last.
    """

    columns: Codes
    thresholds: Codes
    values: Floats

    @property
    def depth(self) -> int:
        """Splits on every way from root to leaf."""
        return int(np.log2(self.columns.shape[2] + 1))

    def put(self, hospitals: Integers, others: "Trees") -> None:
        """Take these hospitals' trees from ``others``, which holds them alone and in this order."""
        self.columns[hospitals] = others.columns
        self.thresholds[hospitals] = others.thresholds
        self.values[hospitals] = others.values


@dataclass(frozen=True, eq=False)
class TreeEvents:
    """Events as trees read them.

    codes: int16 [events, columns] in 0..bins−1. hospital: int64 [events] in 0..hospitals−1.
    """

    codes: Codes
    hospital: Integers
    hospitals: int
    bins: int

    def __repr__(self) -> str:
        """Show sizes, never contents."""
        return f"TreeEvents(hospitals={self.hospitals}, bins={self.bins})"

    def of(self, events: Booleans) -> "TreeEvents":
        """Keep these events."""
        return TreeEvents(self.codes[events], self.hospital[events], self.hospitals, self.bins)


def no_trees(hospitals: int, growth: Growth, bins: int) -> Trees:
    """Give trees that say nothing, of the shape that ``grow`` gives."""
    inner, nodes = 2**growth.depth - 1, 2 ** (growth.depth + 1) - 1
    return Trees(
        columns=np.zeros((hospitals, growth.trees, inner), np.int16),
        thresholds=np.full((hospitals, growth.trees, inner), bins - 1, np.int16),
        values=np.zeros((hospitals, growth.trees, nodes)),
    )


def grow(events: TreeEvents, labels: Floats, fixed: Floats, weights: Floats, growth: Growth) -> Trees:
    """Boost each hospital's log-loss from ``fixed`` logits on: labels, fixed, weights are float64 [events].

    Guarantee: one hospital's trees depend on its own events alone, and equal inputs give equal trees.
    """
    histogram = _Histogram.of(events)
    grown = no_trees(events.hospitals, growth, events.bins)
    logits = fixed.copy()
    for tree in range(growth.trees):
        # ±50: within 2e-22 of 0 or 1 already; exp overflows beyond 709.
        probability = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
        slopes = np.stack([probability - labels, probability * (1 - probability)], axis=1) * weights[:, None]
        at = (grown.columns[:, tree], grown.thresholds[:, tree], grown.values[:, tree])
        leaf = _grow_one(events, histogram, slopes, growth, at)
        logits += grown.values[events.hospital, tree, leaf]
    return grown


def tree_logits(trees: Trees, events: TreeEvents) -> Floats:
    """Sum of the trees' leaves for each event, in log-odds: float64 [events]."""
    total = np.zeros(len(events.hospital))
    for tree in range(trees.columns.shape[1]):
        node = np.zeros(len(total), np.int64)
        for _ in range(trees.depth):
            node = _child(trees.columns[:, tree], trees.thresholds[:, tree], events, node)
        total += trees.values[events.hospital, tree, node]
    return total


def tree_contributions(trees: Trees, events: TreeEvents) -> tuple[Floats, Floats]:
    """Take ``tree_logits`` apart: float64 [events, columns], and float64 [events] of what no column explains.

    Path contributions (Saabas 2014): a split's column is given the change from the node's value to the child's. The
    rest is the sum of the roots' values, one number for each hospital. Both together are ``tree_logits``, exactly
    but for rounding. Of a pair of columns that act together, the lower split gets the joint effect; TreeSHAP (Lundberg
    et al. 2020) would share it out.
    """
    each = np.arange(len(events.hospital))
    found = np.zeros(events.codes.shape)
    for tree in range(trees.columns.shape[1]):
        columns, values = trees.columns[:, tree], trees.values[:, tree]
        node = np.zeros(len(each), np.int64)
        for _ in range(trees.depth):
            child = _child(columns, trees.thresholds[:, tree], events, node)
            change = values[events.hospital, child] - values[events.hospital, node]
            found[each, columns[events.hospital, node]] += change
            node = child
    return found, trees.values[:, :, 0].sum(axis=1)[events.hospital]


def _child(columns: Codes, thresholds: Codes, events: TreeEvents, node: Integers) -> Integers:
    hospital = events.hospital
    code = events.codes[np.arange(len(node)), columns[hospital, node]]
    return np.asarray(2 * node + 1 + (code > thresholds[hospital, node]))


def _grow_one(
    events: TreeEvents,
    histogram: "_Histogram",
    slopes: Floats,
    growth: Growth,
    at: tuple[Codes, Codes, Floats],
) -> Integers:
    """Fill one tree of each hospital, level by level, into ``at``; give each event's leaf, int64 [events]."""
    columns, thresholds, values = at
    parent, node = np.zeros(len(slopes), np.int64), np.zeros(len(slopes), np.int64)
    sums = histogram.sums(slopes, parent, 1)
    for level in range(growth.depth):
        place = slice(2**level - 1, 2 ** (level + 1) - 1)
        columns[:, place], thresholds[:, place] = _best_splits(sums, growth, events.bins)
        parent, node = node - place.start, _child(columns, thresholds, events, node)
        if level + 1 < growth.depth:
            # Left children are summed; their siblings have the rest of the parent.
            left = histogram.sums(slopes * (node % 2 == 1)[:, None], parent, 2**level)
            sums = np.stack([left, sums - left], axis=4).reshape(*left.shape[:3], -1, 2)
    values[:] = _node_values(events, slopes, node, growth)
    return node


def _node_values(events: TreeEvents, slopes: Floats, leaf: Integers, growth: Growth) -> Floats:
    """Each node's Newton step from its events' slopes: float64 [hospitals, nodes]."""
    leaves = 2**growth.depth
    place = events.hospital * leaves + leaf - (leaves - 1)
    sums: list[Floats] = [
        # numpy's bincount of no events is of integers.
        np.bincount(place, each, events.hospitals * leaves).astype(np.float64).reshape(-1, leaves)
        for each in slopes.T
    ]
    steps = [_step(sums, growth)]
    while steps[0].shape[1] > 1:
        sums = [each.reshape(len(each), -1, 2).sum(axis=2) for each in sums]
        steps.insert(0, _step(sums, growth))
    return np.concatenate(steps, axis=1)


def _step(sums: list[Floats], growth: Growth) -> Floats:
    return np.asarray(-growth.rate * sums[0] / (sums[1] + growth.ridge))


def _best_splits(sums: Floats, growth: Growth, bins: int) -> tuple[Codes, Codes]:
    """Column and threshold of each node's largest gain: int16 [hospitals, nodes].

    sums: float64 [hospitals, columns, bins, nodes, 2], slopes and curvatures.
    """
    left = sums.cumsum(axis=2)
    whole = left[:, :1, -1:]
    right = whole - left
    gains = _gain(left, growth) + _gain(right, growth) - _gain(whole, growth)
    gains[np.minimum(left[..., 1], right[..., 1]) < growth.least_curvature] = 0
    flat = gains.reshape(len(sums), -1, sums.shape[3])
    best = flat.argmax(axis=1)
    # A hair above 0: rounding alone would split what is all alike.
    helps = np.take_along_axis(flat, best[:, None], axis=1)[:, 0] > 1e-9
    columns, thresholds = np.where(helps, best // bins, 0), np.where(helps, best % bins, bins - 1)
    return columns.astype(np.int16), thresholds.astype(np.int16)


def _gain(sums: Floats, growth: Growth) -> Floats:
    return np.asarray(sums[..., 0] ** 2 / (sums[..., 1] + growth.ridge))


@dataclass(frozen=True, eq=False)
class _Histogram:
    """Which events have which code in which column, of each hospital: one sparse product sums them all."""

    members: csc_matrix  # [hospitals · columns · bins, events]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, events: TreeEvents) -> "_Histogram":
        count, columns = events.codes.shape
        shape = (events.hospitals, columns, events.bins)
        places = (events.hospital[:, None] * columns + np.arange(columns)) * events.bins + events.codes
        starts = np.arange(count + 1) * columns
        by_event = csr_matrix((np.ones(places.size), places.ravel(), starts), (count, int(np.prod(shape))))
        return cls(by_event.T, shape)

    def sums(self, slopes: Floats, group: Integers, groups: int) -> Floats:
        """Sum slopes [events, 2] by hospital, column, code, group: float64 [hospitals, columns, bins, groups, 2]."""
        apart = np.zeros((len(slopes), groups, 2))
        apart[np.arange(len(slopes)), group] = slopes
        return np.asarray(self.members @ apart.reshape(len(slopes), -1)).reshape(*self.shape, groups, 2)
