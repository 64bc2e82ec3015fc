"""How much noise one hospital adds to a secure sum, and what multiplier of noise is left for each adversary.

Each hospital adds N_Z(0, s²) in units of the grid, with one whole s² for all. What k shares give is as good as a
Gaussian mechanism of variance k s² - 2.5² units, and so every accountant of the Gaussian holds, sampled or not:

- their sum is within e^±τ of the discrete Gaussian of variance k s² (``log_closeness``; Kairouz, Liu and Steinke
  2021, "The distributed discrete Gaussian mechanism for federated learning with secure aggregation");
- a discrete Gaussian of that variance is, point by point and within 1 ± 2⁻¹²⁷ for 10¹⁴ coordinates, a continuous
  one of variance less by 2.5², rounded at random to whole numbers (Peikert 2010, "An efficient and parallel
  Gaussian sampler for lattices", Theorem 3.1): one normal variable's part lies within 1 ± 2 exp(-2π² 2.5²).

**The 2.5² is paid once per sum, not once per share.** So one share gives less than the m-th part of what m give, and
the multiplier of fewer than m shares is computed here and not scaled by a root.

Numbers are fractions until the end; multipliers are rounded down, sensitivities and variances up.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from wardround.protocol.errors import require
from wardround.protocol.privacy.mechanism import MOST_CANCELLATION
from wardround.protocol.secure_sum.discrete_gaussian import LARGEST_VARIANCE
from wardround.protocol.secure_sum.thresholds import Thresholds

LEAST_STDDEV = 64
ROUNDING_VARIANCE = Fraction(25, 4)
"""Units², the variance that rounding at random adds: 2.5²."""
_ROOT_BITS = 64
_MOST_TERMS = 2**26  # so that (n - 1) u / (1 - (n - 1) u) ≤ n u, u = 2^-53


@dataclass(frozen=True)
class SumSensitivity:
    """By how much one patient moves a hospital's integers, in L2 norm and in the unit of the sum; its three parts.

    clip: the clip norm C. grid: g √d, from rounding a float64 sum to the grid. order: from the order of float64
    additions. The last two are 0 where patients' vectors are truncated toward zero and added as integers.
    """

    clip: Fraction
    grid: Fraction = Fraction(0)
    order: Fraction = Fraction(0)

    @property
    def total(self) -> Fraction:
        """Add up the parts: Δ."""
        return self.clip + self.grid + self.order


def integer_sensitivity(clip_norm: float) -> SumSensitivity:
    """Give Δ where patients' vectors become integers one by one (``grid.encode_patients``): the clip norm."""
    return SumSensitivity(Fraction(clip_norm))


def rounded_sensitivity(clip_norm: float, exponent: int, dimension: int, terms: int = 0) -> SumSensitivity:
    """Give Δ where a float64 sum [dimension] is rounded to the grid 2^exponent (``grid.encode_sum``).

    terms: the public most events whose vectors are added one after another in float64; 0 where the computed sum
    already moves by at most clip_norm with one patient (clipped to ``mechanism.ordered_clip_norm``).
    Proof: each coordinate is rounded by at most half a step, in two tables, together g √d. n terms are off by at
    most n u ‖Σ|terms|‖ in any order, u = 2⁻⁵³, in each of two tables; the norms of one patient's events add up to
    at most A C (A = ``MOST_CANCELLATION``, events may cancel), those of all to n A C: 2 n² A 2⁻⁵³ C.
    ConfigurationError beyond 2²⁶ terms.
    """
    require(0 <= terms <= _MOST_TERMS, "events added in float64", terms, f"must be at most {_MOST_TERMS}")
    root = Fraction(math.isqrt(dimension << 2 * _ROOT_BITS) + 1, 1 << _ROOT_BITS)
    clip = Fraction(clip_norm)
    order = 2 * terms**2 * Fraction(MOST_CANCELLATION) * clip / 2**53
    return SumSensitivity(clip, Fraction(2) ** exponent * root, order)


@dataclass(frozen=True)
class NoiseShares:
    """The noise of one slot, the same at each hospital. variance: s², units². sensitivity: Δ in units of the grid."""

    thresholds: Thresholds
    variance: int
    sensitivity: Fraction

    def multiplier(self, shares: int, at_hospitals: int = 1) -> float:
        """Give the noise multiplier of a sum of so many honest shares, rounded down.

        at_hospitals: r, for a person who is a patient at r hospitals of the sum, whom r Δ protect: the multiplier
        is divided by r. (Under local noise, by √r alone.) For full participation: where each hospital samples by
        itself, the rate of one is not the person's (``terms.cost.epsilon_against``).
        """
        squared = (shares * self.variance - ROUNDING_VARIANCE) / (at_hospitals * self.sensitivity) ** 2
        return _root_down(squared)

    def multipliers(self) -> dict[str, float]:
        """Give the noise multiplier of one sum against each adversary.

        ``secure_sum_and_hospitals``: a server that lies, with its t helpers: m shares, which is what is charged.
        ``model``: whoever reads the sum, with t helpers: q - t shares. ``patient_at_two_hospitals``: the first,
        about a person at two. ``masks_failed``: one hospital's share alone, where more members help the server
        than t, or X25519 is broken one day; the policy's ``max_epsilon_unmasked`` is about this one.
        """
        honest = self.thresholds.honest_shares
        return {
            "secure_sum_and_hospitals": self.multiplier(honest),
            "model": self.multiplier(self.thresholds.shares_for_reader),
            "patient_at_two_hospitals": self.multiplier(honest, at_hospitals=2),
            "masks_failed": self.multiplier(1),
        }


def noise_shares(
    thresholds: Thresholds, noise_multiplier: float, sensitivity: SumSensitivity, exponent: int
) -> NoiseShares:
    """Choose s² = ⌈((σ Δ / g)² + 2.5²) / m⌉, at least 64², for σ = noise_multiplier and the grid g = 2^exponent.

    Guarantee: the smallest sum that a lying server can obtain has a multiplier of at least σ. The same whole number
    on every machine: no step of it is in floating point. ConfigurationError where s would exceed 2³⁰ units.
    """
    require(
        0 < noise_multiplier < math.inf, "noise_multiplier", noise_multiplier, "must be positive and finite"
    )
    units = sensitivity.total / Fraction(2) ** exponent
    needed = (Fraction(noise_multiplier) * units) ** 2 + ROUNDING_VARIANCE
    variance = max(math.ceil(needed / thresholds.honest_shares), LEAST_STDDEV**2)
    allowed = "the grid is too fine for so much noise: take a coarser one"
    require(variance <= LARGEST_VARIANCE, "variance of noise", f"{float(variance):.3g}", allowed)
    return NoiseShares(thresholds, variance, units)


def log_closeness(dimension: int, variance: int, shares: int) -> float:
    """Give ln τ: the sum of so many shares is within e^±τ of a discrete Gaussian; -inf for one share.

    τ = 10 d Σ_k exp(-2π² s² k/(k+1)), k = 1 … shares - 1. At s = 64 it is below 10⁻¹⁷⁰⁰⁰ for any d.
    """
    if shares == 1:
        return -math.inf
    exponents = [-2 * math.pi**2 * variance * k / (k + 1) for k in range(1, shares)]
    largest = max(exponents)
    return math.log(10 * dimension) + largest + math.log(math.fsum(math.exp(e - largest) for e in exponents))


def _root_down(square: Fraction) -> float:
    """Give the square root as a float that is not above it, within two units of the last place."""
    root = math.sqrt(square)
    while Fraction(root) ** 2 > square:
        root = math.nextafter(root, 0.0)
    return root
