"""From an attack's right and wrong guesses to lower bounds on ε, and from its scores to an estimate.

All pure. A bound holds with its stated confidence, whatever the attack: a weak attack gives a low bound, never a
wrong one. Thresholds must have been chosen by other runs than those counted here.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, ndtri

from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.privacy.gaussian_dp import gaussian_epsilon

_LARGEST_PARAMETER = 100.0


@dataclass(frozen=True)
class Guesses:
    """How an attack guessed whether the canary was there, in ``runs`` runs with it and as many without.

    false_positives: runs without it that were taken for runs with it. false_negatives: the other way round.
    """

    false_positives: int
    false_negatives: int
    runs: int

    def __post_init__(self) -> None:
        """Check that nothing was counted twice."""
        if not (0 <= self.false_positives <= self.runs and 0 <= self.false_negatives <= self.runs):
            raise ValueError(f"{self}: wrong guesses must be from 0 to runs")


@dataclass(frozen=True)
class Interval:
    """A number with its interval."""

    value: float
    low: float
    high: float


def rates_at_most(counts: Integers, trials: int, confidence: float) -> Floats:
    """Give one-sided upper bounds on rates seen ``counts`` times in ``trials`` (Clopper and Pearson 1934)."""
    # betaincinv wants both its parameters above 0; where all trials count, nothing is below 1.
    found = betaincinv(counts + 1, np.maximum(trials - counts, 1), confidence)
    return np.where(counts < trials, found, 1.0)


def epsilon_at_least(guesses: Guesses, delta: float, confidence: float) -> float:
    """Give a lower bound on ε at ``delta`` that supposes nothing of the mechanism (Kairouz et al. 2015).

    One threshold alone: ``epsilons_at_least`` says more.
    """
    counts = np.array([[guesses.false_positives], [guesses.false_negatives]])
    return float(epsilons_at_least(counts[0], counts[1], guesses.runs, delta, confidence)[0])


def epsilons_at_least(
    false_positives: Integers, false_negatives: Integers, runs: int, delta: float, confidence: float
) -> Floats:
    """Give the same for many thresholds: int [n] of each kind of wrong guess -> float64 [n], each by itself.

    An (ε, δ) mechanism has FPR·e^ε + FNR ≥ 1 − δ, and the same with the two exchanged. Both rates are replaced by
    upper bounds, each at half of the allowed failures, so that both hold together at ``confidence``.
    """
    each = 1 - (1 - confidence) / 2
    positives = rates_at_most(false_positives, runs, each)
    negatives = rates_at_most(false_negatives, runs, each)
    ratios = [
        np.maximum(1 - delta - other, 0) / rate
        for rate, other in ((positives, negatives), (negatives, positives))
    ]
    # A ratio below 1 shows nothing.
    return np.asarray(np.log(np.maximum(np.maximum(*ratios), 1.0)))


def parameter_at_least(guesses: Guesses, confidence: float) -> float:
    """Give a lower bound on μ of a mechanism that is said to be μ-GDP (Dong, Roth and Su 2019; Nasr et al. 2023).

    Such a mechanism lets nobody err less than Φ(−μ/2) of the time over both kinds of runs. All wrong guesses are
    counted together and bounded once, which is tighter than two bounds: their number is a sum of independent
    draws of two rates, whose tail is no heavier than the binomial's of the mean rate (Hoeffding 1956, Theorem 5).
    """
    wrong = guesses.false_positives + guesses.false_negatives
    rate = rates_at_most(np.array([wrong]), 2 * guesses.runs, confidence)[0]
    return max(0.0, -2.0 * float(ndtri(rate)))


def estimate_parameter(without: Floats, with_canary: Floats, confidence: float) -> Interval:
    """Interval μ as the distance of two sets of normal scores [runs] in standard deviations, with its interval.

    Guarantee: none below ``confidence`` for Gaussian scores of one variance; for others it is a description. The
    variance of a standardised difference: Hedges and Olkin 1985. Infinite where scores do not vary.
    """
    runs, others = len(with_canary), len(without)
    variance = (with_canary.var() * runs + without.var() * others) / (runs + others - 2)
    difference = float(with_canary.mean() - without.mean())
    if variance == 0:
        value = math.inf if difference else 0.0
        return Interval(value, value, value)
    value = difference / math.sqrt(variance)
    error = math.sqrt(1 / runs + 1 / others + value**2 / (2 * (runs + others)))
    reach = float(ndtri((1 + confidence) / 2)) * error
    return Interval(max(value, 0.0), max(value - reach, 0.0), max(value + reach, 0.0))


def epsilon_of(parameter: float, delta: float) -> float:
    """Give ε of a μ-GDP mechanism at ``delta``, by the accountant's own conversion; infinite beyond ε = 5,000."""
    # The conversion is not made for the μ of broken code: without noise it runs into millions, and overflows.
    return math.inf if parameter > _LARGEST_PARAMETER else gaussian_epsilon(parameter, delta)
