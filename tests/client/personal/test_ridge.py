"""Many small ridge regressions at once: scikit-learn's answer, hospital by hospital."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from tests.builders import cohort_of
from wardround.client.personal.ridge import (
    INTERCEPT_RIDGE,
    RIDGE,
    Start,
    design_matrix,
    fit_effects,
    fit_effects_each,
)
from wardround.protocol.contract.layout import Cross, Field, Layout

FIELDS = (Field("age", ("a", "b", "c")), Field("channel", ("x", "y", "z")))
LAYOUT = Layout(features=FIELDS, crosses=(Cross(*FIELDS),), values=("lead",))


def test_it_equals_scikit_learn() -> None:
    cohort = cohort_of(LAYOUT, [1500], engaged=0.4)
    cohort.labels[:] = np.random.default_rng(1).random(cohort.event_count) < 0.2 + 0.3 * cohort.bins[:, 0]
    design = design_matrix(LAYOUT, cohort, 0, 1).toarray()
    # scikit-learn's ridge is one number: scale the intercept's column, which has another.
    scale = np.ones(LAYOUT.width)
    scale[0] = np.sqrt(RIDGE / INTERCEPT_RIDGE)
    reference = LogisticRegression(C=1 / RIDGE, fit_intercept=False, tol=1e-10, max_iter=5000)
    reference.fit(
        design * scale, cohort.labels, sample_weight=(1 / cohort.events_per_patient)[cohort.patient_of_event]
    )
    np.testing.assert_allclose(fit_effects(LAYOUT, cohort)[0], reference.coef_[0] * scale, atol=5e-3)


def test_hospitals_together_equal_one_by_one_and_empty_stays_zero() -> None:
    cohort = cohort_of(LAYOUT, [40, 0, 1, 300, 7, 90], engaged=0.4)
    together = fit_effects(LAYOUT, cohort)
    np.testing.assert_allclose(together, fit_effects(LAYOUT, cohort, events_at_once=1), atol=2e-3)
    for index in range(6):
        np.testing.assert_allclose(together[index], fit_effects(LAYOUT, cohort.hospital(index))[0], atol=2e-3)
    np.testing.assert_array_equal(together[1], 0)


def test_around_the_right_logits_nothing_is_left_to_fit() -> None:
    cohort = cohort_of(LAYOUT, [4000], seed=2, engaged=0.4)
    logits = np.random.default_rng(3).normal(size=cohort.event_count) * 2
    cohort.labels[:] = np.random.default_rng(4).random(cohort.event_count) < 1 / (1 + np.exp(-logits))
    around = fit_effects(LAYOUT, cohort, logits)
    assert np.abs(around).max() < 0.2
    cohort.labels[:] = np.random.default_rng(4).random(cohort.event_count) < 1 / (1 + np.exp(-(logits + 1)))
    shifted = fit_effects(LAYOUT, cohort, logits)
    shift = design_matrix(LAYOUT, cohort, 0, 1) @ shifted[0]
    assert abs(shift.mean() - 1) < 0.1


def test_one_class_and_logits_that_are_not_finite_stay_finite() -> None:
    cohort = cohort_of(LAYOUT, [30, 30], engaged=0.4)
    cohort.labels[:] = 1
    logits = np.full(cohort.event_count, np.nan)
    assert np.abs(fit_effects(LAYOUT, cohort, logits)).max() < 10


def test_fits_of_one_design_are_those_of_each_alone() -> None:
    cohort = cohort_of(LAYOUT, [40, 0, 300], engaged=0.4)
    logits = np.random.default_rng(5).normal(size=cohort.event_count)
    around, alone = fit_effects_each(LAYOUT, cohort, [Start(logits, 30.0), Start()], events_at_once=1)
    np.testing.assert_array_equal(around, fit_effects(LAYOUT, cohort, logits, 30.0, events_at_once=1))
    np.testing.assert_array_equal(alone, fit_effects(LAYOUT, cohort, events_at_once=1))
    assert np.abs(around - alone).max() > 0.1
