"""What the terms of a study say of its secure sums, and the noise of one hospital in one of them.

All of it is public: counts, names and keys. ``protocol.terms.sum_noise`` reads it for a kind of request.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from wardround.protocol.errors import require
from wardround.protocol.secure_sum.grid import Grid, sum_grid
from wardround.protocol.secure_sum.noise_shares import NoiseShares, noise_shares, rounded_sensitivity
from wardround.protocol.secure_sum.thresholds import (
    LEAST_HOSPITALS,
    MOST_HOSPITALS_OF_SUM,
    Thresholds,
    default_thresholds,
)
from wardround.protocol.text.bounds import LARGEST_SUMMED, MOST_SPARE_SLOTS


@dataclass(frozen=True, kw_only=True)
class SecureSumChoice:
    """What a person may choose of a study's secure sums; None leaves it to the rule (``thresholds``).

    max_epsilon_unmasked: a real study is composed such that a patient's ε stays below it even where every mask fails;
    what hospitals refuse by is their own policy's cap.
    """

    threshold: int | None = None
    colluding: int | None = None
    spare_slots: int = 1
    max_epsilon_unmasked: float = 25.0

    def __post_init__(self) -> None:
        """Check what does not depend on the hospitals."""
        _check_spares(self.spare_slots)
        cap = self.max_epsilon_unmasked
        require(
            0 < cap < math.inf, "secure_sum.max_epsilon_unmasked", cap, "must be greater than 0 and finite"
        )

    def thresholds(self, hospitals: int) -> Thresholds:
        """Resolve t and q for so many hospitals; ConfigurationError where there is no such sum."""
        _check_enough(hospitals)
        return default_thresholds(hospitals, self.colluding, self.threshold)


@dataclass(frozen=True, kw_only=True)
class SecureSumSettings:
    """The secure sums of a study, as its terms carry them.

    threshold: q, the fewest survivors of a sum. colluding: t, how many hospitals may help a server that lies.
    parameters: numbers of an update; the model has as many, which its hospitals check. spare_slots: training sums
    beyond the rounds, each in the place of one that was void. members: hospital → its signing key, by which the
    members know each other; empty in a simulation, whose hospitals have none.
    """

    threshold: int
    colluding: int
    parameters: int
    spare_slots: int = 1
    members: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what does not depend on the hospitals."""
        allowed = f"must be from 1 to {LARGEST_SUMMED}"
        require(1 <= self.parameters <= LARGEST_SUMMED, "secure_sum.parameters", self.parameters, allowed)
        _check_spares(self.spare_slots)

    def check_hospitals(self, hospitals: tuple[str, ...], simulation: bool) -> None:
        """ConfigurationError unless these hospitals can have such sums, and the members are exactly they.

        Whether a member's text is a public key is for who signs or reads terms (``protocol.wire.signed_terms``).
        """
        _check_enough(len(hospitals))
        self.thresholds(len(hospitals))
        if simulation:
            line = "must be empty in a simulation, whose hospitals have no keys"
            require(not self.members, "secure_sum.members", f"{len(self.members)} hospitals", line)
            return
        # Simulated hospitals deal no shares; real ones deal one for each member and slot, and the server opens H².
        line = f"must be at most {MOST_HOSPITALS_OF_SUM} with privacy.noise=secure"
        require(len(hospitals) <= MOST_HOSPITALS_OF_SUM, "hospitals", len(hospitals), line)
        wrong = ", ".join(sorted(set(hospitals) ^ set(self.members)))
        line = "must name exactly the study's hospitals, each with its signing key"
        require(
            not wrong, "secure_sum.members", f"{len(self.members)} hospitals", f"{line} (look at {wrong})"
        )
        distinct = len(set(self.members.values())) == len(self.members)
        require(distinct, "secure_sum.members", "…", "two hospitals have one signing key; each needs its own")

    def thresholds(self, hospitals: int) -> Thresholds:
        """Give H, t and q; ConfigurationError where a member could be both in and out of a sum."""
        return Thresholds(hospitals, self.colluding, self.threshold)


@dataclass(frozen=True)
class SumNoise:
    """One slot's public numbers, the same at each hospital: its grid, and the share of noise that each adds.

    dimension: numbers of the sum.
    """

    grid: Grid
    shares: NoiseShares
    dimension: int

    @property
    def largest(self) -> int:
        """Give what no honest integer of one hospital exceeds, but for chance e⁻⁸⁰⁰: its limit, and 40 s of noise."""
        return self.grid.limit + 40 * math.isqrt(self.shares.variance)

    @property
    def stddev(self) -> float:
        """Give the standard deviation of one hospital's share in one coordinate, in the unit of the sum."""
        return math.sqrt(self.shares.variance) * self.grid.step


def noise_of_sum(
    clip_norm: float, noise_multiplier: float, dimension: int, thresholds: Thresholds
) -> SumNoise:
    """Choose grid and share of noise of a sum [dimension] that a patient moves by at most clip_norm in L2 norm.

    Guarantee: the smallest sum that a lying server can obtain (``Thresholds.honest_shares``) has a multiplier of at
    least noise_multiplier. No term for the order of float64 additions: patients are clipped to
    ``mechanism.ordered_clip_norm``, and tables add up exactly.
    """
    shares = thresholds.honest_shares
    grid = sum_grid(clip_norm, noise_multiplier, dimension, thresholds.hospitals, shares)
    sensitivity = rounded_sensitivity(clip_norm, grid.exponent, dimension)
    return SumNoise(grid, noise_shares(thresholds, noise_multiplier, sensitivity, grid.exponent), dimension)


def _check_spares(spare_slots: int) -> None:
    allowed = f"must be from 0 to {MOST_SPARE_SLOTS}"
    require(0 <= spare_slots <= MOST_SPARE_SLOTS, "secure_sum.spare_slots", spare_slots, allowed)


def _check_enough(hospitals: int) -> None:
    # Of two each knows its own release, and so from the sum the other's.
    line = f"needs at least {LEAST_HOSPITALS} hospitals, here {hospitals}; use local"
    require(hospitals >= LEAST_HOSPITALS, "privacy.noise", "secure", line)
