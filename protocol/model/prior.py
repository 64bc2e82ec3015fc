"""What is expected of an additive model before any release: how far effects spread, and which bins are alike.

Scaled weights are Gaussian with covariance τ²K. The server shrinks by it (``server.algorithm.newton``), and hospitals
measure best what it leaves unknown (``protocol.model.precondition``). All of it is public.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import block_diag

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Layout

EFFECT_STDDEV = 0.7
"""τ, prior standard deviation of a scaled weight; chosen on synthetic federations."""
INTERCEPT_VARIANCE = 4.0
"""Of the intercept, in τ²: the base rate is further from one half than an effect is from nothing."""
RANGE_DECAY = 2.7
"""The two ends of an ordered feature correlate by exp(−this), bins between them by their share of the way."""
ORDERED_KINDS = ("numeric", "ordered", "hour", "gap_days", "history")
BERNOULLI_VARIANCE = 0.2
"""h, a typical p(1 − p): its bound is 1/4, and 0.2 is that of p = 0.28 (or 0.72)."""
RANGED_SPREAD = 1 / 3
"""Variance of a ranged value as a share of 1 − mean², its largest in [−1, 1]; a uniform value has 1/3."""


def columns_of_fields(layout: Layout) -> tuple[slice, ...]:
    """Give the design columns of the intercept, every field and cross, and every ranged value, in their order."""
    places = [
        slice(start, start + field.size) for field, start in zip(layout.fields, layout.offsets, strict=True)
    ]
    ranged = range(layout.width - len(layout.values), layout.width)
    return (slice(0, 1), *places, *(slice(column, column + 1) for column in ranged))


def ordered_covariance(bins: int) -> Floats:
    """Covariance of an ordered feature's bins, float64 [bins, bins]: falls with their distance."""
    place = np.arange(bins) / max(bins - 1, 1)
    return np.asarray(np.exp(-RANGE_DECAY * np.abs(place[:, None] - place)))


def bins_covariance(kind: str, size: int, of_bins: Callable[[int], Floats] = ordered_covariance) -> Floats:
    """Prior covariance of one feature's bins in units of τ²: float64 [size, size]."""
    covariance = np.eye(size)
    if kind in ORDERED_KINDS:
        covariance[:-1, :-1] = of_bins(size - 1)  # the last bin is "missing" or "other"
    return covariance


def prior_blocks(
    contract: Contract, of_bins: Callable[[int], Floats] = ordered_covariance
) -> tuple[Floats, ...]:
    """Give K by field, in the order of ``columns_of_fields``: each float64 [columns, columns].

    Neighbouring bins of an ordered feature are alike, its missing or other bin and words without order stand alone, and
    the bins of a cross are as alike as its parents' are (Kronecker product). Groups of a hierarchical feature are
    columns of their own, so what lies in one group is alike by what it shares.
    """
    kinds = {feature.name: feature.kind for feature in contract.features}
    layout = contract.layout
    blocks = {f.name: bins_covariance(kinds[f.name], f.size, of_bins) for f in layout.features}
    for cross in layout.crosses:
        first, second = cross.parents
        blocks[cross.name] = np.asarray(np.kron(blocks[first], blocks[second]), np.float64)
    blocks |= {coarse.name: np.eye(coarse.size) for coarse in layout.coarse}
    ordered = [blocks[field.name] for field in layout.fields]
    return (np.array([[INTERCEPT_VARIANCE]]), *ordered, *(np.eye(1) for _ in layout.values))


def prior_covariance(contract: Contract, of_bins: Callable[[int], Floats] = ordered_covariance) -> Floats:
    """K, prior covariance of the additive model's scaled weights in units of τ²: float64 [width, width]."""
    return np.asarray(block_diag(*prior_blocks(contract, of_bins)))
