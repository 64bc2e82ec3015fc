"""From the scores of all runs to what an attack found: one statistic, thresholds, bounds.

The first fifth of the runs of each arm chooses (each round's weight, both thresholds); the other four fifths are
measured. Nothing that is measured has chosen, so each bound holds at its confidence without a union over thresholds,
which would cost more than the fifth does.
"""

from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.simulations.audit.bounds import (
    Guesses,
    Interval,
    epsilon_at_least,
    epsilon_of,
    epsilons_at_least,
    estimate_parameter,
    parameter_at_least,
)

CHOOSING_SHARE = 0.2
_CANDIDATES = 200
_LEAST_VARIANCE = 1e-12
"""Of the largest round's: a round without noise counts for all, and nothing is divided by zero."""


@dataclass(frozen=True, eq=False)
class AttackOutcome:
    """What an attack found.

    without, with_canary: float64 [measured runs], the statistic, for a picture. threshold: above it the attack guesses
    that the canary was there. parameter: μ, supposing normal scores. parameter_bound: the lower bound on μ.
    epsilon_any: the lower bound on ε that supposes nothing of the mechanism.
    """

    without: Floats
    with_canary: Floats
    threshold: float
    parameter: Interval
    parameter_bound: float
    epsilon_any: float

    def epsilon(self, delta: float) -> Interval:
        """The estimate and its interval as ε."""
        found = self.parameter
        return Interval(*(epsilon_of(value, delta) for value in (found.value, found.low, found.high)))


def measure(
    without: Floats, with_canary: Floats, delta: float, confidence: float, *, coloured: bool = False
) -> AttackOutcome:
    """Measure an attack by the scores of its runs, float64 [runs, rounds] of each arm; as many runs in both.

    coloured: whether the scores of one run depend on one another (``coloured_weights``).
    """
    if without.shape != with_canary.shape:
        raise ValueError(f"scores {without.shape} and {with_canary.shape}: as many runs and rounds in both")
    chosen = max(2, int(CHOOSING_SHARE * len(without)))
    weights = (coloured_weights if coloured else round_weights)(without[:chosen], with_canary[:chosen])
    low, high = without @ weights, with_canary @ weights
    threshold = float(low[:chosen].mean() + high[:chosen].mean()) / 2
    far = _threshold_for_epsilon(low[:chosen], high[:chosen], delta, confidence)
    low, high = low[chosen:], high[chosen:]
    return AttackOutcome(
        without=low,
        with_canary=high,
        threshold=threshold,
        parameter=estimate_parameter(low, high, confidence),
        parameter_bound=parameter_at_least(guess(low, high, threshold), confidence),
        epsilon_any=epsilon_at_least(guess(low, high, far), delta, confidence),
    )


def round_weights(without: Floats, with_canary: Floats) -> Floats:
    """Give each round's weight, float64 [rounds]: 1/σ², with σ² seen in these runs.

    A canary that moves every round alike is found best so (the likelihood ratio of Gaussians). σ is measured and
    not taken from the terms, so that a round that lacks its noise counts for what it betrays.
    """
    variance = (without.var(axis=0) + with_canary.var(axis=0)) / 2
    floor = max(float(variance.max()) * _LEAST_VARIANCE, np.finfo(np.float64).tiny)
    weights = 1.0 / np.maximum(variance, floor)
    return np.asarray(weights / weights.max())


def coloured_weights(without: Floats, with_canary: Floats) -> Floats:
    """Give the rounds' weights where a round's noise is in later ones too, float64 [rounds]: S⁻¹ 1 (Fisher 1936).

    S is the covariance seen in these runs, drawn a little to its diagonal: few runs say little of many rounds. Rounds
    that nobody's canary moves (scores 0) weigh nothing.
    """
    seen = without.var(axis=0) + with_canary.var(axis=0) > 0
    if not seen.any():
        return np.ones(len(seen))
    runs, rounds = 2 * len(without), int(seen.sum())
    centred = np.concatenate([each[:, seen] - each[:, seen].mean(axis=0) for each in (without, with_canary)])
    covariance = centred.T @ centred / runs
    diagonal = np.diag(np.diag(covariance))
    covariance += (diagonal - covariance) * rounds / (rounds + runs) + diagonal * _LEAST_VARIANCE
    weights = np.zeros(len(seen))
    weights[seen] = np.linalg.solve(covariance, np.ones(rounds))
    return np.asarray(weights / np.abs(weights).max())


def guess(without: Floats, with_canary: Floats, threshold: float) -> Guesses:
    """Count the wrong guesses of an attack that says "there" above the threshold."""
    return Guesses(int((without > threshold).sum()), int((with_canary <= threshold).sum()), len(without))


def _threshold_for_epsilon(without: Floats, with_canary: Floats, delta: float, confidence: float) -> float:
    """Give the threshold at which the bound that supposes nothing is largest, in the runs that choose."""
    scores = np.concatenate([without, with_canary])
    candidates = np.quantile(scores, np.linspace(0, 1, _CANDIDATES))
    positives = (without > candidates[:, np.newaxis]).sum(axis=1)
    negatives = (with_canary <= candidates[:, np.newaxis]).sum(axis=1)
    found = epsilons_at_least(positives, negatives, len(without), delta, confidence)
    return float(candidates[int(np.argmax(found))])
