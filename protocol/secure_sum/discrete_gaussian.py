"""The discrete Gaussian N_Z(0, s²), sampled exactly: chance of an integer z in proportion to exp(-z²/(2 s²)).

Canonne, Kamath and Steinke 2020, "The discrete Gaussian for differential privacy": rejection from a discrete
Laplace. Here the same with powers of 2 in place of powers of e, whose bits need no exponential:

    t = ⌈0.68 s⌉;  V = number of zeros before the first one of a stream of bits: 2^-(V+1);  U uniform on 0 … t-1
    z = ±(t V + U) with a random sign (minus 0 is rejected), accepted with chance p = 5/8 · 2^V · exp(-z²/(2 s²))

p ≤ 1, as t V + U ≥ t V and t² ≥ 0.4624 s² give p ≤ 5/8 · 2^V · exp(-0.2312 V²) ≤ 0.993 for each V = 0, 1, 2, …

**Exact, though it compares in float64.** p is computed by additions, products and a table, which IEEE 754 rounds
correctly (``numpy.exp`` promises no bound), and is off by less than 2^-44: squares and quotients by 2^-51 of an
exponent below 64, that is 2^-45; table, series and products by 2^-49. Where the uniform number lies within 2^-40 of
it, ``_accepts_exactly`` decides by integers instead, with as many more random bits as that takes.

How long a call takes depends on the noise drawn and on nothing else. Nothing here knows the sum.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wardround.protocol.arrays import Booleans, Floats, Integers
from wardround.protocol.errors import require
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum.exponential import exponential_bracket

LARGEST_VARIANCE = 2**60
"""s up to 2³⁰: all numbers of interest then fit float64 and 32 bits of randomness."""
_BLOCK = 1 << 13  # proposals at once: temporaries stay in the processor's cache
_BAND = 2.0**-40
_CELLS = 64  # of the table, per unit of the exponent
_LARGEST_EXPONENT = 64  # beyond it p < 2^-75
_HALF, _MOST_ZEROS = 32, 31

Words = NDArray[np.uint64]


def discrete_gaussian(stream: Keystream, variance: int, count: int) -> Integers:
    """Draw the next ``count`` numbers of N_Z(0, variance): int64 [count].

    Guarantee: the distribution is exactly that one, given uniform bits; no float's rounding shows in it. A
    proposal takes two words of the stream, and a call leaves the rest of its last block unused, at most 8,192 of them.
    ConfigurationError unless variance is a whole number from 1 to 2⁶⁰.
    """
    fits = type(variance) is int and 1 <= variance <= LARGEST_VARIANCE
    require(fits, "variance of noise", variance, "must be a whole number from 1 to 2**60")
    out = np.empty(count, np.int64)
    filled = 0
    while filled < count:
        # About 3 in 5 are accepted: a small vector must not pay for a whole block.
        accepted = _accepted(stream, variance, min(_BLOCK, 2 * (count - filled) + 64))
        taken = min(len(accepted), count - filled)
        out[filled : filled + taken] = accepted[:taken]
        filled += taken
    return out


def block_width(variance: int) -> int:
    """Give t = ⌈0.68 s⌉, the numbers that share one V: the least t with (25 t)² ≥ 289 s²."""
    return (math.isqrt(289 * variance - 1) + 25) // 25


def _accepted(stream: Keystream, variance: int, proposals: int) -> Integers:
    """Draw one block of proposals and keep what is accepted, in the order drawn."""
    words = np.frombuffer(stream.words(2 * proposals), "<u8").reshape(proposals, 2)
    proposal, uniform = words[:, 0], words[:, 1]
    width = block_width(variance)
    zeros, offset, possible = _proposed(proposal, width)
    magnitude = zeros * width + offset
    chance = _chance(magnitude, zeros, variance)
    chance -= (uniform >> np.uint64(11)) * 2.0**-53
    accepted = chance > 0
    for row in np.flatnonzero((np.abs(chance) < _BAND) & possible):
        at_least = int(zeros[row])
        more = _more_zeros(stream) if at_least == _MOST_ZEROS else 0
        magnitude[row] += more * width
        accepted[row] = _accepts_exactly(
            stream, int(uniform[row]), int(magnitude[row]), at_least + more, variance
        )
    accepted &= possible
    negative = (proposal >> np.uint64(_MOST_ZEROS)) & np.uint64(1) == 1
    accepted &= ~(negative & (magnitude == 0))
    return np.where(negative, -magnitude, magnitude)[accepted]


def _proposed(proposal: Words, width: int) -> tuple[Integers, Integers, Booleans]:
    """Read V, U and whether U may be used from the words: sign at bit 31, V from 31 bits, U from the upper 32.

    Lemire 2019, "Fast random integer generation in an interval": a product's upper half is uniform once the lower
    halves below 2³² mod t are rejected.
    """
    product = (proposal >> np.uint64(_HALF)) * np.uint64(width)
    lower = product & np.uint64(2**_HALF - 1)
    bits = (proposal & np.uint64(2**_MOST_ZEROS - 1)).astype(np.float64)
    _, length = np.frexp(bits)
    possible = lower >= np.uint64(2**_HALF % width)
    return _MOST_ZEROS - length.astype(np.int64), (product >> np.uint64(_HALF)).astype(np.int64), possible


def _chance(magnitude: Integers, zeros: Integers, variance: int) -> Floats:
    """Give p to within 2^-44, for each proposal; 0 where the exponent is 64 or more."""
    exponent = magnitude.astype(np.float64)
    exponent *= exponent
    exponent *= 1.0 / (2 * variance)
    beyond = exponent >= _LARGEST_EXPONENT
    exponent[beyond] = 0.0
    cell = (exponent * _CELLS).astype(np.int64)
    exponent -= cell * (1.0 / _CELLS)  # exact: both are multiples of the last place of a larger number
    series = exponent * (1.0 / 720.0)
    for divisor in (-120.0, 24.0, -6.0, 2.0, -1.0):
        series += 1.0 / divisor
        series *= exponent
    series += 1.0
    series *= _table()[cell]
    chance = np.ldexp(series, zeros.astype(np.int32))
    chance *= 0.625
    chance[beyond] = 0.0
    return chance


@lru_cache(maxsize=1)
def _table() -> Floats:
    """exp(-i/64) for i = 0 … 4095, each from its bracket and so within one unit of the last place."""
    lows = [exponential_bracket(i, _CELLS, 160)[0] for i in range(_LARGEST_EXPONENT * _CELLS)]
    return np.array([math.ldexp(float(low), -160) for low in lows])


def _accepts_exactly(stream: Keystream, uniform: int, magnitude: int, zeros: int, variance: int) -> bool:
    """Decide whether a uniform real number, of which 64 bits are drawn, lies below p; draw more where needed."""
    bits = 64
    while True:
        low, high = exponential_bracket(magnitude * magnitude, 2 * variance, bits)
        # uniform ≤ 2^bits times the real number ≤ uniform + 1
        if 8 * (uniform + 1) <= 5 * (low << zeros):
            return True
        if 8 * uniform >= 5 * (high << zeros):
            return False
        uniform = uniform << 64 | int.from_bytes(stream.words(1), "little")
        bits += 64


def _more_zeros(stream: Keystream) -> int:
    """Go on counting zeros where all 31 bits of a proposal were zeros: one time in 2³¹."""
    zeros = 0
    while (word := int.from_bytes(stream.words(1), "little")) == 0:
        zeros += 64
    return zeros + 64 - word.bit_length()
