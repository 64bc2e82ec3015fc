"""Many patients with one option each, and the few patterns on which a difference between options depends. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats, Floats32, Integers, Integers32
from wardround.protocol.contract.layout import Coarse, Layout
from wardround.protocol.model.design import group_sums


@dataclass(frozen=True, eq=False)
class OptionEvents:
    """As ``protocol.model.design.Events``: bins int32 [events, features], values float32 [events, ranged]."""

    bins: Integers32
    values: Floats32


@dataclass(frozen=True, eq=False)
class OptionSet:
    """What options set in a patient's event.

    bins: place of a feature → its bin by option. variant: by option, which of the histories counts. histories: place
    of a history by channel, topic … → int32 [variants, patients].
    """

    bins: Mapping[int, Integers]
    variant: Integers
    histories: Mapping[int, Integers32]

    def events(self, cohort: Cohort, rows: Integers, option: Integers) -> OptionEvents:
        """Give these rows of the cohort, each with an option: int64 [rows], of both."""
        bins = cohort.bins[rows]
        for place, of_option in self.bins.items():
            bins[:, place] = of_option[option]
        for place, history in self.histories.items():
            bins[:, place] = history[self.variant[option], rows]
        return OptionEvents(bins, cohort.values[rows])


def patterns(
    layout: Layout, cohort: Cohort, standard: Integers, options: OptionSet, not_for_gain: Collection[str]
) -> tuple[Integers, Integers]:
    """Find rows that stand for all: the first of each pattern, and each row's pattern.

    A difference between options depends on the standard option, on the histories that options choose between, and on
    what either is crossed with: patients are many, and these few.
    """
    position = {one.name: place for place, one in enumerate(layout.features)}
    changed = {*options.bins, *options.histories}
    parents = [{position[name] for name in cross.parents} for cross in layout.crosses]
    crossed: set[int] = set().union(*(pair for pair in parents if not pair.isdisjoint(changed)))
    blind = {position[name] for name in not_for_gain if name in position}
    parts = [cohort.bins[:, place] for place in sorted(crossed - changed - blind)]
    parts += [bins for history in options.histories.values() for bins in history]
    key = standard.astype(np.int64)
    for bins in parts:
        key = key * (int(bins.max(initial=0)) + 1) + bins
        if key.max(initial=0) >= 2**40:
            key = np.unique(key, return_inverse=True)[1].astype(np.int64)
    _, first, back = np.unique(key, return_index=True, return_inverse=True)
    return first, back


def blind_effects(
    layout: Layout, effects: Floats, shares: Mapping[str, Floats], not_for_gain: Collection[str]
) -> Floats:
    """Give effects in which features that a gain may not use count the same for every patient.

    shares: of their bins, among all patients; their crosses count as they are on average. A ranged one counts nothing.
    """
    seen = effects.copy()
    for offset, one in zip(layout.offsets, layout.fields, strict=True):
        columns = slice(offset, offset + one.size)
        if not one.parents and one.name in shares:
            seen[columns] = shares[one.name] @ effects[columns]
        elif isinstance(one, Coarse) and one.of.name in shares:
            seen[columns] = group_sums(one, shares[one.of.name]) @ effects[columns]
        elif not set(one.parents).isdisjoint(shares):
            seen[columns] = _averaged(layout, one.parents, effects[columns], shares)
    for place, name in enumerate(layout.values, layout.width - len(layout.values)):
        if name in not_for_gain:
            seen[place] = 0.0
    return seen


def _averaged(
    layout: Layout, parents: tuple[str, ...], effects: Floats, shares: Mapping[str, Floats]
) -> Floats:
    sizes = {one.name: one.size for one in layout.features}
    block = effects.reshape([sizes[name] for name in parents])
    for axis, name in enumerate(parents):
        if name in shares:
            weights = shares[name].reshape((-1, 1) if axis == 0 else (1, -1))
            block = np.broadcast_to((block * weights).sum(axis=axis, keepdims=True), block.shape)
    return np.asarray(block.ravel())
