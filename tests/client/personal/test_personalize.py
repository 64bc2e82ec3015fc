"""Personal parts: the exact ridge answer, shrinkage for poor hospitals, and nothing shared is touched."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from tests.builders import cohort_of
from wardround.client.cohort import Cohort
from wardround.client.personal.personalize import (
    EFFECTS_RIDGE,
    PersonalDesign,
    choose_personal,
    effects_logits,
    fit_personal,
    fold_of_patient,
    hospital_of_event,
    last_layer,
    offset_and_slope,
    personal_logits,
)
from wardround.client.personal.ridge import fit_effects
from wardround.protocol.contract.layout import Field, Layout

LAYOUT = Layout(features=(Field("all", ("one",)),), crosses=(), values=())


def with_labels(cohort: Cohort, probability: np.ndarray, seed: int) -> Cohort:
    rng = np.random.default_rng(seed)
    cohort.labels[:] = rng.random(cohort.event_count) < probability
    return cohort


@pytest.mark.parametrize("columns", [2, 12])
def test_each_hospital_gets_the_exact_minimum(columns: int) -> None:
    cohort = cohort_of(LAYOUT, [30, 0, 3, 200], engaged=0.4)
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(cohort.event_count, columns))
    shared, precision = rng.normal(size=columns), rng.uniform(0.5, 20, columns)
    design = PersonalDesign(rng.normal(size=cohort.event_count), inputs, shared, precision)
    found = fit_personal(design, cohort)
    weight = (1 / cohort.events_per_patient)[cohort.patient_of_event]
    for hospital in range(4):
        own = hospital_of_event(cohort) == hospital

        def loss(at: np.ndarray, own: np.ndarray = own) -> float:
            logits = design.fixed[own] + inputs[own] @ at
            each = weight[own] * (np.logaddexp(0, logits) - cohort.labels[own] * logits)
            return float(each.sum() + 0.5 * (precision * (at - shared) ** 2).sum())

        reference = minimize(loss, shared, method="BFGS", options={"gtol": 1e-9})
        np.testing.assert_allclose(found[hospital], reference.x, atol=1e-4)


@pytest.mark.parametrize("columns", [2, 12])
def test_where_steps_end_nothing_is_left_to_go(columns: int) -> None:
    """Newton's steps square: the one after the last that is taken would be of no account."""
    cohort = cohort_of(LAYOUT, [30, 1, 3, 200, 3000], engaged=0.1)
    rng = np.random.default_rng(10)
    inputs = rng.normal(scale=2, size=(cohort.event_count, columns))
    precision = rng.uniform(0.5, 20, columns)
    design = PersonalDesign(rng.normal(size=cohort.event_count), inputs, rng.normal(size=columns), precision)
    np.testing.assert_allclose(
        fit_personal(design, cohort), fit_personal(design, cohort, tolerance=1e-13), rtol=0, atol=1e-9
    )


def test_empty_tiny_and_one_class_hospitals_stay_near_the_shared_model() -> None:
    cohort = cohort_of(LAYOUT, [0, 1, 5, 4000], engaged=0.4)
    cohort.labels[hospital_of_event(cohort) == 2] = 1
    logits = np.random.default_rng(2).normal(size=cohort.event_count)
    truth = 1 / (1 + np.exp(-(0.8 + 0.6 * logits)))
    large = hospital_of_event(cohort) == 3
    cohort.labels[large] = np.random.default_rng(3).random(large.sum()) < truth[large]
    found = fit_personal(offset_and_slope(logits), cohort)
    np.testing.assert_array_equal(found[0], [0, 1])
    assert np.abs(found[1] - [0, 1]).max() < 0.2
    assert np.abs(found[2] - [0, 1]).max() < 0.6
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[3], [0.8, 0.6], atol=0.1)


def test_many_hospitals_at_once_equal_one_by_one() -> None:
    cohort = cohort_of(LAYOUT, [5, 40, 0, 12, 300], seed=4, engaged=0.4)
    logits = np.random.default_rng(5).normal(size=cohort.event_count)
    together = fit_personal(offset_and_slope(logits), cohort)
    where = hospital_of_event(cohort)
    for index in range(5):
        alone = fit_personal(offset_and_slope(logits[where == index]), cohort.hospital(index))
        np.testing.assert_allclose(together[index], alone[0], atol=1e-7)


def test_the_last_layer_starts_from_the_shared_logit() -> None:
    cohort = cohort_of(LAYOUT, [20, 0], engaged=0.4)
    rng = np.random.default_rng(6)
    activations, shared = rng.normal(size=(cohort.event_count, 16)), rng.normal(size=16)
    logits = activations @ shared + 0.7
    design = last_layer(logits, activations, shared)
    at_shared = np.tile(design.shared, (2, 1))
    np.testing.assert_allclose(personal_logits(design, at_shared, cohort), logits)
    before = shared.copy(), logits.copy()
    fitted = fit_personal(design, cohort)
    np.testing.assert_array_equal(shared, before[0])
    np.testing.assert_array_equal(logits, before[1])
    np.testing.assert_array_equal(fitted[1], design.shared)


def test_inputs_that_are_not_finite_or_huge_do_no_harm() -> None:
    cohort = cohort_of(LAYOUT, [50, 50], engaged=0.4)
    logits = np.random.default_rng(7).normal(size=cohort.event_count)
    clean = fit_personal(offset_and_slope(logits), cohort)
    logits[0], logits[1] = np.nan, np.inf
    spoiled = fit_personal(offset_and_slope(logits), cohort)
    assert np.isfinite(spoiled).all()
    np.testing.assert_array_equal(spoiled[1], clean[1])
    logits[0], logits[1] = 1e6, -1e6
    assert np.isfinite(fit_personal(offset_and_slope(logits), cohort)).all()


def test_a_hospital_that_differs_chooses_its_own_part_and_one_that_does_not_keeps_the_shared() -> None:
    cohort = cohort_of(LAYOUT, [800, 800, 0, 2], seed=8, engaged=0.4)
    logits = np.random.default_rng(9).normal(size=cohort.event_count)
    shift = np.array([1.5, 0.0, 0.0, 0.0])[hospital_of_event(cohort)]
    with_labels(cohort, 1 / (1 + np.exp(-(logits + shift))), seed=10)
    chosen = choose_personal(offset_and_slope(logits), cohort)
    assert chosen[0]
    assert not chosen[2]
    np.testing.assert_array_equal(chosen, choose_personal(offset_and_slope(logits), cohort))


def test_folds_hold_whole_patients_and_are_about_equal() -> None:
    tokens = np.random.default_rng(11).integers(0, 256, (4000, 16), dtype=np.uint8)
    folds = fold_of_patient(tokens, 4)
    assert np.abs(np.bincount(folds, minlength=4) / 4000 - 0.25).max() < 0.05
    np.testing.assert_array_equal(folds[:10], fold_of_patient(tokens[:10], 4))


def test_own_effects_reorder_a_hospital_that_differs_and_leave_an_empty_one() -> None:
    layout = Layout(features=(Field("topic", ("a", "b", "c")),), crosses=(), values=())
    training, heldout = (
        cohort_of(LAYOUT, [1500, 1500, 0], seed=12, engaged=0.4),
        cohort_of(LAYOUT, [1500, 1500, 5], seed=13, engaged=0.4),
    )
    effect = np.array([[1.0, 0.0, -1.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    for cohort in (training, heldout):
        cohort.bins[:, 0] = np.random.default_rng(14).integers(0, 3, cohort.event_count)
        truth = 1 / (1 + np.exp(-effect[hospital_of_event(cohort), cohort.bins[:, 0]]))
        with_labels(cohort, truth, seed=15)
    shared = [np.array([0.5, 0.0, -0.5])[cohort.bins[:, 0]] for cohort in (training, heldout)]
    own = fit_effects(layout, training, shared[0], EFFECTS_RIDGE)
    logits = shared[1] + effects_logits(layout, [own], heldout)[0]
    second = hospital_of_event(heldout) == 1
    assert roc_auc_score(heldout.labels[second], shared[1][second]) < 0.4
    assert roc_auc_score(heldout.labels[second], logits[second]) > 0.6
    np.testing.assert_array_equal(own[2], 0)
    np.testing.assert_array_equal(
        logits[hospital_of_event(heldout) == 2], shared[1][hospital_of_event(heldout) == 2]
    )
