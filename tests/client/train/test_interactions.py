"""The round for interactions at a hospital: a gradient by autograd, what one patient moves, and that paths agree."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import cohort_of, step_terms, stream
from wardround.client.cohort import Cohort, concatenate
from wardround.client.train import check_interactions
from wardround.client.train.check_closed_form import check_closed_form, of_unlike_importance
from wardround.client.train.interactions import interaction_sums
from wardround.client.train.moments import moment_sums
from wardround.client.train.patient_batch import pad_patients
from wardround.client.train.update import Step, clipped_sums, private_update
from wardround.protocol.contract.layout import MOST_INTERACTING_BINS, Cross, Field, Layout
from wardround.protocol.errors import WardroundError
from wardround.protocol.model.interactions import active_cells, cell_count, cell_scale
from wardround.protocol.model.model import main_count, parameter_count, predict_logits
from wardround.protocol.model.modules import build_module, load_vector
from wardround.protocol.privacy.mechanism import add_noise, ordered_clip_norm
from wardround.protocol.terms.settings import ModelSettings

MODEL = ModelSettings(kind="interactions")
WORDS = Field("word", tuple(map(str, range(MOST_INTERACTING_BINS + 1))))
FEATURES = (Field("age", tuple("abc")), WORDS, Field("sms", tuple("ab")), Field("day", tuple("abcde")))
LAYOUT = Layout(FEATURES, (Cross(FEATURES[0], FEATURES[2]),), ("gap",))
"""Of six pairs three have a word of many, and one is crossed already: two interact."""
MAIN = main_count(MODEL, LAYOUT)


def weights_of(rows: int = 1, scale: float = 2.0):
    """As a server sends them: main effects, and nothing for interactions."""
    weights = np.zeros((rows, parameter_count(MODEL, LAYOUT)))
    weights[:, :MAIN] = scale * stream("weights").gaussian(rows * MAIN).reshape(rows, MAIN)
    return weights


def test_a_wrong_sum_of_cells_is_found_before_a_study_charges(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_closed_form(MODEL, LAYOUT, 6) < 1e-7
    inner = check_interactions.interaction_sums
    monkeypatch.setattr(
        check_interactions, "interaction_sums", lambda *given: inner(*given[:-1], 1.01 * given[-1])
    )
    with pytest.raises(WardroundError, match=r"interactions and autograd differ by .*nothing was charged"):
        check_closed_form(MODEL, LAYOUT, 6)


def by_autograd(weights, cohort: Cohort, clip_norm: float):
    """Clip one patient's gradient of the cells after another's, and add them up: float64 [cells]."""
    module, total = build_module(MODEL, LAYOUT), np.zeros(cell_count(LAYOUT))
    load_vector(module, weights[0])
    for patient in range(cohort.patient_count):
        batch = pad_patients(LAYOUT, cohort.take(np.array([patient])))
        loss = batch.losses(module(batch.rows)).sum()
        (found,) = torch.autograd.grad(loss, [module.interactions.weight])
        gradient = found.numpy().ravel()
        total += gradient * min(1, clip_norm / np.linalg.norm(gradient))
    return total


def test_the_pairs_are_those_of_few_bins_that_the_contract_does_not_cross() -> None:
    assert [pair.name for pair in LAYOUT.interactions] == ["age × day", "sms × day"]
    cells = active_cells(LAYOUT, cohort_of(LAYOUT, (50,), events=3))
    assert cell_count(LAYOUT) == 25
    assert cells.shape[1] == 2
    assert (cells[:, 0] < 15).all()
    assert (cells[:, 1] >= 15).all()
    assert cell_scale(LAYOUT) ** 2 * cells.shape[1] == pytest.approx(1)


def test_torch_and_numpy_give_the_same_logits() -> None:
    cohort = cohort_of(LAYOUT, (9,), events=4)
    weights = stream("all").gaussian(parameter_count(MODEL, LAYOUT))
    module, batch = build_module(MODEL, LAYOUT), pad_patients(LAYOUT, cohort)
    load_vector(module, weights)
    theirs = module(batch.rows).detach().numpy()[batch.shares.numpy() > 0]
    np.testing.assert_allclose(predict_logits(MODEL, LAYOUT, weights, cohort), theirs, rtol=1e-12, atol=1e-12)
    weights[MAIN:] = 0
    main = predict_logits(ModelSettings(), LAYOUT, weights[:MAIN], cohort)
    np.testing.assert_array_equal(predict_logits(MODEL, LAYOUT, weights, cohort), main)
    assert np.abs(theirs - main).max() > 0.1


@pytest.mark.parametrize("unlike", [False, True])
@pytest.mark.parametrize("clip_norm", [0.05, 0.3, 10.0])
def test_the_sum_is_that_of_clipped_gradients_of_the_cells_by_autograd(
    clip_norm: float, unlike: bool
) -> None:
    """unlike: with events that weigh by the propensity of their messages."""
    cohort, weights = cohort_of(LAYOUT, (11,), events=6), weights_of()
    if unlike:
        cohort = of_unlike_importance(cohort, stream("importance"))
    ours = interaction_sums(MODEL, LAYOUT, weights, cohort, clip_norm)[0]
    np.testing.assert_allclose(ours[MAIN:], by_autograd(weights, cohort, clip_norm), rtol=1e-7, atol=1e-12)
    assert not ours[:MAIN].any()
    assert ours[MAIN:].any()


def test_the_other_rounds_say_nothing_of_cells_and_are_those_of_the_additive_model() -> None:
    cohort, weights = cohort_of(LAYOUT, (5, 0, 7), events=4), weights_of()
    plain = ModelSettings()
    ours = clipped_sums(MODEL, LAYOUT, weights, cohort, 0.3)
    np.testing.assert_array_equal(ours[:, :MAIN], clipped_sums(plain, LAYOUT, weights[:, :MAIN], cohort, 0.3))
    rows = moment_sums(MODEL, LAYOUT, cohort, 0.3)
    np.testing.assert_array_equal(rows[:, :MAIN], moment_sums(plain, LAYOUT, cohort, 0.3))
    assert not ours[:, MAIN:].any()
    assert not rows[:, MAIN:].any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25), st.sampled_from([1e-6, 0.3, 1.0, 50.0]))
def test_one_patient_moves_one_hospitals_cells_by_at_most_the_clip_norm(
    seed: int, events: int, clip_norm: float
) -> None:
    cohort, weights = cohort_of(LAYOUT, (4, 1, 6), events=events, seed=seed), weights_of(scale=50.0)
    whole = interaction_sums(MODEL, LAYOUT, weights, cohort, clip_norm)
    leaver = seed % cohort.patient_count
    hospital = int(cohort.hospital_of_patient[leaver])
    rest = cohort.take(np.delete(np.arange(cohort.patient_count), leaver))
    moved = whole - interaction_sums(MODEL, LAYOUT, weights, rest, clip_norm)
    assert np.linalg.norm(moved[hospital]) <= clip_norm * (1 + 1e-12)
    assert not np.delete(moved, hospital, axis=0).any()


def test_a_patient_who_is_sure_and_wrong_moves_as_far_as_the_clip_norm() -> None:
    """The bound is not slack: a guarantee of half of it would be broken."""
    cohort = replace(cohort_of(LAYOUT, (1,), events=1), labels=np.zeros(1))
    weights = np.zeros((1, parameter_count(MODEL, LAYOUT)))
    weights[0, 0] = 100.0
    assert np.linalg.norm(interaction_sums(MODEL, LAYOUT, weights, cohort, 0.5)) == pytest.approx(0.5)


def test_a_patient_whose_values_are_not_finite_adds_zero() -> None:
    cohort, weights = cohort_of(LAYOUT, (6,), events=3), weights_of()
    values = cohort.values.copy()
    values[cohort.events_from[2]] = np.inf
    rest = cohort.take(np.array([0, 1, 3, 4, 5]))
    with np.errstate(invalid="ignore"):
        sums = interaction_sums(MODEL, LAYOUT, weights, replace(cohort, values=values), 0.3)
    np.testing.assert_allclose(sums, interaction_sums(MODEL, LAYOUT, weights, rest, 0.3), rtol=1e-12)


def test_parts_that_do_not_fit_into_memory_add_up() -> None:
    cohort, weights = cohort_of(LAYOUT, (30, 0, 50), events=6), weights_of()
    whole = interaction_sums(MODEL, LAYOUT, weights, cohort, 0.3)
    pieces = interaction_sums(MODEL, LAYOUT, weights, cohort, 0.3, memory_bytes=20_000)
    np.testing.assert_allclose(pieces, whole, rtol=1e-12)


@pytest.mark.parametrize("simulation", [True, False])
def test_interactions_of_many_hospitals_equal_theirs_one_by_one(simulation: bool) -> None:
    """The batch of a simulation, and each hospital alone: by itself (simulated) or through Opacus (real)."""
    terms, weights = step_terms(model=MODEL), weights_of()
    parts = [cohort_of(LAYOUT, (size,), events=6, seed=seed) for seed, size in enumerate((8, 1, 20))]
    streams = [stream("n", h) for h in range(3)]
    every = Step(terms=terms, layout=LAYOUT, round=1, cohort=concatenate(parts), interactions=True)
    together = private_update(every, weights, streams)
    noisy = add_noise(
        interaction_sums(MODEL, LAYOUT, weights, every.cohort, ordered_clip_norm(0.5)),
        0.5,
        [stream("n", h).child("step", 0) for h in range(3)],
    )
    np.testing.assert_array_equal(together, noisy)
    terms.simulation = simulation
    for h, part in enumerate(parts):
        step = replace(every, cohort=part, hospitals=[f"h{h}"])
        alone = private_update(step, weights, [stream("n", h)])
        np.testing.assert_array_equal(alone[0], together[h])
