"""Measures of a model, as functions of a table's cells: AUC, log-loss, calibration, and fairlearn's rates.

AUC: Hanley and McNeil 1982, on binned scores; what lies within one bin is ordered by ``BinShape``. Rates: as fairlearn
defines them, with every patient weighing the same.
"""

import math

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.server.algorithm.table_weights import AUC_DRIFT
from wardround.server.evaluation.bin_shape import ORDER_SLACK, SPREAD_SLACK, BinShape
from wardround.server.evaluation.estimates import Measure

SHARE, AMOUNT = (0.0, 1.0), (0.0, math.inf)
RATE_DRIFT = 0.06
"""Expected standard deviation of a rate between hospitals; set on ten synthetic federations."""


def ratio(
    numerator: Floats, denominator: Floats, bounds: tuple[float, float], spread: Floats | None = None
) -> Measure:
    """Σ counts · numerator ÷ Σ counts · denominator; all [2, bins].

    spread: standard deviations within the bins of what numerator is the mean of, where that is a mean.
    """

    def of(counts: Floats) -> tuple[float, Floats]:
        total = float((counts * denominator).sum())
        value = float((counts * numerator).sum()) / total
        return value, (numerator - value * denominator) / total

    def slack(counts: Floats) -> float:
        # Noised counts may be negative: no bound is.
        return SPREAD_SLACK * float((np.abs(counts) * spread).sum()) / float((counts * denominator).sum())

    return Measure(of, (denominator,), bounds, None if spread is None else slack, RATE_DRIFT)


def patients(bins: int) -> Measure:
    """Number of held-out patients in the table (of a group: by the share of their events in it).

    Where hospitals' weights differ, it is that of as many as they declare.
    """
    return Measure(lambda counts: (float(counts.sum()), np.ones((2, bins))), (), AMOUNT)


def auc(shape: BinShape) -> Measure:
    """Area under the ROC curve; pairs within one bin are ordered as often as the shape says."""
    bins = len(shape.order)

    def of(counts: Floats) -> tuple[float, Floats]:
        negatives, positives = counts
        total_negatives, total_positives = float(negatives.sum()), float(positives.sum())
        own = shape.order
        below = (np.cumsum(negatives) - negatives * (1 - own)) / total_negatives
        above = 1 - (np.cumsum(positives) - positives * own) / total_positives
        value = float(positives @ below) / total_positives
        return value, np.stack([(above - value) / total_negatives, (below - value) / total_positives])

    def slack(counts: Floats) -> float:
        shares = counts / counts.sum(axis=1, keepdims=True)
        return ORDER_SLACK * float(np.abs(shares[0] * shares[1]).sum())

    labels = (_selected(bins, 0, (1.0, 0.0)), _selected(bins, 0, (0.0, 1.0)))
    return Measure(of, labels, SHARE, slack, AUC_DRIFT)


def log_loss(shape: BinShape) -> Measure:
    """Mean negative log-likelihood in nats."""
    return ratio(shape.loss, np.ones_like(shape.loss), AMOUNT, shape.loss_spread)


def calibration_gap(shape: BinShape) -> Measure:
    """Mean predicted less observed share of label 1: above 0, too much is promised."""
    gaps = shape.prediction - np.array([[0.0], [1.0]])
    return ratio(gaps, np.ones_like(gaps), (-1.0, 1.0), shape.prediction_spread)


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
