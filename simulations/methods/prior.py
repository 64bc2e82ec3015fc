"""Prior covariances of the additive model's weights, from the contract alone: what coarse and fine mean.

Each is what ships (``protocol.model.prior.prior_covariance``) with another idea of an ordered feature's bins. A
bin's effect is ``identity``: independent of its neighbours'; ``kernel``: like its neighbours', by exp(−distance ÷ 1.5);
``hierarchical``: a sum of a coarse effect per 8, 4 and 2 neighbouring bins and one of its own, which is the
same as coarse bins with finer ones shrunk towards them (Gelman and Hill 2007, chapter 12).
"""

from collections.abc import Callable, Mapping

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.model.prior import prior_covariance

REACH = 1.5


def identity(contract: Contract) -> Floats:
    """float64 [D, D]."""
    return prior_covariance(contract, np.eye)


def kernel(contract: Contract) -> Floats:
    """float64 [D, D]."""

    def near(bins: int) -> Floats:
        place = np.arange(bins)
        return np.asarray(np.exp(-np.abs(place[:, None] - place) / REACH))

    return prior_covariance(contract, near)


def hierarchical(contract: Contract) -> Floats:
    """float64 [D, D]."""

    def nested(bins: int) -> Floats:
        groups = [np.arange(bins) // size for size in (1, 2, 4, 8)]
        return np.asarray(np.mean([group[:, None] == group for group in groups], axis=0))

    return prior_covariance(contract, nested)


PRIORS: Mapping[str, Callable[[Contract], Floats]] = {
    "identity": identity,
    "kernel": kernel,
    "hierarchical": hierarchical,
}
