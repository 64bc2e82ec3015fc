"""The Gaussian mechanism on sums: bound each patient's part, add noise, round to a public grid.

Clipping: Abadi et al. 2016, "Deep learning with differential privacy", Alg. 1. Noise: Dwork et al. 2006.
Rounding to a grid: Mironov 2012, "On significance of the least significant bits for differential privacy".
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocol.errors import require
from protocol.randomness import Keystream, gaussians

GRID_CELLS_PER_STDDEV = 1024
_NORM_MARGIN = 2.0**-30  # a computed norm may fall short of the true one by rounding: about 1e-9 at most


def clip_factors(norms: NDArray[np.floating], clip_norm: float) -> NDArray[np.float64]:
    """Give each patient's factor, which brings the gradient within the clip norm: [N] -> float64 [N].

    norms are L2 norms of gradients before clipping; factors lie in [0, 1]. Guarantee: ``factor * norm``
    is at most clip_norm for every representable norm, in floating point; the factor is 0 where the norm
    is not finite (that patient contributes nothing, and nobody learns of it). A computed norm that falls
    short of the true one by up to 1e-9 of it is covered.
    ConfigurationError unless clip_norm is positive and finite.
    """
    require(0 < clip_norm < math.inf, "clip_norm", clip_norm, "must be greater than 0 and finite")
    exact = np.asarray(norms, dtype=np.float64)
    usable = np.isfinite(exact) & (exact >= 0)
    within = exact <= clip_norm * (1.0 - _NORM_MARGIN)
    factors = np.ones_like(exact)
    np.divide(clip_norm * (1.0 - _NORM_MARGIN), exact, out=factors, where=usable & ~within)
    factors[~usable] = 0.0
    # A quotient that was rounded up (by much, where it is denormal) gives one unit in the last place back.
    above = factors * np.where(usable, exact, 0.0) > clip_norm
    factors[above] = np.nextafter(factors[above], 0.0)
    return factors


def grid_step(stddev: float) -> float:
    """Give the public grid's step for noise of this size: the power of two in (s/2, s], s = stddev/1024.

    ConfigurationError unless stddev is finite and large enough for such a step to exist.
    """
    require(
        2.0**-900 <= stddev < math.inf, "noise stddev", stddev, "must be from 2**-900 upwards, and finite"
    )
    _, exponent = math.frexp(stddev / GRID_CELLS_PER_STDDEV)
    return math.ldexp(1.0, exponent - 1)


def add_noise(sums: NDArray[np.float64], stddev: float, streams: Sequence[Keystream]) -> NDArray[np.float64]:
    """Add Gaussian noise to each hospital's sum and round to the grid: float64 [H, D] -> float64 [H, D].

    stddev is that of one coordinate at one hospital, in the unit of the sums; row h draws from
    ``streams[h]`` alone, so a row of a batch equals the same row done by itself, bit for bit.

    Guarantee: if one patient changes a row of ``sums`` by at most C in L2 norm, that row's result is a
    Gaussian mechanism of noise multiplier stddev/C (rounding is post-processing). A row that is not
    finite counts as zeros: an error in the computation shows as noise alone. ValueError where the number
    of streams is not that of rows, or one stream stands twice.
    """
    distinct = len({id(stream) for stream in streams})
    if sums.ndim != 2 or len(streams) != len(sums) or distinct != len(sums):
        raise ValueError(f"sums {list(sums.shape)} with {distinct} streams: each row needs one of its own")
    step = grid_step(stddev)
    noised = gaussians(streams, sums.shape[1])
    noised *= stddev
    finite = np.isfinite(sums).all(axis=1, keepdims=True)
    noised += np.where(finite, sums, 0.0)
    noised /= step
    np.rint(noised, out=noised)
    noised *= step
    return noised
