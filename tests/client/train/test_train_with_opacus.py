"""Opacus as the oracle of the closed forms, as the engine of other models, and as a hospital's optimiser."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants import RDPAccountant
from opacus.optimizers import DPOptimizer
from torch import nn

import wardround.client.train.check_closed_form
from tests.builders import cohort_of, step_terms, stream
from wardround.client.train.check_closed_form import check_closed_form, of_one_label, random_cohort
from wardround.client.train.clipped_sum_opacus import clipped_sum_opacus
from wardround.client.train.patient_batch import pad_patients
from wardround.client.train.patient_optimizer import PatientOptimizer
from wardround.client.train.update import Step, clipped_sums, private_update
from wardround.client.train.with_opacus import update_with_opacus
from wardround.protocol.contract.layout import Cross, Field, Layout
from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.modules import build_module
from wardround.protocol.privacy.mechanism import add_noise
from wardround.protocol.terms.settings import ModelSettings

FIELDS = (Field("age", tuple("abc")), Field("day", tuple("abcde")))
LAYOUT = Layout(FIELDS, (Cross(*FIELDS),), ("gap",))
MODELS = [
    ModelSettings(),
    ModelSettings(kind="wide_deep", hidden=(6,)),
    ModelSettings(kind="mlp", hidden=(5, 4)),
]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind)


def weights_of(model: ModelSettings, rows: int = 1):
    count = parameter_count(model, LAYOUT)
    return 2 * stream("weights").gaussian(rows * count).reshape(rows, count)


@st.composite
def studies(draw: st.DrawFn):
    """A random layout, model, cohort and weights."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    features = tuple(Field(f"f{i}", tuple(map(str, range(size)))) for i, size in enumerate(sizes))
    crosses = ()
    if len(sizes) > 1 and draw(st.booleans()):
        crosses = (Cross(*features[:2]),)
    layout = Layout(features, crosses, tuple(f"v{i}" for i in range(draw(st.integers(0, 2)))))
    kind = draw(st.sampled_from(["additive", "wide_deep", "mlp"]))
    hidden = () if kind == "additive" else tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    model = ModelSettings(kind=kind, hidden=hidden)
    seed = draw(st.integers(0, 10_000))
    patients = tuple(draw(st.lists(st.integers(0, 5), min_size=1, max_size=3)))
    cohort = of_one_label(random_cohort(layout, patients, draw(st.integers(1, 12)), stream("cohort", seed)))
    rows = draw(st.sampled_from([1, len(patients)]))
    count = parameter_count(model, layout)
    weights = draw(st.sampled_from([0.1, 2.0])) * stream("w", seed).gaussian(rows * count).reshape(
        rows, count
    )
    return model, layout, cohort, weights


@settings(max_examples=40, deadline=None)
@given(studies(), st.sampled_from([1e-3, 0.05, 0.3, 10.0]), st.sampled_from(["ghost", "hooks"]))
def test_closed_form_equals_opacus_on_any_model_mask_and_shape(study, clip_norm: float, engine: str) -> None:
    model, layout, cohort, weights = study
    ours = clipped_sums(model, layout, weights, cohort, clip_norm, "closed_form", dtype=np.float64)
    theirs = clipped_sums(model, layout, weights, cohort, clip_norm, engine)
    # Patients' parts may cancel: what is left of them then is as exact as the parts, and no more.
    assert np.linalg.norm(ours - theirs) <= 1e-5 * np.linalg.norm(theirs) + 1e-12 * clip_norm


@each_model
@pytest.mark.parametrize("engine", ["ghost", "hooks"])
def test_opacus_engines_also_zero_a_patient_who_is_not_finite(model: ModelSettings, engine: str) -> None:
    cohort, weights = cohort_of(LAYOUT, (4,), events=3), weights_of(model)
    cohort.values[cohort.events_from[1]] = np.nan
    others = cohort.take(np.array([0, 2, 3]))
    sums = clipped_sums(model, LAYOUT, weights, cohort, 0.2, engine)
    np.testing.assert_allclose(sums, clipped_sums(model, LAYOUT, weights, others, 0.2, engine), rtol=1e-9)


@pytest.mark.parametrize("engine", ["ghost", "hooks"])
def test_opacus_engines_take_samples_and_small_memory(engine: str) -> None:
    model, cohort = MODELS[1], cohort_of(LAYOUT, (9, 0, 4), events=3)
    weights, sampled = weights_of(model, 3), np.arange(13) % 3 > 0
    ours = clipped_sums(model, LAYOUT, weights, cohort, 0.2, sampled=sampled, dtype=np.float64)
    theirs = clipped_sums(model, LAYOUT, weights, cohort, 0.2, engine, sampled=sampled, memory_bytes=1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-9)


class Flattening(nn.Module):
    """What must be found out: patients and events become one dimension inside the model."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(LAYOUT.width, 1, dtype=torch.float64)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        patients, events, width = rows.shape
        return self.layer(rows.reshape(patients * events, width)).reshape(patients, events)


class Recurrent(nn.Module):
    """A layer that Opacus knows no norm for; its patient dimension stays."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv1d(LAYOUT.width, 1, kernel_size=1, dtype=torch.float64)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.mix(rows.transpose(1, 2))[:, 0]


@pytest.mark.parametrize("engine", ["ghost", "hooks"])
def test_flattening_patients_into_events_is_refused(engine: str) -> None:
    batch = pad_patients(LAYOUT, cohort_of(LAYOUT, (6,), events=4))
    with pytest.raises(
        ConfigurationError, match=r"gradients of \d+ items for 6 patients .*keep the patient dimension"
    ):
        clipped_sum_opacus(Flattening(), batch, 1.0, engine)


def test_a_layer_that_ghost_clipping_does_not_know_is_clipped_by_hooks() -> None:
    module, batch = Recurrent(), pad_patients(LAYOUT, cohort_of(LAYOUT, (5,), events=4))
    whole = clipped_sum_opacus(module, batch, 0.1, "hooks")
    fewer = clipped_sum_opacus(module, batch.only(torch.arange(5) != 2), 0.1, "hooks")
    assert 0 < np.linalg.norm(whole - fewer) <= 0.1


def test_an_empty_batch_sums_to_zero() -> None:
    batch = pad_patients(LAYOUT, cohort_of(LAYOUT, (0,)))
    assert not clipped_sum_opacus(build_module(MODELS[1], LAYOUT), batch, 1.0, "ghost").any()


@each_model
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_a_hospital_s_round_through_opacus_s_optimiser_equals_the_batched_round(
    model: ModelSettings, steps: int, rate: float
) -> None:
    terms = step_terms(model, 1, local_steps=steps, sampling_rate=rate)
    cohort, weights = cohort_of(LAYOUT, (11,), events=5), weights_of(model)
    batched = private_update(Step(terms=terms, layout=LAYOUT, round=1, cohort=cohort), weights, [stream("n")])
    terms.simulation = False
    through_opacus = private_update(
        Step(terms=terms, layout=LAYOUT, round=1, cohort=cohort), weights, [stream("n")]
    )
    np.testing.assert_allclose(through_opacus, batched, rtol=1e-9, atol=1e-12)
    if steps == 1:
        np.testing.assert_array_equal(through_opacus, batched)


def test_opacus_s_accountant_sees_every_step_also_the_empty_ones() -> None:
    terms = step_terms(MODELS[0], 1, local_steps=5, sampling_rate=0.1)
    accountant, zeros = RDPAccountant(), np.zeros(LAYOUT.width)
    update_with_opacus(
        terms,
        LAYOUT,
        zeros,
        public_patients=100,
        noise_stddev=0.5,
        stream=stream("n"),
        clipped_sum=lambda weights, child: zeros,
        step_hook=accountant.get_optimizer_hook_fn(sample_rate=0.1),
    )
    assert accountant.history == [(1.0, 0.1, 5)]


def test_the_optimiser_is_opacus_s_and_adds_the_stream_s_noise_once() -> None:
    module = build_module(MODELS[1], LAYOUT)
    optimizer = PatientOptimizer(
        torch.optim.SGD(module.parameters(), lr=0.1), noise_stddev=0.7, clip_norm=1.0, expected_batch_size=8
    )
    clipped = weights_of(MODELS[1])[0]
    noised = optimizer.step_on(clipped, stream("n"))
    assert isinstance(optimizer, DPOptimizer)
    assert optimizer.loss_reduction == "sum"
    np.testing.assert_array_equal(noised, add_noise(clipped[np.newaxis], 0.7, [stream("n")])[0])
    with pytest.raises(ValueError, match="no noise stream"):
        optimizer.step()


@each_model
def test_a_study_s_shapes_agree_before_it_starts(model: ModelSettings) -> None:
    assert check_closed_form(model, LAYOUT, events_per_patient=8) < 1e-7


@each_model
def test_a_closed_form_that_is_off_stops_the_study(
    model: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(*args, **kwargs):
        sums = clipped_sums(*args, **kwargs)
        return sums * (1 + 3e-5) if args[5:] == ("closed_form",) else sums

    monkeypatch.setattr(wardround.client.train.check_closed_form, "clipped_sums", off)
    with pytest.raises(WardroundError, match=r"differ by 3\.0e-05: at most 1e-05 is allowed"):
        check_closed_form(model, LAYOUT, events_per_patient=3)


@pytest.mark.slow
def test_importing_opacus_leaves_logging_alone_and_the_private_step_needs_no_torch() -> None:
    code = (
        "import logging, sys, wardround.client.train.update\n"
        "assert 'torch' not in sys.modules\n"
        "import wardround.client.train.with_opacus\n"
        "assert logging.root.handlers == [] and logging.root.level == logging.WARNING"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
