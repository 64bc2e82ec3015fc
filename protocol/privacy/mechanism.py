"""The Gaussian mechanism on sums: bound each patient's part, add noise, round to a public grid.

Clipping: Abadi et al. 2016, "Deep learning with differential privacy", Alg. 1. Noise: Dwork et al. 2006.
Rounding to a grid: Mironov 2012, "On significance of the least significant bits for differential privacy".
"""

import math
from collections.abc import Sequence

import numpy as np

from wardround.protocol.arrays import EitherFloats, Floats
from wardround.protocol.errors import require
from wardround.protocol.privacy.randomness import Keystream, gaussians

GRID_CELLS_PER_STDDEV = 1024
MOST_PATIENTS = 1 << 23
"""Training patients of one hospital, 8.4 million, up to which the order of additions is counted."""
TERMS_AT_ONCE = 1 << 13
"""Events whose parts of a sum are added up plainly; sums of so many are added up with compensation."""
MOST_CANCELLATION = 16.0
"""The norms of one patient's events add up to at most so many clip norms."""
ORDER_ALLOWANCE = 2 * (2 * TERMS_AT_ONCE) * 2.0**-53 * MOST_PATIENTS * MOST_CANCELLATION
"""2⁻¹¹ = 4.9e-4: by how much of the clip norm the order of float64 additions may move a sum (``ordered_clip_norm``)."""
_NORM_MARGIN = 2.0**-30  # a computed norm may fall short of the true one by rounding: about 1e-9 at most


def clip_factors(norms: EitherFloats, clip_norm: float) -> Floats:
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


def ordered_clip_norm(clip_norm: float) -> float:
    """Give the norm to clip to, so that a *computed* sum moves by at most ``clip_norm`` with one patient.

    Floating-point addition depends on its order, and one patient more changes the order of all others: the
    sensitivity of a computed sum is larger than that of the exact one (Casacuberta et al. 2022, "Widespread
    underestimation of sensitivity in differentially private libraries and how to fix it"). Proof: with patients
    clipped to c, the norms of one's events add up to at most A c (A = ``MOST_CANCELLATION``), those of P patients to
    A P c. A sum of n products is off by at most γ(n) ‖Σ|terms|‖, in any order, so sums of at most n = ``TERMS_AT_ONCE``
    (or one patient's 10,000) events together by γ(n) A P c; adding those sums up with compensation
    (``client.train.rounding.add_part``) by 2u A P c. Two tables: twice that, in all at most 4 n u A P c =
    ``ORDER_ALLOWANCE`` c for P ≤ ``MOST_PATIENTS``. A map that is applied to the sum (``protocol.model.precondition``)
    adds the products of one of its rows, at most 2,000, to the n additions of a part, of which twice as many are
    counted; the norms of a patient's events are then those of a row times M's absolute values (``Rows.bounds``). So
    c (1 + ``ORDER_ALLOWANCE``) ≤ clip_norm. It is clipping that pays, 0.05 % of it, and not the noise: ε, noise and
    what the server knows of it stay as stated.
    """
    return clip_norm / (1.0 + ORDER_ALLOWANCE)


def grid_step(stddev: float) -> float:
    """Give the public grid's step for noise of this size: the power of two in (s/2, s], s = stddev/1024.

    ConfigurationError unless stddev is finite and large enough for such a step to exist.
    """
    require(
        2.0**-900 <= stddev < math.inf, "noise stddev", stddev, "must be from 2**-900 upwards, and finite"
    )
    _, exponent = math.frexp(stddev / GRID_CELLS_PER_STDDEV)
    return math.ldexp(1.0, exponent - 1)


def add_noise(sums: Floats, stddev: float, streams: Sequence[Keystream]) -> Floats:
    """Add Gaussian noise to each hospital's sum and round to the grid: float64 [H, D] -> float64 [H, D].

    stddev is that of one coordinate at one hospital, in the unit of the sums; row h draws from
    ``streams[h]`` alone, so a row of a batch equals the same row done by itself, bit for bit.

    Guarantee: if one patient changes a row of ``sums`` by at most C in L2 norm, that row's result is a
    Gaussian mechanism of noise multiplier stddev/C (rounding is post-processing). A row that is not
    finite counts as zeros: an error in the computation shows as noise alone. ValueError where the number
    of streams is not that of rows, or one stream stands twice.
    """
    # A stream that stands twice would go on where its first row stopped, and no row could be computed by itself.
    distinct = len({id(stream) for stream in streams})
    if sums.ndim != 2 or len(streams) != len(sums) or distinct != len(sums):
        raise ValueError(f"sums {list(sums.shape)} with {distinct} streams: each row needs one of its own")
    step = grid_step(stddev)
    noised = gaussians(streams, sums.shape[1])
    noised *= stddev
    finite = np.isfinite(sums).all(axis=1, keepdims=True)
    noised += np.where(finite, sums, 0.0)
    # The step is a power of two: dividing and multiplying by it are exact, and rint is the only rounding.
    noised /= step
    np.rint(noised, out=noised)
    noised *= step
    return noised
