"""An audit by one run of the hospital's own code: near what is stated, never above, and broken code is caught."""

from pathlib import Path

import numpy as np
import pytest

from tests.simulations.audit.test_audit import settings
from wardround.conf.audited import AttackSettings
from wardround.protocol.privacy.mechanism import ordered_clip_norm
from wardround.protocol.terms.request import MEAN_ROWS, UPDATE
from wardround.simulations.audit.canary import sums_of
from wardround.simulations.audit.crowd import Crowd
from wardround.simulations.audit.mutations import MUTATIONS
from wardround.simulations.audit.one_run import guessed, one_run_audit, run_once
from wardround.simulations.audit.stages import AuditStage, one_runs, stages
from wardround.simulations.federation.encoded_cache import load_cached
from wardround.simulations.study.study import simulated_terms


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("one_run")


def staged(shared: Path, *overrides: str) -> list[AuditStage]:
    study = settings(shared, *overrides).study
    federation = load_cached(study)
    return [one for one in stages(federation, simulated_terms(study, federation), 2) if one.in_one_run]


@pytest.mark.parametrize("model", ["additive", "wide_deep"])
def test_each_of_the_crowd_moves_a_release_as_far_as_it_may_and_unlike_the_others(
    shared: Path, model: str
) -> None:
    terms = staged(shared, f"model={model}")[0].attack.terms
    crowd = Crowd(terms, 50, seed=1)
    clip_norm = ordered_clip_norm(terms.privacy.clip_norm)
    for asked in (UPDATE, MEAN_ROWS) if model == "additive" else (UPDATE,):
        found = crowd.contributions(asked)
        assert np.linalg.norm(found, axis=1) == pytest.approx(np.full(50, clip_norm), rel=1e-5)
        assert len(np.unique(found.round(9), axis=0)) == 50
        # Together they are what a hospital of these patients sums up.
        together = sums_of(terms, asked, crowd.weights, crowd.patients)[0]
        assert found.sum(axis=0) == pytest.approx(together, abs=1e-4)


@pytest.mark.statistical
@pytest.mark.parametrize(("noise", "epsilon", "least"), [("local", 1, 0.5), ("secure", 8, 6.3)])
def test_one_run_comes_near_what_is_stated_and_refutes_it_no_more_often_than_chance(
    shared: Path, noise: str, epsilon: int, least: float
) -> None:
    stage = staged(shared, f"privacy.noise={noise}", f"privacy.epsilon={epsilon}")[-1]
    found = [one_run_audit(stage.attack, "", stage.stated, 4000, 0.95, seed) for seed in range(3)]
    assert np.mean([one.shift for one in found]) > least
    # A bound is above the truth once in twenty at most: two of three once in 140. These random numbers are fixed.
    assert sum(not one.holds for one in found) <= 1
    assert all(one.guesses < one.shift for one in found)


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["clip", "noise_halved"])
def test_one_run_catches_broken_code(shared: Path, name: str) -> None:
    (mutation,) = (one for one in MUTATIONS if one.name == name)
    stage = staged(shared)[0]
    with mutation.broken(stage.attack.terms):
        found = one_run_audit(stage.attack, "", stage.stated, 4000, 0.999, 2)
    assert found.shift > 1.2 * stage.stated
    assert not found.holds


@pytest.mark.slow
@pytest.mark.statistical
def test_coins_are_told_where_noise_is_small_and_those_least_sure_of_are_left_out(shared: Path) -> None:
    stage = staged(shared, "privacy.epsilon=300")[0]
    run = run_once(stage.attack, Crowd(stage.attack.terms, 100, seed=1), 5)
    assert 30 < (run.signs > 0).sum() < 70
    assert guessed(run, 1.0).correct >= 95
    noisy = run_once(staged(shared, "privacy.epsilon=8")[0].attack, Crowd(stage.attack.terms, 100, seed=1), 5)
    every, surest = guessed(noisy, 1.0), guessed(noisy, 0.25)
    assert surest.correct / surest.guesses > every.correct / every.guesses


def test_only_what_is_gaussian_and_of_one_step_is_audited_by_one_run(shared: Path) -> None:
    assert staged(shared, "training.sampling_rate=0.5", "training.rounds=4") == []
    assert staged(shared, "training=fedavg", "training.local_steps=3", "training.rounds=2") == []
    assert not list(one_runs(staged(shared), AttackSettings(canaries=0), 0))
