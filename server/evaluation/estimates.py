"""Measures of a model read off noised tables, each with the error that noise and sampling leave.

A measure is a function of the tables' cells; its error follows from its gradient (delta method). The noise
is known exactly, from the terms. Sampling error is that of drawing other patients: a cell's expected square
is bounded by its count, since a patient's weights add up to 1, so it is never understated by patients with
several events.

AUC: Hanley and McNeil 1982, on binned scores; ties count half. Rates: as fairlearn defines them, with every
patient weighing the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.terms.evaluation import TableRow

UNBOUNDED = (-math.inf, math.inf)
SHARE, AMOUNT = (0.0, 1.0), (0.0, math.inf)
_LEAST_SIGNAL = 5.0
"""Below so many standard deviations of its noise, a denominator says too little to divide by."""


@dataclass(frozen=True)
class Estimate:
    """A number with the standard deviations of its two errors; NaN where it does not exist.

    noise: by the noise of privacy, against the exact number on the same patients. sampling: by the draw of
    the patients, against the number on the population that they come from. bounds: what it cannot leave.
    """

    value: float
    noise: float
    sampling: float
    bounds: tuple[float, float] = UNBOUNDED

    def interval(self, level: float, *, noise_only: bool = False) -> tuple[float, float]:
        """Give the two-sided interval at this level; noise_only: for the exact number on the same patients."""
        # The two errors are independent: noise is drawn whoever the patients are.
        error = self.noise if noise_only else math.hypot(self.noise, self.sampling)
        reach = NormalDist().inv_cdf((1 + level) / 2) * error
        return _within(self.bounds, self.value - reach), _within(self.bounds, self.value + reach)

    def text(self, level: float, digits: int = 3) -> str:
        """Write ``value [low, high]``, or an en dash for what does not exist."""
        if not math.isfinite(self.value):
            return "–"
        low, high = self.interval(level)
        return f"{self.value:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"


def _within(bounds: tuple[float, float], value: float) -> float:
    return min(max(value, bounds[0]), bounds[1])


_NOTHING = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class NoisedTables:
    """What the sum of releases says: noised, consistent counts of held-out patients.

    rows name the tables. counts: float64 [rows, 2, bins], label 0 then 1; the groups of an attribute add up
    to the table of all. covariance: float64 [rows, rows], of the noise of one cell, the same for every cell.
    probabilities: float64 [bins], the middle of each score bin. hospitals: how many are in the sum.
    """

    round: int
    rows: tuple[TableRow, ...]
    counts: Floats
    covariance: Floats
    probabilities: Floats
    hospitals: int


@dataclass(frozen=True, eq=False)
class Measure:
    """A function of counts [2, bins] that gives its value and gradient [2, bins].

    denominators: what it divides by, each the sum of counts · [2, bins]. Where noise could make one vanish,
    the measure does not exist, and no interval is told that would not hold. bounds: what its value cannot
    leave, however noised the counts.
    """

    of: Callable[[Floats], tuple[float, Floats]]
    denominators: tuple[Floats, ...]
    bounds: tuple[float, float]


def estimate(tables: NoisedTables, measure: Measure, row: int = 0) -> Estimate:
    """Read a measure off one table; NaN where noise leaves it undetermined."""
    if not _determined(tables, measure, row):
        return _NOTHING
    value, gradient = measure.of(tables.counts[row])
    found = _with_errors(tables, value, {row: gradient})
    return replace(found, value=_within(measure.bounds, value), bounds=measure.bounds)


def difference(tables: NoisedTables, measure: Measure, first: int, second: int) -> Estimate:
    """Read a measure's difference, first less second, off the tables of two groups of one attribute."""
    if not (_determined(tables, measure, first) and _determined(tables, measure, second)):
        return _NOTHING
    one, upward = measure.of(tables.counts[first])
    other, downward = measure.of(tables.counts[second])
    return _with_errors(tables, one - other, {first: upward, second: -downward})


def _determined(tables: NoisedTables, measure: Measure, row: int) -> bool:
    """Whether no denominator of the measure is lost in noise.

    Expected from the table's total and the shares among all events, not from the denominator itself: to
    show a number only when its own noise happened to be upward would make its interval wrong.
    """
    everyone = tables.counts[0]
    for denominator in measure.denominators:
        share = float((everyone * denominator).sum()) / max(float(everyone.sum()), 1e-9)
        noise = _with_errors(tables, 0.0, {row: denominator}).noise
        # "not … >": where counts are NaN nothing is determined either.
        if not share * float(tables.counts[row].sum()) > _LEAST_SIGNAL * noise:
            return False
    return True


def _with_errors(tables: NoisedTables, value: float, gradients: dict[int, Floats]) -> Estimate:
    rows = list(gradients)
    slopes = np.stack([gradients[row].ravel() for row in rows])
    # Between cells noise is independent; within one, tables share it since they were made to agree.
    noise = float(np.einsum("ic,ij,jc->", slopes, tables.covariance[np.ix_(rows, rows)], slopes))
    sampling = sum(float((tables.counts[row] * gradients[row] ** 2).sum()) for row in rows)
    # Noised counts may be negative, and so may the sum that estimates a variance.
    return Estimate(value, math.sqrt(max(noise, 0.0)), math.sqrt(max(sampling, 0.0)))


def ratio(numerator: Floats, denominator: Floats, bounds: tuple[float, float]) -> Measure:
    """Σ counts · numerator ÷ Σ counts · denominator; both [2, bins]."""

    def of(counts: Floats) -> tuple[float, Floats]:
        total = float((counts * denominator).sum())
        value = float((counts * numerator).sum()) / total
        return value, (numerator - value * denominator) / total

    return Measure(of, (denominator,), bounds)


def patients(bins: int) -> Measure:
    """Number of held-out patients in the table (of a group: by the share of their events in it)."""
    return Measure(lambda counts: (float(counts.sum()), np.ones((2, bins))), (), AMOUNT)


def auc(bins: int) -> Measure:
    """Area under the ROC curve."""
    return Measure(_auc, (_selected(bins, 0, (1.0, 0.0)), _selected(bins, 0, (0.0, 1.0))), SHARE)


def _auc(counts: Floats) -> tuple[float, Floats]:
    negatives, positives = counts
    total_negatives, total_positives = float(negatives.sum()), float(positives.sum())
    # Half of a bin's own: within a bin the order of scores is not known, so ties count half.
    below = (np.cumsum(negatives) - negatives / 2) / total_negatives
    above = 1 - (np.cumsum(positives) - positives / 2) / total_positives
    value = float(positives @ below) / total_positives
    return value, np.stack([(above - value) / total_negatives, (below - value) / total_positives])


def log_loss(probabilities: Floats) -> Measure:
    """Mean negative log-likelihood in nats, scores taken at the middle of their bins."""
    losses = -np.log(np.stack([1 - probabilities, probabilities]))
    return ratio(losses, np.ones_like(losses), AMOUNT)


def calibration_gap(probabilities: Floats) -> Measure:
    """Mean predicted less observed share of label 1: above 0, too much is promised."""
    gaps = np.stack([probabilities, probabilities - 1])
    return ratio(gaps, np.ones_like(gaps), (-1.0, 1.0))


def prevalence(bins: int) -> Measure:
    """Observed share of label 1."""
    label = np.stack([np.zeros(bins), np.ones(bins)])
    return ratio(label, np.ones_like(label), SHARE)


def selection_rate(bins: int, first_selected: int) -> Measure:
    """Share of events whose score bin is ``first_selected`` or above."""
    selected = _selected(bins, first_selected, (1.0, 1.0))
    return ratio(selected, np.ones_like(selected), SHARE)


def true_positive_rate(bins: int, first_selected: int) -> Measure:
    """Share selected among label 1."""
    return ratio(_selected(bins, first_selected, (0.0, 1.0)), _selected(bins, 0, (0.0, 1.0)), SHARE)


def false_positive_rate(bins: int, first_selected: int) -> Measure:
    """Share selected among label 0."""
    return ratio(_selected(bins, first_selected, (1.0, 0.0)), _selected(bins, 0, (1.0, 0.0)), SHARE)


def _selected(bins: int, first: int, labels: tuple[float, float]) -> Floats:
    return np.outer(labels, np.arange(bins) >= first).astype(np.float64)
