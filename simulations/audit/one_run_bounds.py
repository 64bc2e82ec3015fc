"""From one run with many canaries to lower bounds on ε.

All pure. Each canary is in the run or not, by a fair coin of its own. Steinke, Nasr and Jagielski 2023, "Privacy
auditing with one (1) training run", and a shift of Gaussians, which says more where all that leaves is Gaussian.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtri
from scipy.stats import binom, chi2

from wardround.protocol.arrays import Floats

_LARGEST_EPSILON = 100.0


@dataclass(frozen=True)
class Coins:
    """How an attack guessed the coins of many canaries in one run; it may abstain.

    canaries: coins thrown. guesses: of how many it said something. correct: how many of these were right.
    """

    canaries: int
    guesses: int
    correct: int

    def __post_init__(self) -> None:
        """Check that nothing was counted twice."""
        if not 0 <= self.correct <= self.guesses <= self.canaries:
            raise ValueError(f"{self}: correct ≤ guesses ≤ canaries")


def chance_of(coins: Coins, epsilon: float, delta: float) -> float:
    """Bound the chance that so many guesses are right under (ε, δ) privacy (Steinke et al. 2023, Theorem 5.2).

    With δ = 0 a right guess is no likelier than e^ε ÷ (1 + e^ε), whatever the others are. δ lets v - i guesses pass
    for v with a chance of at most 2 m δ ÷ i: the worst i counts.
    """
    right = float(expit(epsilon))
    plain = float(binom.sf(coins.correct - 1, coins.guesses, right))
    if delta == 0 or coins.correct == 0:
        return plain
    short = np.arange(1, coins.correct + 1)
    almost = (binom.sf(coins.correct - short - 1, coins.guesses, right) - plain) / short
    return min(1.0, plain + 2 * coins.canaries * delta * float(almost.max()))


def one_run_epsilon_at_least(coins: Coins, delta: float, confidence: float) -> float:
    """Give the lower bound on ε at ``delta`` that supposes nothing of the mechanism; 100 for more."""
    allowed = 1 - confidence
    if chance_of(coins, 0.0, delta) > allowed:
        return 0.0
    low, high = 0.0, _LARGEST_EPSILON
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if chance_of(coins, middle, delta) <= allowed else (low, middle)
    return low


def shift_at_least(seen: Floats, shift: Floats, parameter: float, confidence: float) -> float:
    """Give a lower bound on μ from a Gaussian vector whose mean may be shifted along one direction.

    seen: float64 [n], in units of the stated noise, what is known taken out. shift: float64 [n], by how much the
    canaries, each as the coins fell, move it if the code is right. parameter: μ of one canary, if noise and shift are
    as stated. Neither is believed: the shift is β times the stated one, the noise κ times, both measured here, each
    bounded at half of the allowed failures. μ is at least β ÷ κ times ``parameter``.
    """
    each, length = (1 - confidence) / 2, math.sqrt(float(shift @ shift))
    factor = float(seen @ shift) / length**2
    rest = seen - factor * shift
    noise = math.sqrt(float(rest @ rest) / float(chi2.ppf(each, len(seen) - 1)))
    return parameter * max(0.0, factor / noise - float(ndtri(1 - each)) / length)
