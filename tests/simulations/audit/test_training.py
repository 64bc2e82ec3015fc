"""Weights attacked: all rounds together show what composition states, and so may the final model alone."""

from pathlib import Path

import numpy as np
import pytest

from tests.simulations.audit.test_audit import settings
from wardround.conf.audited import AttackSettings
from wardround.protocol.privacy.gaussian_dp import gaussian_parameter
from wardround.simulations.audit.bounds import epsilon_of
from wardround.simulations.audit.measure import coloured_weights, measure
from wardround.simulations.audit.stages import AuditStage, attacked, stages
from wardround.simulations.audit.training import WeightsAttack
from wardround.simulations.federation.encoded_cache import load_cached
from wardround.simulations.study.study import simulated_terms

STEADY = ("training.momentum=0", "training.learning_rate=0.01", "training.tail_average=0")
"""Every round counts alike in the final model, and weights stay where the canary's gradient is longest."""
SECURE = ("privacy.noise=secure", "secure_sum.spare_slots=0")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


def staged(shared: Path, *overrides: str) -> list[AuditStage]:
    study = settings(shared, *overrides).study
    federation = load_cached(study)
    return [one for one in stages(federation, simulated_terms(study, federation), 2) if one.by_weights]


def test_the_canary_moves_each_round_by_one_beside_fresh_noise(shared: Path) -> None:
    weights, model = staged(shared, *STEADY, "training.rounds=3")
    assert isinstance(weights.attack, WeightsAttack)
    without, shifted = weights.attack.scores(False, 0, 4), weights.attack.scores(True, 0, 4)
    assert without.shape == (4, 3)
    assert shifted - without == pytest.approx(np.ones((4, 3)), abs=2e-2)
    assert len(np.unique(without)) == 12
    whole = model.attack.scores(True, 0, 4) - model.attack.scores(False, 0, 4)
    assert whole == pytest.approx(np.ones((4, 1)), abs=2e-2)
    # The final model is the sum of all rounds: the same studies, looked at once.
    assert model.attack.scores(False, 0, 4)[:, 0] == pytest.approx(without.mean(axis=1), rel=1e-2)


def test_of_a_secure_sum_helpers_tell_all_and_the_reader_is_left_with_q_minus_t_shares(shared: Path) -> None:
    weights, _ = staged(shared, *SECURE, *STEADY)
    assert isinstance(weights.attack, WeightsAttack)
    studies = weights.attack.studies
    assert (len(studies.releases.hospitals), len(studies.helpers)) == (2, 1)
    # Where the sum of a round is void, the weights stay, and all scores of the round are equal.
    assert len(np.unique(weights.attack.scores(False, 0, 5))) == 10


@pytest.mark.slow
def test_under_newton_weights_are_not_attacked(shared: Path) -> None:
    assert staged(shared, "training.rounds=8") == []


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize(
    ("noise", "epsilon", "least"), [((), 1, 0.5), (SECURE, 8, 6.8)], ids=["local", "secure"]
)
def test_all_weights_and_the_final_model_keep_to_what_is_stated_and_come_near(
    shared: Path, noise: tuple[str, ...], epsilon: int, least: float
) -> None:
    listed = staged(shared, *noise, *STEADY, f"privacy.epsilon={epsilon}")
    # At 95 % one seed in twenty refutes what is true: these random numbers are fixed, and not of that kind.
    for one in (attacked(stage, AttackSettings(), 1) for stage in listed):
        assert least <= one.epsilon_bound <= one.stage.stated
        assert one.estimate is not None
        assert one.estimate.low <= one.stage.stated <= one.estimate.high


@pytest.mark.statistical
def test_noise_that_stays_for_later_rounds_is_seen_through() -> None:
    # Momentum: what a round moves is 0.9 of what the last one moved, and fresh noise. μ of all rounds is known.
    rng, runs, rounds = np.random.default_rng(4), 6000, 8
    noise = rng.normal(size=(2, runs, rounds))
    lags = np.arange(rounds)[:, None] - np.arange(rounds)
    carried = np.where(lags >= 0, 0.9 ** np.maximum(lags, 0), 0.0)
    parameter = gaussian_parameter(4.0, 1e-5)
    fresh = parameter / np.sqrt(rounds) * np.ones(rounds)
    shift = carried @ fresh
    without, shifted = noise[0] @ carried.T / shift, (noise[1] + fresh) @ carried.T / shift
    plain, coloured = (measure(without, shifted, 1e-5, 0.999, coloured=each) for each in (False, True))
    assert coloured.parameter.low <= parameter <= coloured.parameter.high
    assert 3.2 < epsilon_of(coloured.parameter_bound, 1e-5) <= 4.0
    assert plain.parameter.value < 0.97 * coloured.parameter.value


def test_a_round_that_nobody_moves_weighs_nothing() -> None:
    rng = np.random.default_rng(0)
    without, shifted = rng.normal(size=(2, 50, 3))
    without[:, 0] = shifted[:, 0] = 0.0
    assert coloured_weights(without, shifted)[0] == 0
    assert np.all(coloured_weights(np.zeros((5, 2)), np.zeros((5, 2))) == 1)
