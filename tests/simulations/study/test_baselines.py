"""Baselines see what they should and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.builders import calls_of
from wardround.client.personal.ridge import design_matrix, fit_effects
from wardround.protocol.model.model import column_scale, predict_logits
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.study import baselines, boosting


def test_a_hospital_of_one_class_stays_finite(small: Callable) -> None:
    made = small([30, 30])
    made.cohort.labels[:] = 1
    assert np.abs(baselines.alone_ridge(made.layout, np.ones(made.layout.width), made.cohort)).max() < 10


@pytest.mark.slow
def test_boosting_finds_what_is_there_and_never_sees_heldout_labels(small: Callable) -> None:
    training, heldout = small([3000], seed=1), small([1500], seed=2)
    scores = boosting.pooled_boosting(training.cohort, heldout.cohort, [False, True], seed=0)
    best = roc_auc_score(heldout.cohort.labels, heldout.truth)
    assert best - 0.02 < roc_auc_score(heldout.cohort.labels, scores) < best + 0.01
    heldout.cohort.labels[:] = 0
    again = boosting.pooled_boosting(training.cohort, heldout.cohort, [False, True], seed=0)
    np.testing.assert_array_equal(scores, again)


@pytest.mark.parametrize("patients", [1, 2, 5])
def test_boosting_on_almost_nothing(small: Callable, patients: int) -> None:
    made = small([patients])
    scores = boosting.pooled_boosting(made.cohort, made.cohort, [True, True], seed=0)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_two_thousand_hospitals_alone_without_a_loop_over_them(small: Callable) -> None:
    made = small([40] * 2000)
    calls = calls_of(lambda: baselines.alone_ridge(made.layout, np.ones(made.layout.width), made.cohort))
    assert calls < 5_000  # measured: 2,194; a loop over hospitals makes tens of thousands


def test_weights_with_the_models_public_scale_predict_the_effects(small: Callable) -> None:
    made = small([200])
    model = ModelSettings()
    weights = baselines.pooled_ridge(made.layout, column_scale(model, made.layout), made.cohort)
    effects = fit_effects(made.layout, made.cohort)[0]
    expected = design_matrix(made.layout, made.cohort, 0, 1) @ effects
    np.testing.assert_allclose(predict_logits(model, made.layout, weights, made.cohort), expected, atol=1e-12)
