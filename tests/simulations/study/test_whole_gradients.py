"""Gradients of all patients together: the clipped sums with a norm that binds nobody, at a fraction of the work."""

import numpy as np
import pytest
from torch import nn

from tests.builders import LAYOUT, cohort_with
from wardround.client.train.update import clipped_sums
from wardround.protocol import plugins
from wardround.protocol.model.model import initial_weights
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.study import whole_gradients as subject

# One patient of 64 has 8 events: padded together, all would take the memory of 8 events each.
COHORT = cohort_with(LAYOUT, (1,) * 30 + (8, 2, 3, 5) + (1,) * 30, hospitals=3)
NEEDED = 8 * (60 + 8 + 2 + 4 + 8) * LAYOUT.width


class Narrow(nn.Module):
    """One hidden layer of three units."""

    def __init__(self, layout):
        super().__init__()
        self.first, self.last = nn.Linear(layout.width, 3), nn.Linear(3, 1)

    def forward(self, rows):
        return self.last(self.first(rows).tanh())[..., 0]


@pytest.fixture
def own_model(monkeypatch):
    monkeypatch.setattr(plugins, "_known", {})
    return ModelSettings(kind=plugins.enter("model", Narrow))


@pytest.mark.parametrize("rows", [1, 3])
def test_they_are_the_sums_of_every_patients_own_gradient(own_model, rows):
    weights = initial_weights(own_model, LAYOUT) + np.arange(rows)[:, np.newaxis] / 10
    found = subject.whole_gradients(own_model, LAYOUT, COHORT, 2 * NEEDED)(weights)
    expected = clipped_sums(own_model, LAYOUT, weights, COHORT, subject.NO_CLIP)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert np.abs(expected).max(axis=1).min() > 0.1


def test_one_patient_with_many_events_does_not_make_all_others_slow(own_model, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a gradient per patient is many times as slow, and nothing is clipped here")

    monkeypatch.setattr(subject, "clipped_sums", refuse)
    weights = initial_weights(own_model, LAYOUT)[np.newaxis]
    assert subject.whole_gradients(own_model, LAYOUT, COHORT, 2 * NEEDED)(weights).shape[0] == 3
    with pytest.raises(AssertionError, match="nothing is clipped here"):
        subject.whole_gradients(own_model, LAYOUT, COHORT, 2 * NEEDED - 16)(weights)


def test_a_hospital_without_patients_adds_nothing(own_model):
    empty = COHORT.take(np.flatnonzero(np.arange(64) >= COHORT.patients_from[1]))
    found = subject.whole_gradients(own_model, LAYOUT, empty, 2 * NEEDED)(
        initial_weights(own_model, LAYOUT)[np.newaxis]
    )
    np.testing.assert_array_equal(found[0], 0)
    assert found[1:].any(axis=1).all()
