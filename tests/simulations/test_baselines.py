"""Baselines against scikit-learn, and hospitals solved together as if one by one."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from protocol.model import column_scale, predict_logits
from protocol.settings import ModelSettings, TrainingSettings
from simulations import baselines


def test_pooled_ridge_equals_scikit_learn(small: Callable) -> None:
    made = small([600, 900])
    cohort = made.cohort.pooled()
    design = baselines.design_matrix(made.layout, cohort, 0, 1).toarray()
    weights = (1 / cohort.events_per_patient)[cohort.patient_of_event]
    # scikit-learn's ridge is one number: scale the intercept's column, which has another.
    scale = np.ones(design.shape[1])
    scale[0] = np.sqrt(baselines.RIDGE / baselines.INTERCEPT_RIDGE)
    reference = LogisticRegression(C=1 / baselines.RIDGE, fit_intercept=False, tol=1e-10, max_iter=5000)
    reference.fit(design * scale, cohort.labels, sample_weight=weights)
    public_scale = np.linspace(0.1, 1, made.layout.width)
    found = baselines.pooled_ridge(made.layout, public_scale, made.cohort) * public_scale
    np.testing.assert_allclose(found, reference.coef_[0] * scale, atol=2e-3)


def test_hospitals_together_equal_one_by_one_and_empty_stays_zero(small: Callable) -> None:
    made = small([40, 0, 1, 300, 7, 90])
    together = baselines.alone_ridge(made.layout, np.ones(made.layout.width), made.cohort)
    in_groups = baselines.alone_ridge(made.layout, np.ones(made.layout.width), made.cohort, events_at_once=1)
    np.testing.assert_allclose(together, in_groups, atol=5e-4)
    for index in range(6):
        alone = baselines.pooled_ridge(made.layout, np.ones(made.layout.width), made.cohort.hospital(index))
        np.testing.assert_allclose(together[index], alone, atol=5e-4)
    np.testing.assert_array_equal(together[1], 0)


def test_a_hospital_of_one_class_stays_finite(small: Callable) -> None:
    made = small([30, 30])
    made.cohort.labels[:] = 1
    assert np.abs(baselines.alone_ridge(made.layout, np.ones(made.layout.width), made.cohort)).max() < 10


def test_boosting_finds_what_is_there_and_never_sees_heldout_labels(small: Callable) -> None:
    training, heldout = small([3000], seed=1), small([1500], seed=2)
    scores = baselines.pooled_boosting(training.cohort, heldout.cohort, [False, True], seed=0)
    best = roc_auc_score(heldout.cohort.labels, heldout.truth)
    assert best - 0.02 < roc_auc_score(heldout.cohort.labels, scores) < best + 0.01
    heldout.cohort.labels[:] = 0
    again = baselines.pooled_boosting(training.cohort, heldout.cohort, [False, True], seed=0)
    np.testing.assert_array_equal(scores, again)


@pytest.mark.parametrize("patients", [1, 2, 5])
def test_boosting_on_almost_nothing(small: Callable, patients: int) -> None:
    made = small([patients])
    scores = baselines.pooled_boosting(made.cohort, made.cohort, [True, True], seed=0)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_two_thousand_hospitals_alone_in_seconds(small: Callable) -> None:
    made = small([40] * 2000)
    started = time.perf_counter()
    baselines.alone_ridge(made.layout, np.ones(made.layout.width), made.cohort)
    assert time.perf_counter() - started < 5


def quadratic(targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights - targets


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_hospitals_descend_apart_and_together(optimizer: str) -> None:
    targets = np.random.default_rng(0).normal(size=(5, 3))
    training = TrainingSettings(
        rounds=400, optimizer=optimizer, learning_rate=0.1, momentum=0.5, tail_average=0.2
    )
    step = partial(quadratic, targets)
    apart = baselines.descend(step, np.zeros((5, 3)), np.ones(5), training)
    np.testing.assert_allclose(apart, targets, atol=0.02)
    one = baselines.descend(partial(quadratic, targets[:1]), np.zeros((1, 3)), np.ones(1), training)
    np.testing.assert_array_equal(one, apart[:1])
    together = baselines.descend_together(step, np.zeros(3), 5.0, training)
    np.testing.assert_allclose(together, targets.mean(axis=0), atol=0.02)


def test_predictions_with_the_models_public_scale_equal_the_design(small: Callable) -> None:
    made = small([200])
    model = ModelSettings()
    weights = baselines.pooled_ridge(made.layout, column_scale(model, made.layout), made.cohort)
    effects = weights * column_scale(model, made.layout)
    expected = baselines.design_matrix(made.layout, made.cohort, 0, 1) @ effects
    np.testing.assert_allclose(predict_logits(model, made.layout, weights, made.cohort), expected, atol=1e-12)
