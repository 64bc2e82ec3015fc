"""The joint-training trap is closed: no personal part shapes a release; and the mixture's choice is sound."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

import wardround.client
from tests.builders import AGE, PUBLIC, SEX, cohort_of, small_contract
from wardround.client.cohort import Cohort
from wardround.client.personal.personal_mixture import CANDIDATES, fit_mixture
from wardround.client.personal.personal_scores import KINDS, personal_design, personal_scores
from wardround.client.round.evaluate import noised_tables, scaled_tables
from wardround.client.train.update import clipped_sums
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.model import initial_weights, parameter_count, predict_logits
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms

CONTRACT = contract_from_mapping(small_contract(**PUBLIC, features={"age": AGE, "sex": SEX}, groups=["sex"]))
LAYOUT = CONTRACT.layout
MODELS = {"additive": ModelSettings(), "wide_deep": ModelSettings(kind="wide_deep", hidden=(4,))}
METHODS = [(kind, name) for kind in KINDS for name in MODELS if (kind, name) != ("last_layer", "additive")]


def frozen(cohort: Cohort) -> Cohort:
    """The same cohort; whoever writes into it fails."""
    for array in (cohort.bins, cohort.labels, cohort.values, cohort.events_from, cohort.patients_from):
        array.flags.writeable = False
    return cohort


def release_after(
    kind: str, model: ModelSettings, weights: np.ndarray, cohort: Cohort, clip: float
) -> np.ndarray:
    """A hospital personalises, as it may at any time, and is then asked for its next release, before noise."""
    personal_scores(kind, model, LAYOUT, weights, cohort, cohort)
    return clipped_sums(model, LAYOUT, weights[None], cohort, clip, dtype=np.float64)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), METHODS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), clip=st.sampled_from([0.05, 1.0]), scale=st.sampled_from([0.0, 1.0, 30.0]))
def test_one_patient_moves_a_release_by_at_most_the_clip_norm_with_each_method_on(
    kind, name, seed, clip, scale
):
    model = MODELS[name]
    draw = np.random.default_rng(seed)
    weights = draw.normal(size=parameter_count(model, LAYOUT)) * scale
    weights.flags.writeable = False
    cohort = frozen(cohort_of(LAYOUT, [int(draw.integers(1, 12)), 6], seed=seed))
    who = int(draw.integers(cohort.patient_count))
    others = frozen(cohort.take(np.delete(np.arange(cohort.patient_count), who)))
    with_patient = release_after(kind, model, weights, cohort, clip)
    without = release_after(kind, model, weights, others, clip)
    assert np.linalg.norm(with_patient - without) <= clip * (1 + 1e-9)
    # And nothing of the personal part is in it: as if nobody had ever personalised.
    plain = clipped_sums(model, LAYOUT, weights[None], cohort, clip, dtype=np.float64)
    assert plain.tobytes() == with_patient.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), METHODS)
def test_one_held_out_patient_moves_the_tables_by_at_most_one_with_each_method_on(
    kind: str, name: str
) -> None:
    model, cohort = MODELS[name], frozen(cohort_of(LAYOUT, [15], seed=3))
    weights = np.random.default_rng(0).normal(size=parameter_count(model, LAYOUT))
    weights.flags.writeable = False
    asked = EvaluationSettings(rounds=(1,), noise_multiplier=1.0)

    def tables(of: Cohort) -> np.ndarray:
        personal_scores(kind, model, LAYOUT, weights, of, of)
        return scaled_tables(CONTRACT, asked, predict_logits(model, LAYOUT, weights, of), of)

    for who in range(15):
        others = frozen(cohort.take(np.delete(np.arange(15), who)))
        assert np.linalg.norm(tables(cohort) - tables(others)) <= 1


def test_an_evaluation_release_scores_the_plans_weights_and_nothing_else() -> None:
    terms = Terms(
        study="tea",
        contract=CONTRACT,
        model=ModelSettings(),
        privacy=PrivacySettings(),
        training=TrainingSettings(rounds=1, learning_rate=1.0, public_patients={"north": 20}),
        noise_multiplier=5.0,
        simulation=True,
        evaluation=EvaluationSettings(rounds=(1,), noise_multiplier=2.0),
    )
    cohort = frozen(cohort_of(LAYOUT, [20]))
    weights = np.random.default_rng(1).normal(size=(1, LAYOUT.width))
    key = derive_key("k")
    before = noised_tables(terms, weights, cohort, [Keystream(key)], ["north"])
    personal_scores("mixture", terms.model, LAYOUT, weights[0], cohort, cohort)
    after = noised_tables(terms, weights, cohort, [Keystream(key)], ["north"])
    assert before.tobytes() == after.tobytes()


def test_nothing_that_computes_a_release_imports_personalisation() -> None:
    root = Path(wardround.client.__file__).parent
    files = [file for room in ("round", "agent", "train") for file in sorted((root / room).glob("*.py"))]
    files = [file for file in files if file.name not in ("rehearse.py",)]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            assert not any("personal" in text for text in (*names, module)), file


def test_each_hospital_leans_to_what_fits_its_patients() -> None:
    draw = np.random.default_rng(5)
    cohort = cohort_of(LAYOUT, [900, 900, 0, 4], seed=5)
    hospital = cohort.hospital_of_patient[cohort.patient_of_event]
    weights = draw.normal(size=LAYOUT.width) * 2
    weights[1:] -= weights[1:].mean()
    logits = predict_logits(ModelSettings(), LAYOUT, weights, cohort)
    # The first hospital is as the shared model says; at the second each bin has another effect.
    others = predict_logits(ModelSettings(), LAYOUT, np.roll(weights, 1), cohort)
    truth = np.where(hospital == 1, others, logits)
    cohort.labels[:] = draw.random(cohort.event_count) < 1 / (1 + np.exp(-truth))
    design = personal_design("mixture", ModelSettings(), LAYOUT, weights, cohort)
    mixture = fit_mixture(LAYOUT, cohort, design)
    assert mixture.weights.sum(axis=1) == pytest.approx(1)
    shared, own_part, alone = (CANDIDATES.index(name) for name in ("shared", "own_part", "alone"))
    assert mixture.weights[0, [shared, own_part]].sum() > 0.5
    assert mixture.weights[1, shared] < 1e-3
    assert mixture.weights[1, [shared, own_part]].sum() < 0.1
    assert mixture.weights[2] == pytest.approx(np.eye(5)[shared])
    assert mixture.weights[3, alone] < 0.3
    scores = personal_scores("mixture", ModelSettings(), LAYOUT, weights, cohort, cohort)
    second = hospital == 1
    gain = roc_auc_score(cohort.labels[second], scores[second]) - roc_auc_score(
        cohort.labels[second], logits[second]
    )
    assert gain > 0.03


def test_hospitals_do_not_shape_each_others_part() -> None:
    model, weights = ModelSettings(), np.random.default_rng(0).normal(size=LAYOUT.width)
    two = cohort_of(LAYOUT, [60, 80], seed=1)
    changed = replace(two, labels=two.labels.copy())
    second = two.hospital_of_patient[two.patient_of_event] == 1
    changed.labels[second] = 1 - changed.labels[second]
    for kind in ("mixture", "intercept_slope"):
        one = personal_scores(kind, model, LAYOUT, weights, two, two)
        other = personal_scores(kind, model, LAYOUT, weights, changed, changed)
        assert one[~second] == pytest.approx(other[~second], abs=1e-3)
        assert np.abs(one[second] - other[second]).max() > 0.01


def test_weights_without_numbers_do_no_harm() -> None:
    cohort = cohort_of(LAYOUT, [40])
    weights = initial_weights(ModelSettings(), LAYOUT)
    weights[:] = np.finfo(np.float32).max
    scores = personal_scores("mixture", ModelSettings(), LAYOUT, weights, cohort, cohort)
    assert np.isfinite(scores).all()
