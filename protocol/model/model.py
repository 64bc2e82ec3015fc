"""Models as one flat vector of parameters; the four that ship need no torch.

    additive    logit = x·w                            x: the design row times a public column scale
    wide_deep   logit = x·w + a·v                      a: last of the hidden layers' activations
    mlp         logit = a·v + b
    interactions    logit = x·w + c·u                  c: the row of pairs of bins (``protocol.model.interactions``)

Hidden layers read the main columns (features' bins and ranged values, no crosses and no groups), are
``tanh(input·W + b) / sqrt(width)``, and so hand on inputs of norm at most 1: with every input bounded, one
clip norm suits all layers (bounded activations: Papernot et al. 2021). What the logit reads directly
(w, v, b) starts at zero; hidden weights start from public pseudo-random numbers, the same in every study.
"""

import hashlib
from collections.abc import Iterator
from math import prod, sqrt

import numpy as np
from scipy.special import expit

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.errors import ContractError
from wardround.protocol.model.design import (
    Events,
    active_columns,
    active_entries,
    active_main_columns,
    sparse_rows,
)
from wardround.protocol.model.interactions import cell_count, interaction_logits
from wardround.protocol.model.own_module import own_initial_weights, own_logits, own_shapes
from wardround.protocol.privacy.rowwise import rows_dot, rows_times
from wardround.protocol.terms.settings import ModelSettings

Named = dict[str, Floats]


def parameter_shapes(model: ModelSettings, layout: Layout) -> dict[str, tuple[int, ...]]:
    """Names and shapes in their fixed order; a weight matrix is [inputs, outputs].

    ``linear``: one weight per design column. ``hidden<i>.weight``, ``hidden<i>.bias``. ``output.weight``
    (and ``output.bias`` of mlp): the last layer, which is the personal part of wide_deep and mlp. ``interactions``: one
    weight per pair of bins, at the end.
    """
    if model.structure.own_module:
        return own_shapes(model, layout)
    shapes: dict[str, tuple[int, ...]] = {}
    if model.structure.linear:
        shapes["linear"] = (layout.width,)
    inputs = layout.main_width
    for index, width in enumerate(model.hidden):
        shapes[f"hidden{index}.weight"] = (inputs, width)
        shapes[f"hidden{index}.bias"] = (width,)
        inputs = width
    if model.hidden:
        shapes["output.weight"] = (inputs,)
    if model.structure.output_bias:
        shapes["output.bias"] = (1,)
    if model.structure.interactions:
        shapes["interactions"] = (cell_count(layout),)
    return shapes


def parameter_count(model: ModelSettings, layout: Layout) -> int:
    """Length of the flat parameter vector."""
    return sum(prod(shape) for shape in parameter_shapes(model, layout).values())


def main_count(model: ModelSettings, layout: Layout) -> int:
    """Length of the part of the vector that most rounds train: all but the interactions."""
    return parameter_count(model.main, layout)


def interaction_count(model: ModelSettings, layout: Layout) -> int:
    """Length of the rest, at the vector's end: the interactions; 0 for a model without."""
    return cell_count(layout) if model.structure.interactions else 0


def named_parameters(model: ModelSettings, layout: Layout, weights: Floats) -> Named:
    """Views into flat weights [..., parameters], each of shape [..., *shape].

    Raises ContractError where the vector's length is not the model's.
    """
    expected = parameter_count(model, layout)
    if weights.shape[-1] != expected:
        raise ContractError(
            f"weights={weights.shape[-1]} numbers: this contract's {model.kind} model has {expected} "
            f"(use the model file of the same contract)"
        )
    named, start = {}, 0
    for name, shape in parameter_shapes(model, layout).items():
        stop = start + prod(shape)
        named[name] = weights[..., start:stop].reshape(*weights.shape[:-1], *shape)
        start = stop
    return named


def initial_weights(model: ModelSettings, layout: Layout) -> Floats:
    """float64 [parameters]: zero, but for hidden weights of mean 0 and variance 1.

    Hidden weights are uniform on ±√3, from SHAKE-256 of the parameter's name: public, the same in every
    study and, being plain arithmetic on bytes, on every machine.
    """
    if model.structure.own_module:
        return own_initial_weights(model, layout)
    weights = np.zeros(parameter_count(model, layout))
    for name, part in named_parameters(model, layout, weights).items():
        if name.startswith("hidden") and name.endswith(".weight"):
            stream = hashlib.shake_256(f"wardround initial weights 1 {name}".encode()).digest(8 * part.size)
            # 53 bits are a double exactly: no rounding in which machines could differ.
            uniform = (np.frombuffer(stream, "<u8") >> np.uint64(11)).astype(np.float64) * 2.0**-53
            part[...] = (sqrt(3) * (2 * uniform - 1)).reshape(part.shape)
    return weights


def column_scale(model: ModelSettings, layout: Layout) -> Floats:
    """float64 [width]: public factor of each design column. Guarantee: a scaled row has norm at most 1."""
    # A row has this many entries, each at most 1 in size.
    active = 1 + len(layout.fields) + len(layout.values)
    return np.full(layout.width, 1 / sqrt(active))


def main_scale(model: ModelSettings, layout: Layout) -> Floats:
    """float64 [main_width]: the same for what hidden layers read. Guarantee: norm at most 1."""
    active = len(layout.features) + len(layout.values)
    return np.full(layout.main_width, 1 / sqrt(max(active, 1)))


def predict_logits(model: ModelSettings, layout: Layout, weights: Floats, events: Events) -> Floats:
    """float64 [events]: log-odds of the label for each event; weights: [parameters]."""
    named = named_parameters(model, layout, np.asarray(weights, np.float64))
    if model.structure.own_module:
        return own_logits(model, layout, np.asarray(weights, np.float64), events)
    logits = np.zeros(len(events.bins))
    if "linear" in named:
        # Each row's few active weights side by side: cheaper than a sparse matrix that is used once.
        active = active_entries(
            active_columns(layout, events), events.values, column_scale(model, layout) * named["linear"]
        )
        logits += active.sum(axis=1)
    if model.hidden:
        logits += _hidden_logits(model, layout, named, events)
    if "interactions" in named:
        logits += interaction_logits(layout, named["interactions"], events)
    return logits


def predict_probabilities(model: ModelSettings, layout: Layout, weights: Floats, events: Events) -> Floats:
    """float64 [events] in [0, 1]: predicted chance that the patient engages."""
    return np.asarray(expit(predict_logits(model, layout, weights, events)))


def last_activations(model: ModelSettings, layout: Layout, weights: Floats, events: Events) -> Floats:
    """float64 [events, last hidden width]: what the last layer of wide_deep and mlp multiplies."""
    blocks = _activations(model, layout, named_parameters(model, layout, weights), events)
    # The empty block: concatenate refuses a list without arrays, and a cohort may have no events.
    return np.concatenate([*blocks, np.empty((0, model.hidden[-1]))])


def _hidden_logits(model: ModelSettings, layout: Layout, named: Named, events: Events) -> Floats:
    """What the hidden layers add to the logit, in blocks that bound the memory of activations."""
    last = _activations(model, layout, named, events)
    blocks = [rows_dot(activation, named["output.weight"]) for activation in last]
    return np.concatenate([*blocks, np.empty(0)]) + named.get("output.bias", np.zeros(1))


def _activations(
    model: ModelSettings, layout: Layout, named: Named, events: Events, rows_at_once: int = 65_536
) -> Iterator[Floats]:
    columns = active_main_columns(layout, events)
    entries = active_entries(columns, events.values, main_scale(model, layout))
    inputs = sparse_rows(columns, entries, layout.main_width)
    for start in range(0, len(columns), rows_at_once):
        activation = inputs[start : start + rows_at_once]
        for index, width in enumerate(model.hidden):
            weight = named[f"hidden{index}.weight"]
            # The first product is sparse, and goes row by row.
            hidden = rows_times(activation, weight) if index else activation @ weight
            activation = np.tanh(hidden + named[f"hidden{index}.bias"]) / sqrt(width)
        yield activation
