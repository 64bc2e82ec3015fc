"""Why a model says what it says: the largest contributions to one message's log-odds, in words."""

import numpy as np
from numpy.typing import NDArray

from wardround.protocol.arrays import Floats, Floats32, Integers32
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import Events, active_columns
from wardround.protocol.model.interactions import active_cells, cell_scale
from wardround.protocol.model.model import column_scale, named_parameters
from wardround.protocol.terms.settings import ModelSettings

MOST = 3
_AT_ONCE = 1 << 18
NO_CELLS: Floats = np.zeros(0)


def shared_effects(model: ModelSettings, layout: Layout, weights: Floats) -> Floats:
    """Give a model's main effects, float64 [layout.width], in log-odds per unscaled column."""
    effects: Floats = named_parameters(model, layout, weights)["linear"] * column_scale(model, layout)
    return effects


def shared_interactions(model: ModelSettings, layout: Layout, weights: Floats) -> Floats:
    """Give a model's interactions, float64 [cells], in log-odds per pair of bins; empty for a model without."""
    cells = named_parameters(model, layout, weights).get("interactions", np.zeros(0))
    return np.asarray(cells * cell_scale(layout))


class Reasons:
    """The reasons of one model of effects under one contract, and of what a hospital's own trees add to it.

    A feature's contribution is its bin's weight against the plain mean over the feature's bins (a public
    reference), in log-odds, and what the trees add for it; crosses and interactions count as features of their own, an
    interaction by what it adds beyond both features. Two messages'
    contributions differ in all by as much as their log-odds do (``test_contributions_differ_as_the_scores_do``).
    """

    def __init__(self, contract: Contract, effects: Floats, cells: Floats = NO_CELLS) -> None:
        """effects: float64 [layout.width], in log-odds per unscaled column (``shared_effects``).

        cells: float64 [cells], of interactions (``shared_interactions``); empty where there are none.
        """
        layout, linear = contract.layout, effects
        self._layout = layout
        self._effects = linear.copy()
        names = [""] * layout.width
        for offset, field in zip(layout.offsets, layout.fields, strict=True):
            columns = slice(offset, offset + field.size)
            self._effects[columns] -= linear[columns].mean()
            names[columns] = [f"{field.name}: {label}" for label in field.labels]
        names[layout.width - len(layout.values) :] = layout.values
        self._paired = len(cells) > 0
        if self._paired:
            names += [f"{pair.name}: {label}" for pair in layout.interactions for label in pair.labels]
            self._effects = np.concatenate([self._effects, cells])
        self._names = np.array(names, dtype=object)
        # A bin's contribution is the same for all messages where no trees add to it: made into text once.
        self._texts = self._names + np.char.mod(" (%+.2f)", self._effects).astype(object)

    def of(self, events: Events, added: Floats | None = None) -> NDArray[np.object_]:
        """Give each event's ``MOST`` largest contributions as text: object [events, MOST], largest first.

        Empty where the model has fewer, or where they are nothing. added: float64 [events, features + values], what
        the hospital's own trees add for each (``client.personal.boosted.tree_reasons``).
        """
        columns = self._columns(events)
        out = np.full((len(columns), MOST), "", dtype=object)
        for start in range(0, len(columns), _AT_ONCE):
            block = slice(start, start + _AT_ONCE)
            own = None if added is None else added[block]
            effects = self._contributions(columns[block], events.values[block], own)
            ranged = effects.shape[1] - events.values.shape[1]
            texts = self._largest(columns[block], effects, ranged if added is None else 0)
            out[block, : texts.shape[1]] = texts
        return out

    def contributions(self, events: Events, added: Floats | None = None) -> Floats:
        """Give all contributions in log-odds: float64 [events, fields + interactions + values]."""
        return self._contributions(self._columns(events), events.values, added)

    def _columns(self, events: Events) -> Integers32:
        """Active columns without the intercept, which is no reason; cells are numbered after the design's columns."""
        columns = active_columns(self._layout, events)[:, 1:]
        if not self._paired:
            return columns
        fields = len(self._layout.fields)
        cells = active_cells(self._layout, events) + np.int32(self._layout.width)
        return np.concatenate([columns[:, :fields], cells, columns[:, fields:]], axis=1)

    def _contributions(self, columns: Integers32, values: Floats32, added: Floats | None) -> Floats:
        effects: Floats = self._effects[columns]
        ranged = effects.shape[1] - values.shape[1]
        effects[:, ranged:] *= values
        if added is not None:
            features = len(self._layout.features)
            effects[:, :features] += added[:, :features]
            effects[:, ranged:] += added[:, features:]
        return effects

    def _largest(self, columns: Integers32, effects: Floats, own_from: int) -> NDArray[np.object_]:
        """Texts of the largest; contributions from position ``own_from`` on are each event's own."""
        order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :MOST]
        largest = np.take_along_axis(effects, order, axis=1)
        chosen = np.take_along_axis(columns, order, axis=1)
        texts, own = self._texts[chosen], order >= own_from
        texts[own] = self._names[chosen[own]] + np.char.mod(" (%+.2f)", largest[own]).astype(object)
        # It would be shown as 0.00.
        texts[np.abs(largest) < 0.005] = ""
        return np.asarray(texts, dtype=object)
