"""Metrics against scikit-learn, with ties, one-class and empty segments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from tests.builders import calls_of
from wardround.simulations.measures import metrics


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), events=st.integers(2, 80), levels=st.integers(1, 30))
def test_auc_equals_scikit_learn_with_ties(seed: int, events: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, events).astype(float)
    labels[:2] = 0, 1
    scores = rng.integers(0, levels, events) / levels
    assert metrics.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_auc_by_segment_equals_scikit_learn_and_leaves_one_class_out() -> None:
    rng = np.random.default_rng(1)
    segments = rng.permutation(np.repeat(np.arange(40), rng.integers(0, 30, 40)))
    labels = (rng.random(len(segments)) < 0.3).astype(float)
    scores = np.round(rng.random(len(segments)), 1)
    found = metrics.auc_by_segment(labels, scores, segments, 41)
    for segment in range(41):
        here = segments == segment
        if len(np.unique(labels[here])) < 2:
            assert np.isnan(found[segment])
        else:
            assert found[segment] == pytest.approx(roc_auc_score(labels[here], scores[here]), abs=1e-12)
    assert np.isnan(found[40])
    mean, left_out = metrics.macro_auc(found)
    assert left_out == np.isnan(found).sum()
    assert mean == pytest.approx(np.nanmean(found))


def test_log_loss_equals_scikit_learn_even_at_zero_and_one() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 500).astype(float)
    scores = np.r_[0.0, 1.0, rng.random(498)]
    assert metrics.log_loss(labels, scores) == pytest.approx(sklearn_log_loss(labels, scores), rel=1e-9)
    halves = np.repeat([0, 1], 250)
    parts = metrics.log_loss_by_segment(labels, scores, halves, 3)
    assert parts[:2].mean() == pytest.approx(metrics.log_loss(labels, scores))
    assert np.isnan(parts[2])


def test_calibration_equals_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(5000)
    labels = (rng.random(5000) < scores**1.5).astype(float)
    found = metrics.calibration(labels, scores, 15)
    observed, predicted = calibration_curve(labels, scores, n_bins=15, strategy="quantile")
    np.testing.assert_allclose(found.predicted, predicted, atol=1e-12)
    np.testing.assert_allclose(found.observed, observed, atol=1e-12)
    logit = np.log(scores / (1 - scores))[:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(logit, labels)
    assert found.slope == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert found.intercept == pytest.approx(reference.intercept_[0], abs=1e-4)


def test_right_scores_are_calibrated_and_wrong_ones_are_not() -> None:
    rng = np.random.default_rng(4)
    truth = rng.random(40_000) * 0.8 + 0.1
    labels = (rng.random(40_000) < truth).astype(float)
    right, wrong = metrics.calibration(labels, truth), metrics.calibration(labels, truth**2)
    assert right.expected_error < 0.015
    assert abs(right.slope - 1) < 0.05
    assert abs(right.intercept) < 0.05
    assert wrong.expected_error > 0.1
    assert right.events.sum() == 40_000


def test_one_class_or_nothing_is_nan_not_an_error() -> None:
    ones = np.ones(5)
    assert np.isnan(metrics.auc(ones, np.linspace(0, 1, 5)))
    assert np.isnan(metrics.calibration(ones, np.linspace(0, 1, 5)).slope)
    nothing = np.zeros(0)
    assert np.isnan(metrics.auc(nothing, nothing))
    assert np.isnan(metrics.log_loss(nothing, nothing))
    assert np.isnan(metrics.calibration(nothing, nothing).expected_error)
    assert np.isnan(metrics.macro_auc(np.array([np.nan]))[0])
    assert np.isnan(metrics.share_better(np.array([np.nan]), np.array([0.5])))


def test_separable_scores_do_not_overflow() -> None:
    labels = np.repeat([0.0, 1.0], 20)
    found = metrics.calibration(labels, labels)
    assert found.expected_error == 0
    assert found.observed.tolist() == [0.0, 1.0]
    assert np.isnan([found.slope, found.intercept]).all()  # labels that scores separate determine no slope


def test_share_better_counts_hospitals_with_both() -> None:
    together, alone = np.array([0.7, 0.6, 0.5, np.nan]), np.array([0.6, 0.6, 0.6, 0.1])
    assert metrics.share_better(together, alone) == pytest.approx(1 / 3)


def test_ten_thousand_hospitals_in_one_sort() -> None:
    rng = np.random.default_rng(5)
    segments = np.repeat(np.arange(10_000), 30)
    labels, scores = rng.integers(0, 2, 300_000).astype(float), rng.random(300_000)
    calls = calls_of(lambda: metrics.auc_by_segment(labels, scores, segments, 10_000))
    assert calls < 300  # measured: 131; a loop over hospitals makes tens of thousands


def test_auc_of_one_class_is_not_a_number() -> None:
    for labels in (np.zeros(3), np.ones(3), np.empty(0)):
        assert np.isnan(metrics.auc(labels, np.arange(len(labels), dtype=float)))
