"""A clipped sum as integers of a public grid, within a public range; and back.

Out of range is clamped, never an error: whether a hospital answers must not depend on its patients. Clamping and
rounding bring two sums no further apart than ``noise_shares`` counts. NaN, which clipping makes impossible, counts
as 0.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.errors import require
from wardround.protocol.privacy.mechanism import MOST_PATIENTS

_CELLS_PER_CLIP_NORM = 1024
_LEAST_STEPS, _MOST_STEPS = 2**6, 2**28  # of the grid, in the standard deviation of one share
_LARGEST_SUM = 2**62  # of all hospitals; the rest of 2**63 is for the noise
_LARGEST_UNITS = 2**39  # of one patient: 2**23 of them fit a hospital's 2**62


@dataclass(frozen=True)
class Grid:
    """The grid of one secure sum, public: step 2^exponent, each hospital's integers within ±limit.

    clip_units: no coordinate of one clipped patient's vector has more units. ConfigurationError out of range.
    """

    exponent: int
    limit: int
    clip_units: int

    def __post_init__(self) -> None:
        """Check that sums fit 64 bits."""
        require(-900 <= self.exponent <= 900, "grid exponent", self.exponent, "must be from -900 to 900")
        require(1 <= self.limit <= _LARGEST_SUM, "grid limit", self.limit, "must be from 1 to 2**62")
        require(
            1 <= self.clip_units <= _LARGEST_UNITS, "clip units", self.clip_units, "must be from 1 to 2**39"
        )

    @property
    def step(self) -> float:
        """Give the step g, in the unit of the sum."""
        return math.ldexp(1.0, self.exponent)


def sum_grid(clip_norm: float, noise_multiplier: float, dimension: int, hospitals: int, shares: int) -> Grid:
    """Choose the grid of a study from public numbers: as coarse as costs next to nothing.

    Guarantees: one of ``shares`` shares of the noise has a standard deviation of 64 to 2²⁹ steps; g √d ≤ C/1024
    unless that is coarser, so that rounding costs at most 0.1 % of the noise; the sum of ``hospitals`` hospitals fits
    63 bits.
    """
    require(0 < clip_norm < math.inf, "clip_norm", clip_norm, "must be greater than 0 and finite")
    rounding = clip_norm / (_CELLS_PER_CLIP_NORM * math.sqrt(dimension))
    noise = clip_norm * noise_multiplier / math.sqrt(shares)
    _, exponent = math.frexp(min(max(rounding, noise / _MOST_STEPS), noise / _LEAST_STEPS))
    exponent -= 1
    return Grid(exponent, _LARGEST_SUM // hospitals, math.floor(math.ldexp(clip_norm, -exponent)))


def encode_sum(values: Floats, grid: Grid) -> Integers:
    """Round a hospital's float64 sum [d] to the grid, to nearest, and clamp: int64 [d].

    Two sums at most C apart in L2 norm become integers at most (C + g √d)/g apart.
    """
    return _clamped(np.rint(_units(values, grid)), grid.limit)


def encode_patients(batches: Iterable[Floats], dimension: int, grid: Grid) -> Integers:
    """Truncate each patient's vector toward zero, add up and clamp: float64 [n, d] each -> int64 [d].

    Truncation makes no vector longer: with ‖row‖₂ ≤ C, adding or removing a patient moves the result by at most
    C/g in L2 norm, whatever the others are, in whatever order and batches they come. Of patients there are at most
    2²³ (``mechanism.MOST_PATIENTS``), which fit; ValueError beyond.
    """
    total, patients = np.zeros(dimension, np.int64), 0
    for vectors in batches:
        patients += len(vectors)
        if patients > MOST_PATIENTS:
            raise ValueError(f"more than {MOST_PATIENTS} patients")
        total += _clamped(np.trunc(_units(vectors, grid)), grid.clip_units).sum(axis=0, dtype=np.int64)
    return np.clip(total, -grid.limit, grid.limit)


def decode(integers: Integers, grid: Grid) -> Floats:
    """Give integers of the grid in the unit of the sum: int64 [d] -> float64 [d]."""
    return np.ldexp(integers.astype(np.float64), grid.exponent)


def _units(values: Floats, grid: Grid) -> Floats:
    with np.errstate(over="ignore"):  # infinite is out of range as well
        return np.ldexp(values, -grid.exponent)


def _clamped(whole: Floats, limit: int) -> Integers:
    """Clamp first as floats, so that the cast is defined, then as integers, which hold the limit exactly."""
    held = np.clip(np.nan_to_num(whole, nan=0.0), -(2.0**62), 2.0**62).astype(np.int64)
    return np.clip(held, -limit, limit)
