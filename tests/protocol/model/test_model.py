"""Models over a layout: shapes, start, scale, and the same logits in numpy and in torch."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from wardround.client.train.check_closed_form import random_cohort
from wardround.client.train.patient_batch import pad_patients
from wardround.protocol.contract.layout import Cross, Field, Layout
from wardround.protocol.errors import ContractError
from wardround.protocol.model.design import dense_rows
from wardround.protocol.model.model import (
    column_scale,
    initial_weights,
    main_scale,
    named_parameters,
    parameter_count,
    parameter_shapes,
    predict_logits,
    predict_probabilities,
)
from wardround.protocol.model.modules import build_module, load_vector, to_vector
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.settings import ModelSettings

AGE = Field("age", ("young", "middle", "old"))
SMS = Field("sms", ("no", "yes"))
LAYOUT = Layout((AGE, SMS), (Cross(AGE, SMS),), ("gap",))
MODELS = [
    ModelSettings(),
    ModelSettings(kind="wide_deep", hidden=(5,)),
    ModelSettings(kind="wide_deep", hidden=(5, 3)),
    ModelSettings(kind="mlp", hidden=(4,)),
    ModelSettings(kind="mlp", hidden=(4, 3, 2)),
]
IDS = [f"{model.kind}{list(model.hidden)}" for model in MODELS]


def _cohort(seed: int = 0, patients: int = 7):
    return random_cohort(LAYOUT, (patients,), 4, Keystream(derive_key("cohort", seed)))


def _weights(model: ModelSettings, seed: int = 0):
    return Keystream(derive_key("weights", seed)).gaussian(parameter_count(model, LAYOUT))


def test_a_dense_row_is_intercept_bins_cross_and_values() -> None:
    cohort = _cohort()
    row = dense_rows(LAYOUT, cohort)[0]
    age, sms = cohort.bins[0]
    expected = np.zeros(13)
    expected[[0, 1 + age, 4 + sms, 6 + 2 * age + sms]] = 1
    expected[12] = cohort.values[0, 0]
    np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_scaled_rows_have_norm_at_most_one(model: ModelSettings) -> None:
    rows = dense_rows(LAYOUT, _cohort(patients=200))
    main = np.delete(rows, [0, *range(6, 12)], axis=1)
    assert np.linalg.norm(rows * column_scale(model, LAYOUT), axis=1).max() <= 1 + 1e-12
    assert np.linalg.norm(main * main_scale(model, LAYOUT), axis=1).max() <= 1 + 1e-12


def test_shapes_are_named_and_ordered() -> None:
    assert parameter_shapes(ModelSettings(), LAYOUT) == {"linear": (13,)}
    assert list(parameter_shapes(MODELS[2], LAYOUT).items()) == [
        ("linear", (13,)),
        ("hidden0.weight", (6, 5)),
        ("hidden0.bias", (5,)),
        ("hidden1.weight", (5, 3)),
        ("hidden1.bias", (3,)),
        ("output.weight", (3,)),
    ]
    assert parameter_count(MODELS[3], LAYOUT) == 6 * 4 + 4 + 4 + 1


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_every_model_starts_by_predicting_a_half(model: ModelSettings) -> None:
    weights = initial_weights(model, LAYOUT)
    np.testing.assert_array_equal(predict_probabilities(model, LAYOUT, weights, _cohort()), 0.5)


def test_hidden_weights_start_from_the_same_public_numbers_on_every_machine() -> None:
    weights = initial_weights(MODELS[2], LAYOUT)
    hidden = named_parameters(MODELS[2], LAYOUT, weights)["hidden0.weight"]
    assert hashlib.sha256(weights.tobytes()).hexdigest()[:16] == "78cf96f2fd6914d0"
    wide = initial_weights(ModelSettings(kind="mlp", hidden=(2000,)), LAYOUT)[: 6 * 2000]
    assert abs(hidden).max() <= np.sqrt(3)
    assert wide.mean() == pytest.approx(0, abs=0.05)
    assert wide.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_torch_and_numpy_give_the_same_logits(model: ModelSettings) -> None:
    cohort, weights = _cohort(1), _weights(model)
    module = build_module(model, LAYOUT)
    load_vector(module, weights)
    batch = pad_patients(LAYOUT, cohort)
    logits = module(batch.rows).detach().numpy()
    np.testing.assert_allclose(
        logits[batch.shares.numpy() > 0],
        predict_logits(model, LAYOUT, weights, cohort),
        rtol=1e-12,
        atol=1e-12,
    )
    np.testing.assert_array_equal(to_vector(module.parameters()), weights)


def test_building_a_module_leaves_torch_s_generator_alone() -> None:
    before = torch.get_rng_state()
    build_module(MODELS[2], LAYOUT)
    assert torch.equal(before, torch.get_rng_state())


def test_weights_of_another_contract_are_named_as_such() -> None:
    with pytest.raises(ContractError, match=r"weights=12 numbers: .* has 13 "):
        predict_logits(ModelSettings(), LAYOUT, np.zeros(12), _cohort())


def test_a_cohort_without_events_has_no_logits() -> None:
    nobody = _cohort().take(np.array([], np.int64))
    for model in MODELS:
        assert predict_logits(model, LAYOUT, _weights(model), nobody).shape == (0,)


def test_the_server_s_part_of_a_model_needs_no_torch() -> None:
    code = "import sys; from wardround.protocol.model import design, model; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
