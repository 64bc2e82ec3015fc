"""Looks on planned dates: boundaries that spend α as O'Brien and Fleming would. Pure.

At the share t of the planned time, the chance to have stated a difference that is none, at this look or before, is
at most 4·(1 − Φ(z_{α/4}/√t)), half of it on each side: almost nothing early, α in the end (Lan and DeMets 1983,
Biometrika 70; by the calendar: 1989, Statistics in Medicine 8). Each look's boundary follows from those before it by
numerical integration of the sums' joint density (Armitage, McPherson and Rowe 1969). Intervals of a boundary's width
hold at all looks together (Jennison and Turnbull 1989: repeated intervals).
"""

import math
from collections.abc import Sequence as Items
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from wardround.protocol.arrays import Floats

_LARGEST = 8.0  # standard errors: beyond, the normal distribution has a chance of 1e-15
_LEAST = 1e-13  # a level that no boundary below _LARGEST spends
_NODES = 200


@dataclass(frozen=True)
class PlannedLooks:
    """The looks so far. patients: in at each look, ascending; fractions: of the planned time."""

    patients: tuple[int, ...]
    fractions: tuple[float, ...]

    def critical(self, standard_error: float, alpha: float) -> float:
        """Give the half-width in standard errors at the last of these looks; it is the same for any error."""
        return boundaries(self.patients, [spent(one, alpha) for one in self.fractions])[-1]

    def p_value(self, z: float, standard_error: float) -> float:
        """Give the smallest level at which the repeated interval excludes zero, rounded up by at most one per cent."""
        low, high = math.log(1e-12), 0.0
        if abs(z) < self.critical(standard_error, 0.999):
            return 1.0
        while high - low > 0.01:
            middle = (low + high) / 2
            excluded = abs(z) >= self.critical(standard_error, math.exp(middle))
            low, high = (low, middle) if excluded else (middle, high)
        return math.exp(high)


def spent(fraction: float, alpha: float) -> float:
    """Give the level that is spent by this share of the time: all of it at 1."""
    return 4 * float(ndtr(ndtri(alpha / 4) / math.sqrt(min(fraction, 1.0))))


def boundaries(information: Items[float], spending: Items[float]) -> list[float]:
    """Give each look's boundary, in standard errors.

    information: of each look, ascending, in any unit. spending: the level spent by each look, ascending.
    """
    found: list[float] = []
    nodes, density = np.zeros(1), np.ones(1)  # before the first look the sum is zero
    before, used = 0.0, 0.0
    for now, level in zip(information, spending, strict=True):
        step, scale = math.sqrt(now - before), math.sqrt(now)
        boundary = _boundary(nodes, density, step, scale, level - used)
        found.append(boundary)
        edge = boundary * scale
        unit, weights = _rule()
        following = edge * unit
        kernel = np.exp(-0.5 * ((following[:, None] - nodes) / step) ** 2) / (step * math.sqrt(2 * math.pi))
        # ``density`` holds the density times the weights of the rule: sums are then integrals.
        nodes, density = following, edge * weights * (kernel @ density)
        before, used = now, level
    return found


def _boundary(nodes: Floats, density: Floats, step: float, scale: float, level: float) -> float:
    def excess(boundary: float) -> float:
        edge = boundary * scale
        beyond = ndtr((-edge - nodes) / step) + ndtr((nodes - edge) / step)
        return float(beyond @ density) - level

    if level <= _LEAST or excess(_LARGEST) >= 0:
        return _LARGEST
    return float(brentq(excess, 0.0, _LARGEST, xtol=1e-10))


@cache
def _rule() -> tuple[Floats, Floats]:
    """Give nodes and weights of Gauss and Legendre's rule on [−1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights
