"""Confidence sequences: intervals that hold at every look, however often and whenever somebody looks. Pure.

Of an estimate with standard error s after information I = 1/s², the product I·(estimate − truth) becomes a Brownian
motion in the time I. Robbins (1970) mixes its likelihood ratio over drifts from N(0, τ²); by Ville's inequality

    |estimate − truth|  ≤  s · √((1 + 1/x) · log((1 + x)/α²)),   x = I·τ²

holds at all times together with a chance of at least 1 − α. That it holds for means of any distribution with bounded
variance, once there are enough patients, is theorem 2.2 of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024),
"Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52.

τ sets where the sequence is narrowest. With x₀ = I₀·τ² at the information I₀ that was planned, the width has its
minimum where log((1 + x₀)/α²) = x₀: 1 + x₀ = −W₋₁(−α²/e), Lambert's function (Howard, Ramdas, McAuliffe and Sekhon
2021, proposition 3). There the factor is √(1 + x₀): 3.05 at α = 0.05, in the place of 1.96.
"""

import math
from dataclasses import dataclass

from scipy.special import lambertw


@dataclass(frozen=True)
class AnytimeLooks:
    """Looks at any time. planned_error: the standard error at the planned size, where the sequence is narrowest."""

    planned_error: float
    alpha: float

    def critical(self, standard_error: float, alpha: float) -> float:
        """Give the half-width in standard errors, at level ``alpha``."""
        x = self._mixed(standard_error)
        return math.sqrt((1 + 1 / x) * (math.log1p(x) - 2 * math.log(alpha)))

    def p_value(self, z: float, standard_error: float) -> float:
        """Give the smallest level at which the interval excludes zero: valid whenever one looks."""
        x = self._mixed(standard_error)
        return min(1.0, math.exp(0.5 * math.log1p(x) - 0.5 * z * z * x / (1 + x)))

    def _mixed(self, standard_error: float) -> float:
        """Give x = I·τ². τ is tuned at the protocol's own level, so that all levels share one mixture."""
        return (narrowest_critical(self.alpha) ** 2 - 1) * (self.planned_error / standard_error) ** 2


def narrowest_critical(alpha: float) -> float:
    """Give the sequence's half-width in standard errors at the planned size."""
    return math.sqrt(-float(lambertw(-(alpha**2) / math.e, -1).real))
