"""Events that weigh unlike: all engines agree, one patient still moves a sum by the clip norm, and 1 is as before."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import LAYOUT, cohort_of, stream
from tests.client.train.test_train import MODELS, clip, each_model, gradients_by_autograd, models, weights_of
from wardround.client.cohort import Cohort
from wardround.client.train import prepared
from wardround.client.train.check_closed_form import check_closed_form, of_one_label, of_unlike_importance
from wardround.client.train.moments import moment_sums
from wardround.client.train.update import clipped_sums
from wardround.protocol.errors import WardroundError
from wardround.protocol.model.design import dense_rows
from wardround.protocol.model.model import column_scale
from wardround.protocol.terms.settings import ModelSettings

seeds = st.integers(0, 10_000)


def weighed_cohort(patients, events: int = 5, seed: int = 0) -> Cohort:
    return of_unlike_importance(
        cohort_of(LAYOUT, patients, events=events, seed=seed), stream("importance", seed)
    )


@each_model
def test_a_patients_gradient_is_that_of_the_weighted_mean_loss(model: ModelSettings) -> None:
    cohort, weights = weighed_cohort((7,)), weights_of(model)
    # Each event alone by autograd, then weighed here: nothing of the product's shares is used.
    alone = replace(
        cohort,
        tokens=cohort.tokens[cohort.patient_of_event],
        events_from=np.arange(cohort.event_count + 1),
        patients_from=np.array([0, cohort.event_count]),
        importance=None,
    )
    each = gradients_by_autograd(model, weights, alone) * cohort.importance[:, np.newaxis]
    owners = cohort.patient_of_event
    means = np.stack([each[owners == i].sum(axis=0) / (owners == i).sum() for i in range(7)])
    for clip_norm in (float(np.median(np.linalg.norm(means, axis=1))), 1e3):
        ours = clipped_sums(model, LAYOUT, weights, cohort, clip_norm, dtype=np.float64)[0]
        np.testing.assert_allclose(ours, clip(means, clip_norm).sum(axis=0), rtol=1e-6, atol=1e-8 * clip_norm)


@each_model
@pytest.mark.parametrize("engine", ["ghost", "hooks"])
def test_opacus_weighs_as_the_closed_form_does(model: ModelSettings, engine: str) -> None:
    cohort, weights = of_one_label(weighed_cohort((6, 0, 4))), weights_of(model)
    ours = clipped_sums(model, LAYOUT, weights, cohort, 0.1, "closed_form", dtype=np.float64)
    theirs = clipped_sums(model, LAYOUT, weights, cohort, 0.1, engine)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-10)
    forgotten = clipped_sums(model, LAYOUT, weights, replace(cohort, importance=None), 0.1, engine)
    assert np.linalg.norm(ours - forgotten) > 1e-3 * np.linalg.norm(ours)


@each_model
def test_events_that_all_weigh_1_give_the_same_bits_as_none(model: ModelSettings) -> None:
    cohort, weights = cohort_of(LAYOUT, (8, 3), events=6), weights_of(model)
    even = replace(cohort, importance=np.ones(cohort.event_count))
    for engine in ("closed_form", "ghost", "hooks"):
        sums = [clipped_sums(model, LAYOUT, weights, each, 0.2, engine) for each in (cohort, even)]
        assert sums[0].tobytes() == sums[1].tobytes()
    if model.structure.additive:
        rows = [moment_sums(model, LAYOUT, each, 0.2) for each in (cohort, even)]
        assert rows[0].tobytes() == rows[1].tobytes()


@settings(max_examples=60, deadline=None)
@given(models, seeds, st.integers(1, 20), st.sampled_from([1e-6, 0.3, 50.0]), st.integers(0, 12))
def test_one_patient_moves_a_weighted_sum_by_at_most_the_clip_norm(
    model: ModelSettings, seed: int, events: int, clip_norm: float, exponent: int
) -> None:
    """Whatever the patient's weights are, down to 10⁻¹² and, were one ever above 1, up to 10¹²."""
    cohort = weighed_cohort((4, 1, 6), events=events, seed=seed)
    leaver = seed % cohort.patient_count
    importance = cohort.importance.copy()
    importance[cohort.patient_of_event == leaver] *= 10.0 ** (exponent if seed % 2 else -exponent)
    cohort = replace(cohort, importance=importance)
    hospital = int(cohort.hospital_of_patient[leaver])
    rest = cohort.take(np.delete(np.arange(cohort.patient_count), leaver))
    weights = weights_of(model, seed=seed, scale=5.0)
    moved = clipped_sums(model, LAYOUT, weights, cohort, clip_norm) - clipped_sums(
        model, LAYOUT, weights, rest, clip_norm
    )
    slack = 1e-9 if model.kind == "additive" else 1e-5
    assert np.linalg.norm(moved[hospital]) <= clip_norm * (1 + slack)
    assert np.linalg.norm(np.delete(moved, hospital, axis=0)) <= 1e-5 * clip_norm
    if model.structure.additive:
        rows = moment_sums(model, LAYOUT, cohort, clip_norm) - moment_sums(model, LAYOUT, rest, clip_norm)
        assert np.linalg.norm(rows[hospital]) <= clip_norm * (1 + slack)


def test_weights_after_the_clip_would_break_that_bound() -> None:
    """The same property refuses a sum that is weighed by 1 ÷ p once it has been clipped."""
    model, cohort = MODELS[0], cohort_of(LAYOUT, (1,), events=1)
    clipped = clipped_sums(model, LAYOUT, weights_of(model, scale=9.0), cohort, 0.01)
    assert np.linalg.norm(clipped / 0.1) > 0.01 * (1 + 1e-9)


def test_a_moment_round_gives_the_mean_of_weighted_rows() -> None:
    model, cohort = MODELS[0], weighed_cohort((9,))
    rows = dense_rows(LAYOUT, cohort) * column_scale(model, LAYOUT) * cohort.event_shares[:, np.newaxis]
    np.testing.assert_allclose(moment_sums(model, LAYOUT, cohort, 2.0)[0], 2.0 * rows.sum(axis=0), rtol=1e-6)


@each_model
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_patient_whose_weight_is_no_number_adds_zero(model: ModelSettings, bad: float) -> None:
    cohort, weights = weighed_cohort((4,), events=3), weights_of(model)
    cohort.importance[cohort.events_from[1]] = bad
    others = cohort.take(np.array([0, 2, 3]))
    for engine in ("closed_form", "ghost", "hooks"):
        sums = clipped_sums(model, LAYOUT, weights, cohort, 0.2, engine, dtype=np.float64)
        left = clipped_sums(model, LAYOUT, weights, others, 0.2, engine, dtype=np.float64)
        np.testing.assert_allclose(sums, left, rtol=1e-9)


@each_model
def test_the_check_before_a_study_sees_a_closed_form_that_forgets_weights(model, monkeypatch) -> None:
    assert check_closed_form(model, LAYOUT, 4) <= 1e-5
    real = prepared._finite
    monkeypatch.setattr(prepared, "_finite", lambda cohort: real(replace(cohort, importance=None)))
    with pytest.raises(WardroundError, match="closed form and Opacus ghost differ"):
        check_closed_form(model, LAYOUT, 4)
