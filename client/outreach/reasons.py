"""Why the additive model says what it says: the largest contributions to one message's log-odds, in words."""

import numpy as np
from numpy.typing import NDArray

from wardround.protocol.arrays import Floats, Floats32, Integers32
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import Events, active_columns
from wardround.protocol.model.model import column_scale, named_parameters
from wardround.protocol.terms.settings import ModelSettings

MOST = 3
_AT_ONCE = 1 << 18


def shared_effects(model: ModelSettings, layout: Layout, weights: Floats) -> Floats:
    """Give an additive model's effects, float64 [layout.width], in log-odds per unscaled column."""
    effects: Floats = named_parameters(model, layout, weights)["linear"] * column_scale(model, layout)
    return effects


class Reasons:
    """The reasons of one additive model under one contract.

    A feature's contribution is its bin's weight against the plain mean over the feature's bins (a public
    reference), in log-odds; crosses count as features of their own.
    """

    def __init__(self, contract: Contract, effects: Floats) -> None:
        """effects: float64 [layout.width], in log-odds per unscaled column (``shared_effects``)."""
        layout, linear = contract.layout, effects
        self._layout = layout
        self._effects = linear.copy()
        texts = [""] * layout.width
        for offset, field in zip(layout.offsets, layout.fields, strict=True):
            columns = slice(offset, offset + field.size)
            self._effects[columns] -= linear[columns].mean()
            for column, label in zip(range(columns.start, columns.stop), field.labels, strict=True):
                texts[column] = f"{field.name}: {label} ({self._effects[column]:+.2f})"
        for position, name in enumerate(layout.values):
            texts[layout.width - len(layout.values) + position] = name
        self._texts = np.array(texts, dtype=object)

    def of(self, events: Events) -> NDArray[np.object_]:
        """Give each event's ``MOST`` largest contributions as text: object [events, MOST], largest first.

        Empty where the model has fewer, or where they are nothing.
        """
        # Column 0 is the intercept, which is no reason.
        columns = active_columns(self._layout, events)[:, 1:]
        out = np.full((len(columns), MOST), "", dtype=object)
        for start in range(0, len(columns), _AT_ONCE):
            block = slice(start, start + _AT_ONCE)
            out[block, : min(MOST, columns.shape[1])] = self._block(columns[block], events.values[block])
        return out

    def _block(self, columns: Integers32, values: Floats32) -> NDArray[np.object_]:
        effects = self._effects[columns]
        if values.shape[1]:
            effects[:, -values.shape[1] :] *= values
        order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :MOST]
        largest = np.take_along_axis(effects, order, axis=1)
        chosen = np.take_along_axis(columns, order, axis=1)
        texts = self._texts[chosen]
        ranged = chosen >= self._layout.width - values.shape[1]
        texts[ranged] += np.char.mod(" (%+.2f)", largest[ranged]).astype(object)
        # It would be shown as 0.00.
        texts[np.abs(largest) < 0.005] = ""
        return np.asarray(texts, dtype=object)
