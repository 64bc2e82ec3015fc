"""What ε means for one person, in guesses and odds: exact consequences of (ε, δ), rounded up.

For every test of whether a patient took part, (ε, δ)-differential privacy bounds
``P(yes | took part) ≤ e^ε · P(yes | did not) + δ`` and the same with the two exchanged (Wasserman and Zhou
2010; Kairouz, Oh and Viswanath 2015). The two statements below follow from nothing else.
"""

import math
from dataclasses import dataclass

OUTSIDERS_NAMED = 0.01
"""A test that wrongly points at so large a share of people who did not take part: the example of the odds."""


@dataclass(frozen=True)
class Odds:
    """What an ε allows, rounded up.

    right_of_100: of a hundred guesses at even odds whether somebody took part, at most so many are right.
    times: by at most so much the pointing of a test raises the odds.
    """

    epsilon: float
    right_of_100: int
    times: float


def odds_of_two(epsilon: float, delta: float) -> Odds:
    """Say what (ε, δ) for one record allows about a person of two records, each at another hospital.

    Group privacy: (2 ε, (1 + e^ε) δ), as P(both) ≤ e^ε P(one) + δ ≤ e^ε (e^ε P(none) + δ) + δ. It holds also
    where one secure sum has both records, for which basic composition (2 ε, 2 δ) does not.
    """
    grown = (1 + math.exp(min(epsilon, 700.0))) * delta
    return odds(2 * epsilon, min(grown, 1.0))


def odds(epsilon: float, delta: float) -> Odds:
    """Say what (ε, δ) allows; nothing spent is a coin's toss.

    Even odds: the best guess is right with chance (e^ε + δ)/(e^ε + 1). Likelihood ratio of a test that points
    at ``OUTSIDERS_NAMED`` of those who did not take part: e^ε + δ / ``OUTSIDERS_NAMED``.
    """
    if epsilon == 0.0:
        return Odds(0.0, 50, 1.0)
    exponent = min(epsilon, 700.0)  # beyond, the exponential overflows, and everything is known anyway
    right = 1 / (1 + math.exp(-exponent)) + delta / (1 + math.exp(exponent))
    # A test points at no more than all who took part: the ratio ends at 1 ÷ OUTSIDERS_NAMED.
    times = min(math.exp(exponent) + delta / OUTSIDERS_NAMED, 1 / OUTSIDERS_NAMED)
    # Rounded up, but for the error of floating point: 75.00000000000001 is 75.
    return Odds(epsilon, min(math.ceil(100 * right - 1e-9), 100), math.ceil(10 * times - 1e-9) / 10)
