"""Prior covariances of the additive model's weights, from the contract alone: what coarse and fine mean.

Each is block-diagonal by field with unit variance per bin, and 4 for the intercept. A bin's effect is
``identity``: independent of its neighbours'; ``kernel``: like its neighbours', by exp(−distance ÷ 1.5);
``hierarchical``: a sum of a coarse effect per 8, 4 and 2 neighbouring bins and one of its own, which is the
same as coarse bins with finer ones shrunk towards them (Gelman and Hill 2007, chapter 12). The bin of missing
values stands apart, and vocabularies have no order. Crosses take the Kronecker product of their parents'.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from protocol.contract import Contract

Floats = NDArray[np.float64]
ORDERED = ("numeric", "hour", "gap_days", "history")
REACH = 1.5
INTERCEPT_VARIANCE = 4.0


def identity(contract: Contract) -> Floats:
    """float64 [D, D]."""
    return _prior(contract, lambda distance: (distance == 0).astype(np.float64))


def kernel(contract: Contract) -> Floats:
    """float64 [D, D]."""
    return _prior(contract, lambda distance: np.exp(-np.abs(distance) / REACH))


def hierarchical(contract: Contract) -> Floats:
    """float64 [D, D]."""

    def nested(bins: NDArray[np.int64]) -> Floats:
        groups = [bins // size for size in (1, 2, 4, 8)]
        return np.asarray(np.mean([group[:, None] == group for group in groups], axis=0))

    return _blocks(contract, nested)


def _prior(contract: Contract, of_distance: Callable[[NDArray[np.int64]], Floats]) -> Floats:
    return _blocks(contract, lambda bins: of_distance(bins[:, None] - bins))


def _blocks(contract: Contract, of_bins: Callable[[NDArray[np.int64]], Floats]) -> Floats:
    layout = contract.layout
    ordered = {f.name for f in contract.features if f.binned and f.kind in ORDERED}
    own = {}
    for field in layout.features:
        own[field.name] = np.eye(field.size)
        if field.name in ordered:
            own[field.name][:-1, :-1] = of_bins(np.arange(field.size - 1))
    crossed = [np.kron(own[field.parents[0]], own[field.parents[1]]) for field in layout.crosses]
    values = np.eye(len(layout.values))
    return np.asarray(
        block_diag(
            np.full((1, 1), INTERCEPT_VARIANCE), *(own[f.name] for f in layout.features), *crossed, values
        )
    )


PRIORS: Mapping[str, Callable[[Contract], Floats]] = {
    "identity": identity,
    "kernel": kernel,
    "hierarchical": hierarchical,
}
