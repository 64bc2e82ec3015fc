"""Score bins as contrasts: what of a table is noised, so that sums over many bins are known better than single bins.

A label's bins are not released as they are but as their sum and, halved again and again, each half's left less its
right: an orthonormal basis (Haar wavelets; Xiao, Wang, Gehrke 2011, "Differential privacy via wavelet transforms"; as a
strategy for given measures, Li et al. 2010, "Optimizing linear counting queries under differential privacy"). Whole
sums and halves get more of the sensitivity than what lies within them. Rates and the AUC are made of the former; single
bins are noisier than if each had noise of its own.

Of a measure that rises evenly with the score's rank, the contrasts of depth d have the energy e_d ∝ 4⁻ᵈ, and weights
w_d cost c_d ∝ 2ᵈ of the squared sensitivity each. Its error Σ e_d / w_d is least at w_d ∝ √(e_d / c_d) = 2^(−3d/2)
(Lagrange). The sum, which is every rate's denominator, weighs as the first half does.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np

from wardround.protocol.arrays import Floats, Integers

_FALL = 2.0**-1.5
"""Weight of a depth by that of the depth above it."""


@dataclass(frozen=True, eq=False)
class Contrasts:
    """The contrasts of so many bins; the first is their sum.

    start, middle, stop: int64 [bins], the bins from start to middle less those from middle to stop; up, down: float64
    [bins], by what each of the two is multiplied. weight: float64 [bins], above 0.

    Guarantee: the contrasts of a 1 in one bin have L2 norm at most 1
    (``test_no_bin_moves_its_contrasts_by_more_than_one``).
    """

    start: Integers
    middle: Integers
    stop: Integers
    up: Floats
    down: Floats
    weight: Floats

    def of(self, counts: Floats) -> Floats:
        """Give the contrasts of counts [..., bins]: float64 [..., bins].

        Where sums of the counts are exact (whole numbers below 2⁵³), each is rounded three times and no more.
        """
        sums = np.zeros((*counts.shape[:-1], counts.shape[-1] + 1))
        np.cumsum(counts, axis=-1, out=sums[..., 1:])
        left = sums[..., self.middle] - sums[..., self.start]
        right = sums[..., self.stop] - sums[..., self.middle]
        return np.asarray(left * self.up - right * self.down)

    def undone(self, contrasts: Floats) -> Floats:
        """Give the counts [..., bins] of contrasts [..., bins]."""
        # Rows are orthogonal, and of squared norm ``weight``: the inverse is the transpose of rows over weights.
        return np.asarray((contrasts / self.weight) @ self.of(np.eye(len(self.weight))).T)

    @property
    def covariance(self) -> Floats:
        """Covariance of the counts' noise, float64 [bins, bins], where each contrast has independent noise of 1."""
        undo = self.undone(np.eye(len(self.weight)))
        return np.asarray(undo.T @ undo)


@lru_cache(maxsize=16)
def contrasts(bins: int) -> Contrasts:
    """Give the contrasts of so many bins; the half to the left is the smaller one where they are odd."""
    nodes = _halved(bins)
    start, middle, stop, depth = np.array([(0, bins, bins, 1), *nodes], dtype=np.int64).T
    left, right = middle - start, stop - middle
    share = _FALL ** (depth - 1.0)
    up = np.sqrt(share * np.where(right, right, 1) / (left * np.where(right, left + right, left)))
    up[0] = sqrt(share[0] / bins)
    down = np.sqrt(share * left / (np.maximum(right, 1) * (left + right)))
    down[0] = 0.0
    plain = Contrasts(start, middle, stop, up, down, share)
    # Of bins that are a power of two every column has the same norm; else the largest one bounds all.
    most = float((plain.of(np.eye(bins)) ** 2).sum(axis=1).max())
    return Contrasts(start, middle, stop, up / sqrt(most), down / sqrt(most), share / most)


def _halved(bins: int) -> list[tuple[int, int, int, int]]:
    """Give start, middle, stop and depth from 1 of every part of two bins or more, the whole first."""
    parts, found = [(0, bins, 1)], list[tuple[int, int, int, int]]()
    while parts:
        start, stop, depth = parts.pop(0)
        if stop - start > 1:
            middle = (start + stop) // 2
            found.append((start, middle, stop, depth))
            parts += [(start, middle, depth + 1), (middle, stop, depth + 1)]
    return found
