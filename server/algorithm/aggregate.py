"""Turn a stream of screened releases into one estimate of the mean gradient over all planned patients.

Averaging hospitals' *means* would let the smallest hospital's noise rule; so noised sums are added and the
total divided by a public denominator: the declared patients of all *planned* hospitals, never of those that
happened to reply, whose number would otherwise change each release's weight.

Under local noise every hospital adds as much noise as the largest, however few patients it has: a release
is then weighted by a power of its declared size, which trades a little of the small hospitals' say for much
less noise. Where noise is shared the shares are one whole, and weights are equal. In a secure sum the integers are
added exactly, and become floats once.

The sum takes what passes the screen as it comes. ``training.aggregate=trimmed`` or ``median`` withstands a
minority of liars, at the cost of more noise and of holding a round's releases (``server.algorithm.robust``). Any
other name is a user's own rule (``server.algorithm.own_rule``).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from wardround.protocol.arrays import Floats, Integers, Numbers
from wardround.protocol.secure_sum.grid import Grid, decode
from wardround.protocol.terms.settings import ROBUST
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm import own_rule, robust


class Aggregate(Protocol):
    """One round's running aggregate. A rule that withstands bad releases is another class with these two."""

    def add(self, hospital: str, vector: Numbers) -> None:
        """Take in one screened release; ``vector`` is float64 [parameters] (secure sums: int64), may be overwritten."""

    def gradient(self) -> Floats:
        """Estimate the mean loss's gradient, float64 [parameters]; descent goes against it."""


BLOCK = 32_768
"""Numbers that are weighted and added at a time."""


@dataclass(eq=False)
class WeightedSum:
    """Σ weight × release, in place: memory is one vector, whatever the number of hospitals.

    With one local step a release is a noised sum of clipped gradients. With several it is a difference of
    weights (after minus before), and its weight is minus the hospital's public share (the pseudo-gradient
    of Reddi et al. 2021, Alg. 2).
    """

    total: Floats
    weights: dict[str, float]

    def add(self, hospital: str, vector: Floats) -> None:
        """Add one release; overwrites ``vector``. One pass over memory: a block stays in cache for both steps."""
        weight = self.weights[hospital]
        for start in range(0, len(vector), BLOCK):
            part, sums = vector[start : start + BLOCK], self.total[start : start + BLOCK]
            part *= weight
            sums += part

    def gradient(self) -> Floats:
        """Give the sum so far."""
        return self.total


@dataclass(eq=False)
class IntegerSum:
    """Σ integers, exactly: the same sum in whatever order they come. unit: factor of the decoded sum."""

    total: Integers
    grid: Grid
    unit: float = 1.0

    def add(self, hospital: str, vector: Numbers) -> None:
        """Add one release."""
        self.total += vector

    def decoded(self) -> Floats:
        """Give the sum so far in the unit of the hospitals' sums."""
        return decode(self.total, self.grid)

    def gradient(self) -> Floats:
        """Give the mean over planned patients: the same public denominator whoever is in the sum."""
        return self.decoded() * self.unit


def begin_integers(terms: Terms, parameters: int, round_number: int) -> IntegerSum:
    """Start a round's secure sum, on the grid of its noise."""
    training = terms.training
    expected = training.sampling_rate * sum(training.public_patients.values())
    return IntegerSum(np.zeros(parameters, np.int64), terms.update_noise(round_number).grid, 1 / expected)


def begin(terms: Terms, parameters: int, round_number: int) -> Aggregate:
    """Start one round's aggregate for vectors of this length.

    ConfigurationError where a robust rule would have to hold more than ``robust.LARGEST_ROWS`` bytes.
    """
    if terms.secure_sum is not None:
        return begin_integers(terms, parameters, round_number)
    rule = terms.training.aggregate
    declared = terms.training.public_patients
    if rule not in ("sum", *ROBUST):
        return own_rule.begin_own(rule, declared, mean_scales(terms), parameters)
    if rule != "sum":
        return robust.begin_order_statistic(rule, declared, mean_scales(terms), parameters)
    return WeightedSum(total=np.zeros(parameters), weights=release_weights(terms))


SIZE_EXPONENT = 0.75
"""0 weights patients alike; 1 is least noise where hospitals are alike (weights ∝ signal ÷ noise).

Chosen on the zoo: as good as 1 there, with more of a say for small hospitals; ½ is worse where noise rules.
"""


def release_weights(terms: Terms) -> dict[str, float]:
    """Give the public factor of each planned hospital's release; see ``WeightedSum``.

    One local step: ``declared**a / (rate · Σ declared**(1 + a))``, so that the expected sum is a weighted
    mean over patients; a is ``SIZE_EXPONENT`` under local noise and 0 where it is shared.
    """
    declared = terms.training.public_patients
    if terms.training.local_steps > 1:
        # FedAvg's weights (McMahan et al. 2017); a difference is already a mean over the hospital's own patients.
        patients = sum(declared.values())
        return {hospital: -count / patients for hospital, count in declared.items()}
    # In a plain sum the shares add up to the noise that ε is stated for; weighted unequally they would fall short.
    exponent = SIZE_EXPONENT if terms.privacy.mode.alone else 0.0
    total = terms.training.sampling_rate * sum(count ** (1 + exponent) for count in declared.values())
    return {hospital: count**exponent / total for hospital, count in declared.items()}


def mean_scales(terms: Terms) -> dict[str, float]:
    """Give the factor that makes a planned hospital's release its own estimate of the mean gradient.

    One local step: 1 ÷ (rate · declared patients). Several: −1, since a release is a difference of weights.
    """
    training = terms.training
    if training.local_steps > 1:
        return dict.fromkeys(training.public_patients, -1.0)
    # The expected number of sampled patients, which is public; the true one is not.
    return {name: 1 / (training.sampling_rate * count) for name, count in training.public_patients.items()}


def noise_gain(terms: Terms) -> float:
    """Standard deviation of the noise in one coordinate of ``gradient()`` when every release's is 1.

    Of a round with one local step in which all planned hospitals take part. The median's is at most √(π/2)
    times that of the sum where no hospital's vote is capped, the trimmed mean's between the two.
    """
    rule, declared = terms.training.aggregate, terms.training.public_patients
    if rule == "sum":
        return math.sqrt(sum(weight * weight for weight in release_weights(terms).values()))
    if rule not in ROBUST:  # not cached: a name may stand for another rule tomorrow, as in a notebook
        counts = np.array(list(declared.values()))
        return own_rule.noise_stddev(rule, 1 / (terms.training.sampling_rate * counts), counts)
    return _robust_gain(rule, tuple(declared.values()), terms.training.sampling_rate)


@lru_cache(maxsize=8)
def _robust_gain(rule: str, declared: tuple[int, ...], sampling_rate: float) -> float:
    """Measure ``noise_gain`` of a robust rule: newton asks for it in every round, and it costs a round's sorting."""
    counts = np.array(declared)
    cut = robust.cut_of(rule, len(declared))
    return robust.noise_stddev(1 / (sampling_rate * counts), robust.votes(counts), cut)


def reason_to_discard(terms: Terms, accepted_count: int, rule: str = "sum") -> str:
    """Say why what a round gave must not be used; empty where it may.

    A robust rule needs three releases: of two that disagree nobody can say which one lies.

    A secure sum needs its threshold of releases, and of fewer there is none.
    """
    if terms.secure_sum is not None:
        least = terms.thresholds.threshold
        return "" if accepted_count >= least else f"{accepted_count} of the {least} releases that a sum needs"
    if rule in ROBUST and 0 < accepted_count < robust.FEWEST:
        return f"{accepted_count} releases, training.aggregate={rule} needs {robust.FEWEST}"
    return "" if accepted_count else "no release"
