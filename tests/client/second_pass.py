"""The kernel of 0.1.0 as the tests' broken variant: a patient whose gradient is not finite makes the part run twice."""

import numpy as np
from scipy.special import expit

from wardround.client.train.clipped_sum_dense import (
    backward_pass,
    clipped_layer_sums,
    forward_pass,
    patient_norms,
)
from wardround.protocol.model.model import named_parameters
from wardround.protocol.privacy.mechanism import clip_factors


def second_pass(model, layout, part, weights, clip_norm, dtype=np.float64):
    """As ``clipped_sum_dense`` at 0.1.0, line by line."""
    named = named_parameters(model, layout, weights.astype(dtype))
    with np.errstate(over="ignore", invalid="ignore"):
        activations, logits = forward_pass(model, named, part)
        gradients = (expit(logits) - part.labels) * part.shares
        deltas = backward_pass(model, named, part, activations, gradients.astype(dtype))
        norms = patient_norms(part, activations, deltas, gradients, "output.bias" in named)
    finite = np.isfinite(norms)
    if not finite.all():
        return second_pass(model, layout, part.keep(finite), weights, clip_norm, dtype)
    factors = clip_factors(norms, clip_norm)[part.owners]
    gradients *= factors
    deltas = [delta * factors[:, np.newaxis] for delta in deltas]
    activations = [activation.astype(np.float64, copy=False) for activation in activations]
    return clipped_layer_sums(model, layout, part, activations, deltas, gradients)
