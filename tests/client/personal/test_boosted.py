"""A hospital's own trees: they find what acts together, stay out where they do not help, see nobody else."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from tests.builders import AGE, PUBLIC, SEX, cohort_of, small_contract
from wardround.client.cohort import Cohort
from wardround.client.personal import boosted, personal_mixture
from wardround.client.personal.boosted import (
    BoostedPart,
    boosted_logits,
    fit_boosted,
    tree_events,
    tree_reasons,
)
from wardround.client.personal.personal_mixture import fit_out_of_fold, mixture_logits
from wardround.client.personal.personal_scores import personal_design, personal_scores
from wardround.client.personal.personalize import fold_of_patient
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.terms.settings import ModelSettings

LAYOUT = contract_from_mapping(small_contract(**PUBLIC, features={"age": AGE, "sex": SEX})).layout
MODEL, WEIGHTS = ModelSettings(), np.random.default_rng(7).normal(size=LAYOUT.width) * 0.2


def together(patients: list[int], seed: int, strength: float = 1.5) -> Cohort:
    """Hospitals where age and sex say nothing alone, and much together (at strength 0 nothing says anything)."""
    cohort = cohort_of(LAYOUT, patients, seed=seed)
    same = (cohort.bins[:, 0] % 2) == (cohort.bins[:, 1] % 2)
    chance = 1 / (1 + np.exp(-np.where(same, strength, -strength)))
    cohort.labels[:] = np.random.default_rng(seed).random(cohort.event_count) < chance
    return cohort


def fitted(cohort: Cohort) -> BoostedPart:
    return fit_boosted(LAYOUT, cohort, personal_design("boosted", MODEL, LAYOUT, WEIGHTS, cohort))


def mixed(part: BoostedPart, cohort: Cohort) -> np.ndarray:
    return mixture_logits(
        LAYOUT, part.mixture, cohort, personal_design("boosted", MODEL, LAYOUT, WEIGHTS, cohort)
    )


def test_trees_find_what_acts_together_and_no_additive_part_can() -> None:
    training, target = together([600], 1), together([600], 2)
    part = fitted(training)
    additive = roc_auc_score(target.labels, mixed(part, target))
    scores = personal_scores("boosted", MODEL, LAYOUT, WEIGHTS, training, target)
    assert additive < 0.65
    assert roc_auc_score(target.labels, scores) > 0.7
    assert part.shares[0] > 0.8


@pytest.mark.slow
def test_trees_that_learned_chance_hardly_count() -> None:
    shares, losses = [], []
    for seed in range(5):
        training, target = together([400], seed, strength=0.0), together([400], 50 + seed, strength=0.0)
        part = fitted(training)
        scores = personal_scores("boosted", MODEL, LAYOUT, WEIGHTS, training, target)
        shares.append(part.shares[0])
        pair = [log_loss(target.labels, 1 / (1 + np.exp(-one))) for one in (scores, mixed(part, target))]
        losses.append(pair[0] - pair[1])
    assert np.mean(shares) < 0.45
    assert np.mean(losses) < 0.004


def test_a_hospital_of_few_patients_keeps_its_mixture_to_the_bit() -> None:
    few = boosted.LEAST_PATIENTS - 1
    training = together([few, 500, 0], 3)
    part = fitted(training)
    assert part.shares[0] == part.shares[2] == 0 < part.shares[1]
    scores = personal_scores("boosted", MODEL, LAYOUT, WEIGHTS, training, training)
    first = training.hospital_of_patient[training.patient_of_event] == 0
    assert scores[first].tobytes() == mixed(part, training)[first].tobytes()


def test_the_same_patients_give_the_same_trees_and_another_outcome_does_not() -> None:
    training = together([200], 4)
    one, again = fitted(training), fitted(training)
    assert one.trees.values.tobytes() == again.trees.values.tobytes()
    assert one.shares.tobytes() == again.shares.tobytes()
    other = replace(training, labels=1 - training.labels)
    assert fitted(other).trees.values.tobytes() != one.trees.values.tobytes()


def test_who_has_opted_out_is_in_no_tree() -> None:
    training = together([260], 5)
    left = np.delete(np.arange(260), [3, 77])
    changed = replace(training, labels=training.labels.copy(), bins=training.bins.copy())
    gone = np.isin(training.patient_of_event, [3, 77])
    changed.labels[gone] = 1 - changed.labels[gone]
    # Nothing is kept between fits: without the two, what they did cannot matter.
    before, after = fitted(training.take(left)), fitted(changed.take(left))
    assert before.trees.values.tobytes() == after.trees.values.tobytes()
    assert fitted(training).trees.values.tobytes() != before.trees.values.tobytes()


def test_labels_of_the_patients_who_are_scored_are_not_read() -> None:
    training, target = together([200], 6), together([50], 7)
    unknown = replace(target, labels=np.full(target.event_count, np.nan))
    scores = personal_scores("boosted", MODEL, LAYOUT, WEIGHTS, training, target)
    again = personal_scores("boosted", MODEL, LAYOUT, WEIGHTS, training, unknown)
    assert scores.tobytes() == again.tobytes()


def test_no_patient_is_in_two_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patients are clusters: the trees that weigh a patient's events have seen none of them."""
    training, seen = together([200], 8), []
    grow = boosted.grow
    monkeypatch.setattr(boosted, "grow", lambda events, *rest: seen.append(events) or grow(events, *rest))
    fitted(training)
    whole, *folds = [len(events.hospital) for events in seen]
    assert whole == training.event_count
    assert len(folds) == boosted.FOLDS
    assert sum(folds) == (boosted.FOLDS - 1) * training.event_count


def test_logits_out_of_fold_do_not_know_the_patients_own_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    even = np.full((1, len(personal_mixture.CANDIDATES)), 0.2)
    # The weights of the candidates are the hospital's, and so every patient's: kept apart from what is asked here.
    monkeypatch.setattr(personal_mixture, "mixing_weights", lambda losses: even.copy())
    training = together([120], 11)
    design = personal_design("boosted", MODEL, LAYOUT, WEIGHTS, training)
    changed = replace(training, labels=training.labels.copy())
    own = training.patient_of_event == 17
    changed.labels[own] = 1 - changed.labels[own]
    _, before = fit_out_of_fold(LAYOUT, training, design)
    _, after = fit_out_of_fold(LAYOUT, changed, design)
    assert before[own].tobytes() == after[own].tobytes()
    fold = fold_of_patient(training.tokens, personal_mixture.FOLDS)
    same = (fold == fold[17])[training.patient_of_event]
    assert before[same].tobytes() == after[same].tobytes()
    assert np.abs(before[~same] - after[~same]).min() > 0


def test_what_trees_add_for_each_feature_is_what_they_add_in_all() -> None:
    training, target = together([300, 400], 9), together([40, 30], 10)
    part = fitted(training)
    added = boosted_logits(
        LAYOUT, part, target, personal_design("boosted", MODEL, LAYOUT, WEIGHTS, target)
    ) - mixed(part, target)
    rest = added - tree_reasons(LAYOUT, part, target).sum(axis=1)
    hospital = target.hospital_of_patient[target.patient_of_event]
    roots = part.shares * part.trees.values[:, :, 0].sum(axis=1)
    np.testing.assert_allclose(rest, roots[hospital], atol=1e-12)


def test_wide_features_are_joined_by_neighbours_and_values_cut_in_equal_steps() -> None:
    words = {"kind": "categorical", "column": "word", "vocabulary": [f"w{i}" for i in range(99)]}
    layout = contract_from_mapping(small_contract(**PUBLIC, features={"age": AGE, "word": words})).layout
    cohort = cohort_of(layout, [300])
    values = np.linspace(-1, 1, cohort.event_count, dtype=np.float32)[:, None]
    codes = tree_events(layout, replace(cohort, values=values)).codes
    np.testing.assert_array_equal(codes[:, 0], cohort.bins[:, 0])
    order = np.argsort(cohort.bins[:, 1], kind="stable")
    assert (np.diff(codes[order, 1]) >= 0).all()
    assert codes.min() == 0
    assert codes.max() == boosted.MOST_BINS - 1
    assert (np.diff(codes[:, 2]) >= 0).all()
    assert len(np.unique(codes[:, 2])) == boosted.MOST_BINS
