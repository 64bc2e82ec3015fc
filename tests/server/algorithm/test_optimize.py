"""The optimisers against torch's, and the tail average against a plain mean."""

import numpy as np
import pytest
import torch

from wardround.protocol.terms.settings import TrainingSettings
from wardround.server.algorithm import optimize

GRADIENTS = np.random.default_rng(0).normal(size=(30, 5))


def run(training):
    state, weights = optimize.init(training, 5), np.ones(5)
    for gradient in GRADIENTS:
        state, weights = optimize.first_order(state, training, weights, gradient)
    return state, weights


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_equals_torch(momentum):
    parameter = torch.nn.Parameter(torch.ones(5, dtype=torch.float64))
    reference = torch.optim.SGD([parameter], lr=0.3, momentum=momentum)
    for gradient in GRADIENTS:
        parameter.grad = torch.from_numpy(gradient)
        reference.step()
    _, weights = run(TrainingSettings(learning_rate=0.3, momentum=momentum))
    np.testing.assert_allclose(weights, parameter.detach().numpy(), rtol=1e-12)


def test_adam_equals_torch():
    parameter = torch.nn.Parameter(torch.ones(5, dtype=torch.float64))
    betas = (0.9, optimize.SECOND_MOMENT_DECAY)
    reference = torch.optim.Adam([parameter], lr=0.3, betas=betas, eps=optimize.ADAPTIVITY)
    for gradient in GRADIENTS:
        parameter.grad = torch.from_numpy(gradient)
        reference.step()
    state, weights = run(TrainingSettings(optimizer="adam", learning_rate=0.3, momentum=0.9))
    np.testing.assert_allclose(weights, parameter.detach().numpy(), rtol=1e-10)
    assert state.steps == 30


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_apply_changes_nothing_in_place(optimizer):
    training = TrainingSettings(optimizer=optimizer)
    state, weights, gradient = optimize.init(training, 5), np.ones(5), np.ones(5)
    optimize.first_order(state, training, weights, gradient)
    np.testing.assert_array_equal(state.first_moment, np.zeros(5))
    np.testing.assert_array_equal(weights, np.ones(5))
    np.testing.assert_array_equal(gradient, np.ones(5))


@pytest.mark.parametrize(("share", "first"), [(0.5, 6), (1.0, 1), (0.25, 8), (0.01, 10)])
def test_tail_is_the_mean_of_the_last_share(share, first):
    training = TrainingSettings(rounds=10, tail_average=share)
    tail = optimize.init_tail(5)
    for round_number in range(1, 11):
        tail = optimize.extend_tail(tail, training, round_number, GRADIENTS[round_number])
    np.testing.assert_allclose(tail.mean, GRADIENTS[first:11].mean(axis=0), rtol=1e-12)
    assert tail.count == 11 - first


def test_no_tail():
    tail = optimize.extend_tail(
        optimize.init_tail(5), TrainingSettings(rounds=1, tail_average=0), 1, np.ones(5)
    )
    assert tail.count == 0
