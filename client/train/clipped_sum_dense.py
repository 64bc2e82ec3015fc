"""Clipped sum of wide_deep and mlp in closed form: one forward and one backward pass for all patients.

Every layer is linear in its inputs x, so a patient's squared norm is, summed over layers,
``sum_ij (x_i·x_j + bias)(d_i·d_j)`` over pairs of the patient's events, d the layer's output gradients
(Li et al. 2022). Output gradients are then scaled by the patient's clip factor, and one product per layer
gives the sum (Bu et al. 2023, "Differentially private optimization on large model at small cost").
"""

from itertools import pairwise
from math import sqrt

import numpy as np
from numpy.typing import DTypeLike
from scipy.special import expit

from wardround.client.train.one_pass import blank
from wardround.client.train.prepared import Pairs, Prepared, Rows
from wardround.client.train.rounding import norm_allowance, safe_norms
from wardround.protocol.arrays import EitherFloats, Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.model import Named, named_parameters
from wardround.protocol.privacy.mechanism import clip_factors
from wardround.protocol.privacy.rowwise import rows_dot
from wardround.protocol.terms.settings import ModelSettings


def clipped_sum_dense(
    model: ModelSettings,
    layout: Layout,
    part: Prepared,
    weights: Floats,
    clip_norm: float,
    dtype: DTypeLike = np.float64,
) -> Floats:
    """Sum each hospital's clipped per-patient gradients: float64 [hospitals of the part, parameters].

    weights: float64 [1 or hospitals of the part, parameters]. Guarantee: one patient moves their
    hospital's row by at most clip_norm and no other row at all; a patient whose gradient is not finite
    adds zero. With dtype float32 the two passes and the norms are single precision, and norms are taken
    larger by what that may lose; sums over patients are double whatever the dtype.
    """
    named = named_parameters(model, layout, weights.astype(dtype))
    with np.errstate(over="ignore", invalid="ignore"):
        activations, logits = forward_pass(model, named, part)
        gradients = (expit(logits) - part.labels) * part.shares
        deltas = backward_pass(model, named, part, activations, gradients.astype(dtype))
        norms = patient_norms(part, activations, deltas, gradients, "output.bias" in named)
        factors = clip_factors(norms, clip_norm)[part.owners]
        gradients *= factors
        deltas = [delta * factors[:, np.newaxis] for delta in deltas]
    finite = np.isfinite(norms)[part.owners]
    # Activations as well: in the products below 0 × inf would be NaN in everybody's sum.
    for rows in (gradients, *activations, *deltas):
        blank(rows, finite)
    # ORDER_ALLOWANCE counts float64 additions: sums over patients are double whatever the passes were.
    activations = [activation.astype(np.float64, copy=False) for activation in activations]
    return clipped_layer_sums(model, layout, part, activations, deltas, gradients)


def forward_pass(model: ModelSettings, named: Named, part: Prepared) -> tuple[list[EitherFloats], Floats]:
    """Hidden activations, layer by layer, and the logit of each event."""
    segments = part.segments
    activations: list[EitherFloats] = []
    for index, width in enumerate(model.hidden):
        weight, bias = named[f"hidden{index}.weight"], segments.spread(named[f"hidden{index}.bias"])
        hidden = segments.apply(activations[-1], weight) if index else _apply_rows(_of(part.main), weight)
        hidden += bias
        np.tanh(hidden, out=hidden)
        hidden *= hidden.dtype.type(1 / sqrt(width))
        activations.append(hidden)
    logits = _rows_dot(activations[-1], segments.spread(named["output.weight"])).astype(np.float64)
    if "output.bias" in named:
        logits += segments.spread(named["output.bias"])[:, 0]
    if "linear" in named:
        logits += _of(part.linear).dot(named["linear"].astype(np.float64, copy=False))
    return activations, logits


def backward_pass(
    model: ModelSettings,
    named: Named,
    part: Prepared,
    activations: list[EitherFloats],
    gradients: EitherFloats,
) -> list[EitherFloats]:
    """Gradient of each event's loss with respect to what each hidden layer computes before its tanh."""
    deltas: list[EitherFloats] = []
    for index in reversed(range(len(model.hidden))):
        if deltas:
            weight = named[f"hidden{index + 1}.weight"]
            delta = part.segments.apply(deltas[0], weight.transpose(0, 2, 1))
        else:
            delta = gradients[:, np.newaxis] * part.segments.spread(named["output.weight"])
        width = model.hidden[index]
        # With a = tanh(x)/√w, da/dx = (1 − tanh²)/√w = 1/√w − √w a².
        slope = activations[index] * activations[index]
        slope *= slope.dtype.type(-sqrt(width))
        slope += slope.dtype.type(1 / sqrt(width))  # activations are tanh / sqrt(width)
        delta *= slope
        deltas.insert(0, delta)
    return deltas


def patient_norms(
    part: Prepared,
    activations: list[EitherFloats],
    deltas: list[EitherFloats],
    gradients: Floats,
    output_bias: bool,
) -> Floats:
    """float64 [patients]: norm of each patient's gradient over all layers, never below the true one."""
    main, pairs, single = _of(part.main), part.pairs, len(part.pairs.first) == 0
    # The bias is an input that is always 1: it adds 1 to every x_i·x_j, here and below.
    squared = gradients**2 * (_row_squares(activations[-1]) + output_bias)
    twice = _pair_dots(activations[-1], pairs) + output_bias
    twice *= gradients[pairs.first] * gradients[pairs.second]
    for index, delta in enumerate(deltas):
        inputs = _row_squares(activations[index - 1]) if index else main.squares
        squared += (inputs + 1) * _row_squares(delta)
        if not single:
            products = _pair_dots(activations[index - 1], pairs) if index else main.products
            twice += (products + 1) * _pair_dots(delta, pairs)
    # So far the diagonal alone, each event's own squared norm: what the triangle inequality needs.
    bound = squared
    if part.linear is not None:
        bound = squared + gradients**2 * part.linear.squares
        squared = squared + gradients * (part.linear.gram @ gradients)
    total = part.per_patient(squared)
    if not single:
        # A pair stands once in `pairs`, and twice in the square of a sum.
        total += 2 * np.bincount(part.owners[pairs.first], twice, part.patient_count)
    return safe_norms(total, part.per_patient(np.sqrt(bound)), _allowance(part, activations))


def _allowance(part: Prepared, activations: list[EitherFloats]) -> Floats:
    """float64 [patients]: what rounding may lose of a squared norm, by the layers' widths and the patient's events.

    Inner products run over a layer's inputs and outputs, in the passes' own type; pairs of events add up in double.
    """
    widths = [_of(part.main).active, *(activation.shape[1] for activation in activations), 1]
    widest = max(before + after for before, after in pairwise(widths))
    events = part.event_counts.astype(np.float64)
    linear = 0 if part.linear is None else part.linear.active
    return norm_allowance(widest + 8, activations[-1].dtype) + norm_allowance(
        linear + events * (events + 2) + 8, np.float64
    )


def clipped_layer_sums(
    model: ModelSettings,
    layout: Layout,
    part: Prepared,
    activations: list[EitherFloats],
    deltas: list[EitherFloats],
    gradients: Floats,
) -> Floats:
    """One product per layer, hospital by hospital."""
    segments = part.segments
    parts: dict[str, EitherFloats] = {}
    if part.linear is not None:
        parts["linear"] = part.linear.block.T @ gradients
    for index, delta in enumerate(deltas):
        inputs = segments.products(activations[index - 1], delta) if index else _of(part.main).block.T @ delta
        parts[f"hidden{index}.weight"] = inputs
        parts[f"hidden{index}.bias"] = segments.sums(delta, np.ones(len(delta)))
    parts["output.weight"] = segments.sums(activations[-1], gradients)
    if model.structure.output_bias:
        parts["output.bias"] = segments.sums(gradients[:, np.newaxis], np.ones(len(gradients)))
    flat = [block.reshape(segments.count, -1) for block in parts.values()]
    return np.concatenate(flat, axis=1, dtype=np.float64)


def _of(rows: Rows | None) -> Rows:
    if rows is None:
        raise ValueError("the part was prepared for another model")
    return rows


def _apply_rows(rows: Rows, matrices: EitherFloats) -> EitherFloats:
    """Sparse rows through matrices [1 or hospitals, width, b]: [events, b]."""
    if len(matrices) == 1 and rows.shared is not None:
        return np.asarray(rows.shared @ matrices[0])
    return np.asarray(rows.block @ matrices.reshape(-1, matrices.shape[2]))


def _row_squares(rows: EitherFloats) -> EitherFloats:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))


def _rows_dot(rows: EitherFloats, vectors: EitherFloats) -> EitherFloats:
    """Each row times its vector, [events, b] and [1 or events, b] -> [events]."""
    return (
        rows_dot(rows, vectors[0]) if len(vectors) == 1 else np.asarray(np.einsum("ij,ij->i", rows, vectors))
    )


def _pair_dots(rows: EitherFloats, pairs: Pairs) -> Floats:
    """Inner product of the two rows of each pair, float64 [pairs]."""
    dots = np.empty(len(pairs.first))
    for lag, (start, stop) in enumerate(zip(pairs.lag_from[:-1], pairs.lag_from[1:], strict=True), start=1):
        first = pairs.first[start:stop]
        if 3 * len(first) > len(rows):  # most rows have a partner: walking all in order beats gathering
            dots[start:stop] = np.einsum("ij,ij->i", rows[:-lag], rows[lag:])[first]
        else:
            dots[start:stop] = np.einsum("ij,ij->i", rows[first], rows[first + lag])
    return dots
