"""The bars without privacy are honest: converged where they say so, tuned, and blind to held-out patients."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.simulations.study.test_descents import terms_for
from wardround.client.cohort import Cohort
from wardround.client.personal import ridge
from wardround.client.train.prepared import MEMORY_BYTES
from wardround.protocol.contract.contract import Contract
from wardround.protocol.model.model import column_scale, predict_logits
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.federation.federation import Federation
from wardround.simulations.methods.cases import Case
from wardround.simulations.methods.column import Column
from wardround.simulations.study import baselines, boosting, descents
from wardround.simulations.study.boosting import rates_out_of_fold
from wardround.simulations.study.whole_gradients import whole_gradients

MODEL = ModelSettings()


@pytest.fixture(autouse=True)
def _few_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty trees tell what these tests ask, in a fifth of the time."""
    monkeypatch.setattr(boosting, "MOST_ITERATIONS", 60)


@pytest.fixture(scope="module")
def zoo_federations() -> list[Federation]:
    """Two for choosing, with few and with many hospitals."""
    return [
        Column(Case(name=name, title=name, zoo=name, seeds=(1,)), 1).federation
        for name in ("zoo_02", "zoo_11")
    ]


def auc_of(federation: Federation, weights: np.ndarray) -> float:
    logits = predict_logits(MODEL, federation.contract.layout, weights, federation.heldout)
    return float(roc_auc_score(federation.heldout.labels, logits))


def test_more_steps_change_no_auc_of_the_pooled_model(
    zoo_federations: list[Federation], monkeypatch: pytest.MonkeyPatch
) -> None:
    for federation in zoo_federations:
        layout = federation.contract.layout
        found = []
        for most, tolerance in ((baselines.MOST_ITERATIONS, baselines.TOLERANCE), (20_000, 1e-8), (20, 1e-8)):
            monkeypatch.setattr(baselines, "MOST_ITERATIONS", most)
            monkeypatch.setattr(baselines, "TOLERANCE", tolerance)
            weights = baselines.pooled_ridge(layout, column_scale(MODEL, layout), federation.training)
            found.append(auc_of(federation, weights))
        shipped, converged, stopped = found
        assert abs(shipped - converged) < 0.0005
        assert abs(stopped - converged) > 0.0005  # a model that is not converged would be told
        monkeypatch.undo()


def test_a_federation_without_privacy_ends_where_its_own_summed_gradient_is_zero(
    small: Callable, contract: Contract
) -> None:
    made = small([300, 0, 500, 20])
    terms = terms_for(contract, made.cohort)
    weights = descents.federated_model(terms, made.layout, made.cohort)
    summed = whole_gradients(terms.model, made.layout, made.cohort, MEMORY_BYTES)(weights[np.newaxis]).sum(
        axis=0
    )
    scale = column_scale(terms.model, made.layout)
    strength = np.full(made.layout.width, ridge.RIDGE)
    strength[0] = ridge.INTERCEPT_RIDGE
    # In effects (weights × scale) the ridge pulls by strength × effect, and the chain rule divides by the scale.
    left = summed / scale + strength * weights * scale
    assert np.abs(left).max() < 0.01 * np.abs(summed / scale).max()


@pytest.mark.slow
def test_boosting_reads_the_hospital(small: Callable) -> None:
    training, heldout = small([900, 900], seed=1), small([500, 500], seed=2)
    rng = np.random.default_rng(3)
    for made in (training, heldout):
        hospital = made.cohort.hospital_of_patient[made.cohort.patient_of_event]
        made.cohort.labels[:] = rng.random(len(hospital)) < np.where(hospital == 0, 0.2, 0.8)
    scores = boosting.pooled_boosting(training.cohort, heldout.cohort, [False, True], seed=0)
    assert roc_auc_score(heldout.cohort.labels, scores) > 0.75
    merged = boosting.pooled_boosting(
        training.cohort.pooled(), heldout.cohort.pooled(), [False, True], seed=0
    )
    assert roc_auc_score(heldout.cohort.labels, merged) < 0.6


@pytest.mark.slow
def test_boosting_reads_finer_columns_where_it_gets_them(small: Callable) -> None:
    training, heldout = small([2000], seed=1).cohort, small([1000], seed=2).cohort
    rng = np.random.default_rng(3)
    raw = []
    for cohort in (training, heldout):
        fine = rng.random((cohort.event_count, 1)).astype(np.float32)
        cohort.labels[:] = rng.random(cohort.event_count) < np.where(
            (fine[:, 0] * 20).astype(int) % 2, 0.8, 0.2
        )
        raw.append(fine)
    without = boosting.pooled_boosting(training, heldout, [False, True], seed=0)
    assert roc_auc_score(heldout.labels, without) < 0.6
    scores = boosting.pooled_boosting(training, heldout, [False, True], seed=0, raw=(raw[0], raw[1]))
    assert roc_auc_score(heldout.labels, scores) > 0.75


def test_a_words_rate_never_tells_a_patients_own_label() -> None:
    rng = np.random.default_rng(0)
    labels, folds = rng.integers(0, 2, 3000).astype(float), rng.integers(0, boosting.FOLDS, 3000)
    codes = np.arange(3000) // 2  # two events a word: its rate would tell both labels
    rates = rates_out_of_fold(codes, labels, folds, 1500)
    assert roc_auc_score(labels, rates) < 0.53
    frequent = (labels + rng.integers(0, 2, 3000)).astype(np.int64)
    assert roc_auc_score(labels, rates_out_of_fold(frequent, labels, folds, 3)) > 0.8


@pytest.mark.slow
def test_the_search_prefers_small_trees_for_sums_and_larger_ones_for_interactions(small: Callable) -> None:
    made = small([4000], seed=5).cohort
    rng = np.random.default_rng(1)
    table = rng.random((made.event_count, 6)).astype(np.float32)
    folds = rng.integers(0, boosting.FOLDS, made.patient_count)[made.patient_of_event]
    ups = (table > 0.5).astype(int)
    chosen = []
    for logits in (3 * ups[:, 0] - 1.5, 3 * (ups[:, :4].sum(axis=1) % 2) - 1.5):
        made.labels[:] = rng.random(made.event_count) < 1 / (1 + np.exp(-logits))
        mask = np.zeros(6, np.bool_)
        chosen.append(boosting._search(table, made, folds, mask, np.random.default_rng(0), 0)[0].leaves)
    assert chosen[0] < chosen[1]


@pytest.mark.slow
def test_boosting_is_blind_to_held_out_labels_also_where_words_are_many(small: Callable) -> None:
    training, heldout = widened(small([1500], seed=1).cohort, 1), widened(small([800], seed=2).cohort, 2)
    scores = boosting.pooled_boosting(training, heldout, [False, True], seed=0)
    heldout.labels[:] = 1 - heldout.labels
    np.testing.assert_array_equal(scores, boosting.pooled_boosting(training, heldout, [False, True], seed=0))


def widened(cohort: Cohort, seed: int) -> Cohort:
    """The same patients with 600 words in the unordered column."""
    bins = cohort.bins.copy()
    bins[:, 1] = np.random.default_rng(seed).integers(0, 600, len(bins))
    return replace(cohort, bins=bins)


def test_stumps_are_for_tables_that_the_search_saw_whole(
    small: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, tried = small([1200], seed=5).cohort, []
    real = boosting._fitted
    monkeypatch.setattr(boosting, "_fitted", lambda *given: tried.append(given[0].leaves) or real(*given))
    folds = np.random.default_rng(1).integers(0, boosting.FOLDS, made.patient_count)[made.patient_of_event]
    table, mask = made.bins.astype(np.float32), np.zeros(made.bins.shape[1], np.bool_)
    for most in (boosting.SEARCH_EVENTS, made.event_count // 2):
        monkeypatch.setattr(boosting, "SEARCH_EVENTS", most)
        boosting._search(table, made, folds, mask, np.random.default_rng(0), 0)
        assert (2 in tried) is (most > made.event_count)
        tried.clear()
