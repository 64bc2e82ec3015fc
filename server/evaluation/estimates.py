"""Estimates read off noised tables, each with what noise, sampling and coarse bins leave open.

A measure is a function of the tables' cells; its error follows from its gradient (delta method). The noise
is known exactly, from the terms. Sampling error is that of drawing other patients: a cell's expected square
is bounded by its count, since a patient's weights add up to 1, so it is never understated by patients with
several events. What coarse bins hide is a bias with a bound: intervals are those of Armstrong and Kolesár 2018,
"Optimal inference in a class of regression models", which cover at their level for every bias within it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.terms.evaluation import TableRow
from wardround.server.algorithm.table_weights import NO_TILT, Tilt
from wardround.server.evaluation.bin_shape import BinShape, bin_shape

UNBOUNDED = (-math.inf, math.inf)
_LEAST_SIGNAL = 5.0
"""Below so many standard deviations of its noise, a denominator says too little to divide by."""


@dataclass(frozen=True)
class Estimate:
    """A number with the standard deviations of its two errors and the bound of a third; NaN where it does not exist.

    noise: by the noise of privacy (and by weights of hospitals that are not alike), against the exact number on the
    same patients. sampling: by the draw of the patients, against the number on the population that they come from.
    bias: at most so much by what lies within bins. bounds: what it cannot leave.
    """

    value: float
    noise: float
    sampling: float
    bias: float = 0.0
    bounds: tuple[float, float] = UNBOUNDED

    def interval(self, level: float, *, noise_only: bool = False) -> tuple[float, float]:
        """Give the two-sided interval at this level; noise_only: for the exact number on the same patients."""
        reach = self.halfwidth(level, noise_only=noise_only)
        return _within(self.bounds, self.value - reach), _within(self.bounds, self.value + reach)

    def halfwidth(self, level: float, *, noise_only: bool = False) -> float:
        """Give half the length of the interval at this level, before ``bounds`` cut it."""
        # The two errors are independent: noise is drawn whoever the patients are.
        error = self.noise if noise_only else math.hypot(self.noise, self.sampling)
        return biased_quantile(level, self.bias, error)

    def text(self, level: float, digits: int = 3) -> str:
        """Write ``value [low, high]``, or an en dash for what does not exist."""
        if not math.isfinite(self.value):
            return "–"
        low, high = self.interval(level)
        return f"{self.value:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"


def biased_quantile(level: float, bias: float, stddev: float) -> float:
    """Give the quantile at this level of |x|, x normal with mean ``bias`` and this standard deviation.

    >>> round(biased_quantile(0.95, 0.0, 1.0), 3), round(biased_quantile(0.95, 1.0, 1.0), 3)
    (1.96, 2.646)
    """
    if not (stddev > 0 and math.isfinite(bias / stddev)):
        return bias + stddev
    normal, shift = NormalDist(), bias / stddev
    low, high = shift, shift + normal.inv_cdf((1 + level) / 2)
    for _ in range(50):
        middle = (low + high) / 2
        within = normal.cdf(middle - shift) - normal.cdf(-middle - shift)
        low, high = (middle, high) if within < level else (low, middle)
    return high * stddev


def _within(bounds: tuple[float, float], value: float) -> float:
    return min(max(value, bounds[0]), bounds[1])


_NOTHING = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class NoisedTables:
    """What the sum of releases says: noised, consistent counts of held-out patients.

    rows name the tables. counts: float64 [rows, 2, bins], label 0 then 1; the groups of an attribute add up
    to the table of all. covariance: float64 [rows, rows], of the noise of one contrast; between_bins: float64 [bins,
    bins], of the noise of a label's bins where that is 1 (``protocol.terms.contrasts``); each label has its own noise.
    edges: float64 [bins - 1], log-odds that part the score bins. hospitals: how many are in the sum. tilt: how far
    their weights lead away from patients who weigh alike. evaluations: over how many the number of each label in each
    row is a mean (``server.evaluation.pooled``); the noise of a row's cells is then less, and no longer independent.
    """

    round: int
    rows: tuple[TableRow, ...]
    counts: Floats
    covariance: Floats
    between_bins: Floats
    edges: Floats
    hospitals: int
    tilt: Tilt = NO_TILT
    evaluations: int = 1

    @property
    def bins(self) -> int:
        """How many score bins there are."""
        return len(self.edges) + 1

    @cached_property
    def shape(self) -> BinShape:
        """How scores lie within the bins, by the table of all events; groups are taken to be like all."""
        of_bins = float(self.covariance[0, 0]) * float(self.between_bins.trace()) / self.bins
        return bin_shape(self.counts[0], math.sqrt(of_bins), self.edges)

    @property
    def label_variance(self) -> float:
        """Variance of the sum of a label's bins where a contrast has noise of 1."""
        return float(self.between_bins.sum())


@dataclass(frozen=True, eq=False)
class Measure:
    """A function of counts [2, bins] that gives its value and gradient [2, bins].

    denominators: what it divides by, each the sum of counts · [2, bins]. Where noise could make one vanish,
    the measure does not exist, and no interval is told that would not hold. bounds: what its value cannot
    leave, however noised the counts. slack: from counts to a bound on the bias by what lies within bins; None where
    whole bins are counted. drift: expected standard deviation of it between hospitals.
    """

    of: Callable[[Floats], tuple[float, Floats]]
    denominators: tuple[Floats, ...]
    bounds: tuple[float, float]
    slack: Callable[[Floats], float] | None = None
    drift: float = 0.0


def estimate(tables: NoisedTables, measure: Measure, row: int = 0) -> Estimate:
    """Read a measure off one table; NaN where noise leaves it undetermined."""
    if not _determined(tables, measure, row):
        return _NOTHING
    value, gradient = measure.of(tables.counts[row])
    found = _with_errors(tables, value, {row: gradient}, measure)
    return replace(found, value=_within(measure.bounds, value), bounds=measure.bounds)


def difference(tables: NoisedTables, measure: Measure, first: int, second: int) -> Estimate:
    """Read a measure's difference, first less second, off the tables of two groups of one attribute."""
    if not (_determined(tables, measure, first) and _determined(tables, measure, second)):
        return _NOTHING
    one, upward = measure.of(tables.counts[first])
    other, downward = measure.of(tables.counts[second])
    return _with_errors(tables, one - other, {first: upward, second: -downward}, measure)


def _determined(tables: NoisedTables, measure: Measure, row: int) -> bool:
    """Whether no denominator of the measure is lost in noise.

    Expected from the table's total and the shares among all events, not from the denominator itself: to
    show a number only when its own noise happened to be upward would make its interval wrong.
    """
    everyone = tables.counts[0]
    for denominator in measure.denominators:
        share = float((everyone * denominator).sum()) / max(float(everyone.sum()), 1e-9)
        noise = math.sqrt(_noise_variance(tables, {row: denominator}))
        # "not … >": where counts are NaN nothing is determined either.
        if not share * float(tables.counts[row].sum()) > _LEAST_SIGNAL * noise:
            return False
    return True


def _with_errors(
    tables: NoisedTables, value: float, gradients: dict[int, Floats], measure: Measure
) -> Estimate:
    sampling = sum(float((tables.counts[row] * gradients[row] ** 2).sum()) for row in gradients)
    # Noised counts may be negative, and so may the sum that estimates a variance.
    sampling = max(sampling, 0.0)
    # Weights that are not alike draw other patients, and of other hospitals.
    by_weights = sampling * (tables.tilt.within - 1) + measure.drift**2 * tables.tilt.between * len(gradients)
    bias = sum(measure.slack(tables.counts[row]) for row in gradients) if measure.slack else 0.0
    noise = math.sqrt(_noise_variance(tables, gradients) + by_weights)
    return Estimate(value, noise, math.sqrt(sampling), bias)


def _noise_variance(tables: NoisedTables, gradients: dict[int, Floats]) -> float:
    rows = list(gradients)
    slopes = np.stack([gradients[row] for row in rows])
    # Between labels noise is independent; within one, bins share it, and tables do since they were made to agree.
    shared = tables.covariance[np.ix_(rows, rows)]
    noise = float(np.einsum("ilb,ij,jlb->", slopes @ tables.between_bins, shared, slopes))
    # Of a label's cells only what they add up to was measured by several evaluations.
    sums = slopes.mean(axis=2)
    known = (1 - 1 / tables.evaluations) * tables.label_variance
    return max(noise - known * float(np.einsum("il,ij,jl->", sums, shared, sums)), 0.0)
