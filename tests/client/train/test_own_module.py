"""A user's own torch module: clipped per patient in one pass, and refused where patients mix."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from wardround.client.train.check_closed_form import random_cohort
from wardround.client.train.check_module import check_module
from wardround.client.train.update import clipped_sums
from wardround.protocol import plugins
from wardround.protocol.contract.layout import Field, Layout
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import (
    initial_weights,
    named_parameters,
    parameter_count,
    predict_logits,
)
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.settings import ModelSettings

LAYOUT = Layout((Field("a", ("x", "y", "?")), Field("b", ("u", "v", "?"))), (), ("r",))


class Mine(nn.Module):
    """Two layers with a norm between them."""

    def __init__(self, layout):
        super().__init__()
        self.first = nn.Linear(layout.width, 6)
        self.norm = nn.LayerNorm(6)
        self.last = nn.Linear(6, 1)

    def forward(self, rows):
        return self.last(torch.tanh(self.norm(self.first(rows))))[..., 0]


class Line(nn.Module):
    """The additive model, unscaled."""

    def __init__(self, layout):
        super().__init__()
        self.line = nn.Linear(layout.width, 1, bias=False)
        nn.init.zeros_(self.line.weight)

    def forward(self, rows):
        return self.line(rows)[..., 0]


class Explodes(Line):
    """Its gradient is not finite for a patient whose ranged value is above one half, and for nobody else."""

    def forward(self, rows):
        steep = torch.where(rows[..., -1] > 0.5, torch.inf, 1.0)
        return self.line(rows * steep[..., None])[..., 0]


class Batch(nn.Module):
    def __init__(self, layout):
        super().__init__()
        self.line, self.norm = nn.Linear(layout.width, 1), nn.BatchNorm1d(layout.width)

    def forward(self, rows):
        return self.line(self.norm(rows.transpose(1, 2)).transpose(1, 2))[..., 0]


class MixesPatients(Line):
    def forward(self, rows):
        return self.line(rows - rows.mean(dim=0, keepdim=True))[..., 0]


class MixesEvents(Line):
    def forward(self, rows):
        return self.line(rows - rows.mean(dim=1, keepdim=True))[..., 0]


class Flattens(Line):
    def forward(self, rows):
        return self.line(rows.reshape(-1, rows.shape[-1]))[..., 0].reshape(rows.shape[:-1])


class Drops(Line):
    def forward(self, rows):
        return self.line(nn.functional.dropout(rows, 0.5, self.training))[..., 0]


class Buffered(Line):
    def __init__(self, layout):
        super().__init__(layout)
        self.register_buffer("scale", torch.ones(1))


class Frozen(Mine):
    def __init__(self, layout):
        super().__init__(layout)
        self.first.weight.requires_grad_(False)


class Unused(Mine):
    def __init__(self, layout):
        super().__init__(layout)
        self.never = nn.Linear(2, 2)


class Fails(Line):
    def forward(self, rows):
        raise RuntimeError("secret 42")


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setattr(plugins, "_known", {})
    return lambda module: ModelSettings(kind=plugins.enter("model", module))


def cohort(patients=(7, 5), events=4):
    return random_cohort(LAYOUT, patients, events, Keystream(derive_key("own module test")))


def alone(model, weights, patients):
    """Each patient's gradient with nobody else in the batch, as the clipped sum with a norm that binds nobody."""
    parts = [patients.take(np.array([i])).pooled() for i in range(patients.patient_count)]
    return np.stack([clipped_sums(model, LAYOUT, weights, part, 1e12)[0] for part in parts])


@pytest.mark.parametrize("module", [Mine, Line])
def test_a_module_that_keeps_patients_apart_agrees_with_autograd(settings, module):
    assert check_module(settings(module), LAYOUT, 4) < 1e-12


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (Batch, "Opacus cannot clip BatchNorm1d per patient"),
        (MixesPatients, "its per-patient gradients differ from autograd's by"),
        (MixesEvents, "its per-patient gradients differ from autograd's by"),
        (Flattens, "gradients of .* items for 8 patients"),
        (Drops, "its per-patient gradients differ from autograd's by"),
        (Buffered, "Opacus cannot clip .* per patient; use layers without buffers"),
        (Frozen, r"parameter first\.weight takes no gradient"),
        (Unused, r"parameter never\.weight has no gradient per patient"),
        (Fails, r"Opacus cannot clip it \(RuntimeError\)"),
        (lambda layout: 3, r"must give a torch\.nn\.Module"),
        (lambda layout: nn.Tanh(), "its module has no parameters"),
        (lambda layout: 1 / 0, "failed with ZeroDivisionError at test_own_module.py"),
    ],
)
def test_what_cannot_be_clipped_per_patient_is_refused_in_one_line(settings, module, line):
    with pytest.raises(ConfigurationError, match=line) as caught:
        check_module(settings(module), LAYOUT, 4)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_clipped_sum_is_that_of_each_patient_alone(settings):
    model, patients = settings(Mine), cohort()
    weights = initial_weights(model, LAYOUT)[np.newaxis]
    gradients = alone(model, weights, patients)
    norms = np.linalg.norm(gradients, axis=1)
    clip_norm = float(np.median(norms))
    clipped = gradients * np.minimum(1, clip_norm / norms)[:, np.newaxis]
    expected = np.stack([clipped[:7].sum(axis=0), clipped[7:].sum(axis=0)])
    for memory in (1 << 30, 1):  # all at once, and one patient at a time
        found = clipped_sums(model, LAYOUT, weights, patients, clip_norm, memory_bytes=memory)
        np.testing.assert_allclose(found, expected, atol=1e-8 * clip_norm)
    ghost = clipped_sums(model, LAYOUT, weights, patients, clip_norm, "ghost")
    np.testing.assert_allclose(ghost, expected, atol=1e-8 * clip_norm)
    assert not np.allclose(gradients[:7].sum(axis=0), expected[0], rtol=0.05)


def test_one_patient_moves_the_sum_by_at_most_the_clip_norm(settings):
    model, patients = settings(Mine), cohort((9,))
    weights = 3 * initial_weights(model, LAYOUT)[np.newaxis]
    whole = clipped_sums(model, LAYOUT, weights, patients, 0.01)
    for out in range(9):
        fewer = patients.take(np.delete(np.arange(9), out))
        moved = np.linalg.norm(whole - clipped_sums(model, LAYOUT, weights, fewer, 0.01))
        assert 0 < moved <= 0.01 * (1 + 1e-9)


def test_a_patient_whose_gradient_is_not_finite_adds_zero_in_the_same_pass(settings, monkeypatch):
    model, patients = settings(Explodes), cohort((12,), events=3)
    exploding = np.bincount(patients.patient_of_event, patients.values[:, 0] > 0.5) > 0
    assert 0 < exploding.sum() < 12
    weights = np.full((1, LAYOUT.width), 0.1)
    passes = []
    forward = Explodes.forward
    monkeypatch.setattr(
        Explodes, "forward", lambda self, rows: (passes.append(len(rows)), forward(self, rows))[1]
    )
    found = clipped_sums(model, LAYOUT, weights, patients, 0.5)
    assert passes == [12]
    rest = clipped_sums(model, LAYOUT, weights, patients.take(np.flatnonzero(~exploding)), 0.5)
    np.testing.assert_allclose(found, rest, atol=1e-12)
    assert np.linalg.norm(found) > 0.01


def test_somebody_with_more_events_changes_nobody_elses_gradient(settings):
    """Padding is by the patient's own event: a module that divides by a row's length has no row of zeros to see."""

    class Divides(Line):
        def forward(self, rows):
            return self.line(rows / rows.norm(dim=-1, keepdim=True))[..., 0]

    model, patients = settings(Divides), cohort((6,), events=4)
    counts = patients.events_per_patient
    few = np.flatnonzero(counts < counts.max())
    weights = np.full((1, LAYOUT.width), 0.2)
    whole = clipped_sums(model, LAYOUT, weights, patients, 1e6)
    parts = [
        clipped_sums(model, LAYOUT, weights, patients.take(ids), 1e6)
        for ids in (few, np.setdiff1d(np.arange(6), few))
    ]
    np.testing.assert_allclose(whole, sum(parts), atol=1e-12)


def test_it_predicts_what_its_module_says_and_a_vector_goes_round(settings):
    model, patients = settings(Line), cohort()
    assert parameter_count(model, LAYOUT) == LAYOUT.width
    weights = np.arange(1.0, LAYOUT.width + 1)
    logits = predict_logits(model, LAYOUT, weights, patients)
    own = (
        1
        + weights[1 + patients.bins[:, 0]]
        + weights[4 + patients.bins[:, 1]]
        + weights[-1] * patients.values[:, 0]
    )
    np.testing.assert_allclose(logits, own, rtol=1e-6)
    named = named_parameters(settings(Mine), LAYOUT, initial_weights(settings(Mine), LAYOUT))
    assert named["module.first.weight"].shape == (LAYOUT.width, 6)


def test_initial_weights_are_the_same_in_every_process_and_leave_torchs_generator_alone(settings):
    model = settings(Mine)
    torch.manual_seed(5)
    before = torch.rand(1)
    first = initial_weights(model, LAYOUT)
    torch.manual_seed(5)
    again = initial_weights(model, LAYOUT)
    assert torch.equal(torch.rand(1), before)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first).max() > 0


def test_hidden_layers_are_the_modules_own_affair(settings):
    with pytest.raises(
        ConfigurationError, match=r"model\.hidden=\[8\]: must be empty for additive and for your own"
    ):
        replace(settings(Mine), hidden=(8,))
