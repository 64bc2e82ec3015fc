"""The private step: whose gradient is clipped, how far one patient moves a sum, where noise comes from."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import LAYOUT, cohort_of, step_terms, stream
from wardround.client.cohort import Cohort, concatenate
from wardround.client.train.patient_batch import pad_patients
from wardround.client.train.update import Step, clipped_sums, draw_sample, private_update, update_together
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.modules import build_module, load_vector, to_vector
from wardround.protocol.privacy.mechanism import add_noise, ordered_clip_norm
from wardround.protocol.terms.settings import ModelSettings

ADDITIVE = ModelSettings()
MODELS = [
    ADDITIVE,
    ModelSettings(kind="wide_deep", hidden=(6,)),
    ModelSettings(kind="mlp", hidden=(5, 4)),
]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind)
models = st.sampled_from(MODELS)
seeds = st.integers(0, 10_000)


def weights_of(model: ModelSettings, rows: int = 1, seed: int = 0, scale: float = 2.0):
    count = parameter_count(model, LAYOUT)
    return scale * stream("weights", seed).gaussian(rows * count).reshape(rows, count)


def gradients_by_autograd(model: ModelSettings, weights, cohort: Cohort):
    """One patient's loss at a time, no tricks: float64 [patients, parameters]."""
    module = build_module(model, LAYOUT)
    load_vector(module, weights[0])
    rows = []
    for patient in range(cohort.patient_count):
        loss = pad_patients(LAYOUT, cohort.take(np.array([patient])))
        module.zero_grad()
        loss.losses(module(loss.rows)).sum().backward()
        rows.append(to_vector(p.grad for p in module.parameters()))
    return np.stack(rows)


def clip(gradients, clip_norm: float):
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    return gradients * np.minimum(1, clip_norm / np.maximum(norms, 1e-300))


@each_model
def test_the_sum_is_that_of_clipped_gradients_per_patient_by_autograd(model: ModelSettings) -> None:
    cohort, weights = cohort_of(LAYOUT, (9,), events=6), weights_of(model)
    gradients = gradients_by_autograd(model, weights, cohort)
    norms = np.linalg.norm(gradients, axis=1)
    for clip_norm in (float(np.median(norms)), 10 * norms.max(), norms.min() / 3):
        ours = clipped_sums(model, LAYOUT, weights, cohort, clip_norm, dtype=np.float64)[0]
        np.testing.assert_allclose(
            ours, clip(gradients, clip_norm).sum(axis=0), rtol=1e-6, atol=1e-8 * clip_norm
        )


@each_model
def test_single_precision_stays_within_a_millionth_of_double(model: ModelSettings) -> None:
    cohort, weights = cohort_of(LAYOUT, (40,), events=6), weights_of(model)
    double = clipped_sums(model, LAYOUT, weights, cohort, 0.3, dtype=np.float64)
    single = clipped_sums(model, LAYOUT, weights, cohort, 0.3, dtype=np.float32)
    # The allowance for rounding shortens a gradient by up to 5e-6; what is left is single precision itself.
    assert np.linalg.norm(single - double) <= 2e-5 * np.linalg.norm(double)


@settings(max_examples=60, deadline=None)
@given(models, seeds, st.integers(1, 25), st.sampled_from([1e-6, 1e-2, 0.3, 50.0]), st.booleans())
def test_one_patient_moves_one_hospital_by_at_most_the_clip_norm(
    model: ModelSettings, seed: int, events: int, clip_norm: float, shared: bool
) -> None:
    cohort = cohort_of(LAYOUT, (4, 1, 6), events=events, seed=seed)
    weights = weights_of(model, 1 if shared else 3, seed, scale=5.0)
    whole = clipped_sums(model, LAYOUT, weights, cohort, clip_norm)
    leaver = seed % cohort.patient_count
    hospital = int(cohort.hospital_of_patient[leaver])
    rest = cohort.take(np.delete(np.arange(cohort.patient_count), leaver))
    moved = whole - clipped_sums(model, LAYOUT, weights, rest, clip_norm)
    # Sums of a dozen patients are rounded in double precision; hidden layers' inputs to them in single.
    assert np.linalg.norm(moved[hospital]) <= clip_norm * (1 + (1e-9 if model.kind == "additive" else 1e-5))
    assert np.linalg.norm(np.delete(moved, hospital, axis=0)) <= 1e-5 * clip_norm
    if model.kind == "additive":
        assert not np.delete(moved, hospital, axis=0).any()


@settings(max_examples=60, deadline=None)
@given(
    models, seeds, st.integers(1, 25), st.sampled_from([1e-9, 1e-3, 0.3]), st.sampled_from([0.0, 1.0, 1e6])
)
def test_one_patient_alone_never_exceeds_the_clip_norm(
    model: ModelSettings, seed: int, events: int, clip_norm: float, scale: float
) -> None:
    cohort = cohort_of(LAYOUT, (1,), events=events, seed=seed)
    alone = clipped_sums(model, LAYOUT, weights_of(model, seed=seed, scale=scale), cohort, clip_norm)
    assert np.linalg.norm(alone) <= clip_norm


def test_many_events_weigh_no_more_than_one() -> None:
    one = cohort_of(LAYOUT, (1,), events=1)
    many = replace(
        one,
        bins=np.repeat(one.bins, 500, axis=0),
        values=np.repeat(one.values, 500, axis=0),
        labels=np.repeat(one.labels, 500),
        events_from=np.array([0, 500]),
    )
    weights = weights_of(ADDITIVE)
    np.testing.assert_allclose(
        clipped_sums(ADDITIVE, LAYOUT, weights, many, 9.0),
        clipped_sums(ADDITIVE, LAYOUT, weights, one, 9.0),
        rtol=1e-9,
    )


@each_model
@pytest.mark.parametrize("fault", [np.nan, np.inf, 3e38])
def test_a_patient_whose_gradient_is_not_finite_adds_zero(model: ModelSettings, fault: float) -> None:
    cohort, weights = cohort_of(LAYOUT, (5, 3), events=4), weights_of(model)
    faulty = replace(cohort, values=cohort.values.copy())
    faulty.values[cohort.events_from[2]] = fault
    others = cohort.take(np.array([0, 1, 3, 4, 5, 6, 7]))
    with np.errstate(all="ignore"):
        sums = clipped_sums(model, LAYOUT, weights * 1e30, faulty, 0.2)
        expected = clipped_sums(model, LAYOUT, weights * 1e30, others, 0.2)
    assert np.isfinite(sums).all()
    assert np.linalg.norm(sums - expected) <= (0.2 if fault == 3e38 else 1e-6)


@each_model
def test_weights_that_are_not_finite_give_zero_and_not_an_error(model: ModelSettings) -> None:
    weights = weights_of(model, 2)
    weights[1] = np.nan
    sums = clipped_sums(model, LAYOUT, weights, cohort_of(LAYOUT, (3, 3)), 1.0)
    assert not sums[1].any()
    assert sums[0].any()


@settings(max_examples=40, deadline=None)
@given(models, seeds, st.lists(st.integers(0, 9), min_size=1, max_size=7), st.integers(1, 9), st.booleans())
def test_a_batch_of_hospitals_equals_one_by_one(
    model: ModelSettings, seed: int, patients: list[int], events: int, shared: bool
) -> None:
    cohort = cohort_of(LAYOUT, tuple(patients), events=events, seed=seed)
    weights = weights_of(model, 1 if shared else len(patients), seed)
    for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 1e-6)):
        together = clipped_sums(model, LAYOUT, weights, cohort, 0.3, dtype=dtype)
        for index in range(len(patients)):
            own = weights if shared else weights[[index]]
            alone = clipped_sums(model, LAYOUT, own, cohort.hospital(index), 0.3, dtype=dtype)[0]
            # Patients may cancel out: what is left is then compared with what one patient may weigh.
            scale = max(np.linalg.norm(alone), 0.3) if patients[index] else 0
            assert np.linalg.norm(together[index] - alone) <= tolerance * scale


@each_model
def test_memory_may_be_small_and_the_sums_stay_the_same(model: ModelSettings) -> None:
    cohort, weights = cohort_of(LAYOUT, (30, 0, 80, 3), events=5), weights_of(model, 4)
    whole = clipped_sums(model, LAYOUT, weights, cohort, 0.3)
    parts = clipped_sums(model, LAYOUT, weights, cohort, 0.3, memory_bytes=1)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)


@each_model
def test_a_sample_is_the_sum_over_the_sampled(model: ModelSettings) -> None:
    cohort, weights = cohort_of(LAYOUT, (12, 0, 20), events=5), weights_of(model)
    sampled = stream("who").uniform(32) < 0.4
    ours = clipped_sums(model, LAYOUT, weights, cohort, 0.3, sampled=sampled)
    theirs = clipped_sums(model, LAYOUT, weights, cohort.take(np.flatnonzero(sampled)), 0.3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_patients_are_drawn_at_the_rate_and_by_their_own_token() -> None:
    cohort = cohort_of(LAYOUT, (3000, 3000), events=1)
    keys = [stream("a"), stream("b")]
    drawn = draw_sample(cohort, 0.25, keys)
    assert drawn is not None
    assert 0.22 < drawn[:3000].mean() < 0.28
    fewer = draw_sample(cohort.take(np.arange(0, 6000, 2)), 0.25, keys)
    np.testing.assert_array_equal(fewer, drawn[::2])
    assert draw_sample(cohort, 1.0, keys) is None


@each_model
@pytest.mark.parametrize("local_steps", [1, 3])
def test_nobody_sampled_and_nobody_there_still_release_noise(model: ModelSettings, local_steps: int) -> None:
    terms = step_terms(model, 3, sampling_rate=1e-9, local_steps=local_steps)
    cohort = cohort_of(LAYOUT, (40, 0, 5))
    streams = [stream("n", h) for h in range(3)]
    update = private_update(
        Step(terms=terms, layout=LAYOUT, round=1, cohort=cohort), weights_of(model), streams
    )
    size = np.sqrt(local_steps) * 0.5 * np.sqrt(update.shape[1])
    if local_steps > 1:
        size = size * 0.5 / np.array([10, 20, 30])
    norms = np.linalg.norm(update, axis=1)
    assert ((0.6 * size < norms) & (norms < 1.5 * size)).all()


@each_model
def test_the_release_of_one_step_is_the_clipped_sum_plus_its_own_noise(model: ModelSettings) -> None:
    terms, cohort, weights = step_terms(model), cohort_of(LAYOUT, (5, 7, 1)), weights_of(model)
    update = private_update(
        Step(terms=terms, layout=LAYOUT, round=1, cohort=cohort), weights, [stream("n", h) for h in range(3)]
    )
    sums = clipped_sums(model, LAYOUT, weights, cohort, ordered_clip_norm(0.5))
    children = [stream("n", h).child("step", 0) for h in range(3)]
    np.testing.assert_array_equal(update, add_noise(sums, 0.5, children))


def test_several_steps_release_the_difference_after_descent() -> None:
    terms, cohort = step_terms(local_steps=2, local_learning_rate=0.25), cohort_of(LAYOUT, (5, 7, 1))
    start = weights_of(ADDITIVE)
    rates = 0.25 / np.array([[10], [20], [30]])
    current = np.repeat(start, 3, axis=0)
    for step in range(2):
        children = [stream("n", h).child("step", step) for h in range(3)]
        current = current - rates * add_noise(
            clipped_sums(ADDITIVE, LAYOUT, current, cohort, ordered_clip_norm(0.5)), 0.5, children
        )
    update = private_update(
        Step(terms=terms, layout=LAYOUT, round=1, cohort=cohort), start, [stream("n", h) for h in range(3)]
    )
    np.testing.assert_allclose(update, current - start, rtol=1e-12, atol=1e-15)


@each_model
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_a_round_of_many_hospitals_equals_their_rounds_one_by_one(
    model: ModelSettings, steps: int, rate: float
) -> None:
    terms = step_terms(model, 3, local_steps=steps, sampling_rate=rate)
    parts = [cohort_of(LAYOUT, (size,), events=6, seed=seed) for seed, size in enumerate((8, 1, 20))]
    weights = weights_of(model)
    together = private_update(
        Step(terms=terms, layout=LAYOUT, round=1, cohort=concatenate(parts)),
        weights,
        [stream("n", h) for h in range(3)],
    )
    for h, part in enumerate(parts):
        alone = private_update(
            Step(terms=terms, layout=LAYOUT, round=1, cohort=part, hospitals=[f"h{h}"]),
            weights,
            [stream("n", h)],
        )
        assert np.linalg.norm(together[h] - alone[0]) <= 1e-6 * np.linalg.norm(alone)


def test_noise_differs_between_hospitals_steps_and_rounds() -> None:
    nobody = cohort_of(LAYOUT, (0, 0, 0))
    keys = [[stream("round", r, "hospital", h) for h in range(3)] for r in range(2)]
    rounds = [
        update_together(
            Step(terms=step_terms(), layout=LAYOUT, round=1, cohort=nobody), weights_of(ADDITIVE), row
        )
        for row in keys
    ]
    two_steps = step_terms(local_steps=2, local_learning_rate=10.0)
    both = update_together(
        Step(terms=two_steps, layout=LAYOUT, round=1, cohort=nobody), weights_of(ADDITIVE), keys[0]
    )
    draws = [*rounds[0], *rounds[1], -both[0] - rounds[0][0]]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 0.9
    assert len({row.tobytes() for row in draws}) == 7


def test_several_steps_want_to_know_whose_patients_they_divide_by() -> None:
    terms = step_terms(local_steps=2)
    with pytest.raises(ValueError, match="3 hospitals named for 1 rows"):
        private_update(
            Step(terms=terms, layout=LAYOUT, round=1, cohort=cohort_of(LAYOUT, (4,))),
            weights_of(ADDITIVE),
            [stream("n")],
        )


@pytest.mark.parametrize("model", MODELS[:2], ids=lambda model: model.kind)
def test_neither_torch_s_nor_numpy_s_generator_is_drawn_from(
    model: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.import_module(
        "wardround.client.train.with_opacus"
    )  # SciPy's own import makes a generator for its manual

    def refuse(*arguments: object, **_: object) -> None:
        if isinstance(arguments[0], torch.Tensor) and arguments[0].is_meta:
            return  # a tensor without storage: nothing is drawn
        raise AssertionError("a generator that is not ours was drawn from")

    names = ("normal", "randn", "rand", "randint", "bernoulli", "randn_like", "rand_like")
    for name in names:
        monkeypatch.setattr(torch, name, refuse)
    for name in ("normal_", "uniform_", "bernoulli_"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    for name in ("default_rng", "normal", "rand", "randn", "random", "standard_normal"):
        monkeypatch.setattr(np.random, name, refuse)
    before = torch.get_rng_state()
    for simulation in (True, False):
        terms = step_terms(model, 1, local_steps=2, sampling_rate=0.5)
        terms.simulation = simulation
        private_update(
            Step(terms=terms, layout=LAYOUT, round=1, cohort=cohort_of(LAYOUT, (9,))),
            weights_of(model),
            [stream("n")],
        )
    assert torch.equal(before, torch.get_rng_state())


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(ConfigurationError, match="engine=magic: must be one of auto, closed_form"):
        clipped_sums(ADDITIVE, LAYOUT, weights_of(ADDITIVE), cohort_of(LAYOUT, (2,)), 1.0, "magic")
