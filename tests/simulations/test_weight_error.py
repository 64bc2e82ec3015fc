"""The error that a study states for its weights: whole studies again and again, with other noise."""

from dataclasses import replace

import numpy as np
import pytest

from wardround.client.outreach.reasons import shared_effects
from wardround.conf.composed import compose_study
from wardround.protocol.model.model import column_scale
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.newton import averaged_noise_stddev, cached_gain, scaled_prior
from wardround.server.algorithm.optimize import row_noise_stddev
from wardround.server.algorithm.rounds import reported_weights
from wardround.server.algorithm.weight_error import noise_factor, posterior_factor
from wardround.simulations.federation.federation import load_federation
from wardround.simulations.federation.in_process import run
from wardround.simulations.study.study import answering, simulated_terms

SMALL = (
    "data.hospitals=6",
    "data.patients=1500",
    "data.messages=4500",
    "data.smallest=100",
    "data.largest=1000",
    "seed=3",
    "report.progress=false",
    "federation.cache=false",
)


def study(*more):
    settings = compose_study(*SMALL, *more)
    federation = load_federation(settings.data, settings.contract, settings.seed)
    return federation, simulated_terms(settings, federation)


def effects_and(federation, terms, factor_of, noise_seed):
    """Run the study on the same patients with noise of another seed; give its effects and their stated factor."""
    state = run(terms, answering(replace(federation, seed=noise_seed), terms))
    effects = shared_effects(terms.model, terms.contract.layout, reported_weights(state))
    return effects, factor_of(terms, state.optimizer)


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize(
    ("noise", "kind"), [("local", "additive"), ("secure", "additive"), ("secure", "interactions")]
)
def test_the_noise_moves_weights_as_far_as_is_stated(noise, kind, monkeypatch):
    # Of so few patients the public rule would ask for no interactions; main effects are learned the same way.
    monkeypatch.setattr("wardround.server.algorithm.propose.LEAST_EVIDENCE", 0.0)
    federation, terms = study(f"privacy.noise={noise}", "privacy.epsilon=3", f"model={kind}")
    assert terms.model.kind == kind
    runs = [effects_and(federation, terms, noise_factor, 100 + seed) for seed in range(10)]
    moved = np.std([effects for effects, _ in runs], axis=0, ddof=1)
    stated = np.sqrt(np.mean([np.square(factor).sum(axis=1) for _, factor in runs], axis=0))
    # Over all columns: 216 of them, whose noise is weakly dependent. Two thirds, or three halves, would fail.
    ratio = np.sqrt(np.square(moved).sum() / np.square(stated).sum())
    assert 0.8 < ratio < 1.25


def test_the_whole_error_is_the_prior_where_noise_says_nothing_and_no_less_than_the_noise():
    federation, terms = study("privacy.epsilon=0.01", "privacy.noise=local")
    _, noisy = effects_and(federation, terms, posterior_factor, 1)
    scale = column_scale(terms.model, terms.contract.layout)[0]
    share = np.sqrt(np.square(noisy).sum(axis=1)) / (0.7 * scale)
    assert 0.95 < np.median(share[1:]) <= 1 + 1e-9


def test_the_whole_error_is_what_the_gain_leaves_of_the_prior():
    """P = τ²K − F H τ²K, with F by eigenvalues, as ``newton`` factors it."""
    federation, terms = study("privacy.epsilon=3")
    state = run(terms, answering(federation, terms)).optimizer
    gain = cached_gain(terms, state.mean_row, row_noise_stddev(state, terms), state.factors)
    prior = scaled_prior(terms.contract, state.factors)
    stddev = averaged_noise_stddev(terms, noise_gain(terms), state.steps)
    scale = column_scale(terms.model, terms.contract.layout)
    left = prior - gain.posterior(prior @ gain.fisher, stddev).T
    factor = posterior_factor(terms, state)
    np.testing.assert_allclose(factor @ factor.T, scale[:, None] * left * scale, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_nothing_is_stated_of_another_optimiser():
    federation, terms = study("training=adam", "training.rounds=2")
    assert effects_and(federation, terms, noise_factor, 1)[1] is None
    assert effects_and(federation, terms, posterior_factor, 1)[1] is None
