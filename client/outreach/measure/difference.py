"""A difference in means between two arms, with patients as clusters. Pure.

Each patient counts once, by the mean of their own outcomes: rows of one patient are never taken for independent ones.
The standard error is Neyman's (1923): s₁²/n₁ + s₂²/n₂, unbiased for patients drawn into arms or too large.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats, Integers

LEAST_PATIENTS = 30
"""In an arm, below which nothing is stated: the normal distribution is then no good approximation."""


@dataclass(frozen=True)
class Difference:
    """How much higher the first arm's mean is. patients, means: of both arms."""

    difference: float
    standard_error: float
    patients: tuple[int, int]
    means: tuple[float, float]

    @property
    def enough(self) -> bool:
        """Whether there are patients enough in both arms, and outcomes that differ."""
        return min(self.patients) >= LEAST_PATIENTS and 0 < self.standard_error < math.inf

    @property
    def z(self) -> float:
        """The difference in standard errors; 0 where there is none to divide by."""
        return self.difference / self.standard_error if 0 < self.standard_error < math.inf else 0.0


def difference_in_means(first: Floats, second: Floats) -> Difference:
    """Compare two arms. first, second: one number for each patient, float64 [patients]."""
    means, errors = zip(*(mean_and_error(arm) for arm in (first, second)), strict=True)
    return Difference(
        means[0] - means[1], math.hypot(*errors), (len(first), len(second)), (means[0], means[1])
    )


def mean_and_error(values: Floats) -> tuple[float, float]:
    """Give the mean of one number per patient and its standard error; nan and infinity where there are too few."""
    count = len(values)
    error = math.sqrt(float(np.var(values, ddof=1)) / count) if count > 1 else math.inf
    return (float(np.mean(values)) if count else math.nan), error


def mean_of_each(patients: Integers, outcomes: Floats) -> tuple[Integers, Floats]:
    """Give each patient's own mean. patients: int64 [rows], in any order; outcomes: float64 [rows]."""
    who, place = np.unique(patients, return_inverse=True)
    return who, np.bincount(place, outcomes) / np.bincount(place)


def pairs(arms: Sequence[str], primary: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Give every pair of arms to compare, the primary one first."""
    others = [(first, second) for place, second in enumerate(arms) for first in arms[place + 1 :]]
    return (primary, *(pair for pair in others if set(pair) != set(primary)))
