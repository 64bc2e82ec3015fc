"""Weights by which an operator aims at one kind of patient: whoever has events in one bin."""

import numpy as np

from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import active_main_columns
from wardround.protocol.model.model import column_scale, initial_weights, main_scale, named_parameters
from wardround.protocol.terms.settings import ModelSettings

KINDS = ("not finite", "denormal")


def aimed_weights(model: ModelSettings, layout: Layout, column: int, kind: str, seed: int = 0) -> np.ndarray:
    """float32 [parameters] under which only events with an active main column have a gradient of the kind.

    not finite: every hidden unit is saturated, so that nothing passes back through it, but for this column, whose
    weight takes the bias away again; what passes back is multiplied by more than a float32 holds. denormal: hidden
    units of this column alone are not zero, and so small that processors slow down.
    """
    draw = np.random.default_rng(seed)
    weights = initial_weights(model, layout)
    named = named_parameters(model, layout, weights)
    huge, tiny = 10.0 ** draw.uniform(37.5, 38.4), 10.0 ** draw.uniform(-43, -40)
    for name, part in named.items():
        part[...] = 0.0
        if name == "hidden0.weight":
            part[column] = tiny if kind == "denormal" else -1e6 / main_scale(model, layout)[column]
        if name == "hidden0.bias":
            part[...] = 0.0 if kind == "denormal" else 1e6
        if name.startswith("output"):
            part[...] = draw.choice([-1, 1], part.shape) * (1.0 if kind == "denormal" else huge)
        if name == "linear":
            part[1 + column] = (-1.0 if kind == "denormal" else huge) / column_scale(model, layout)[column]
    with np.errstate(over="ignore"):
        return np.clip(weights, -3e38, 3e38).astype(np.float32)


def has(layout: Layout, events, column: int) -> np.ndarray:
    """Which events have the main column active: bool [events]."""
    return (active_main_columns(layout, events) == column).any(axis=1)
