"""Membership inference: it tells who took part where nothing protects them, and hardly where ε does."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from tests.builders import ROOT
from wardround.conf.audited import audit_settings
from wardround.conf.composed import composed
from wardround.protocol.privacy.gaussian_dp import gaussian_epsilon
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.noise_schedule import with_equal_noise
from wardround.simulations.audit.bounds import Interval
from wardround.simulations.audit.membership import (
    MembershipFinding,
    half_terms,
    halved,
    largest_auc,
    memberships,
    told_apart,
)
from wardround.simulations.federation.encoded_cache import load_cached
from wardround.simulations.federation.federation import Federation
from wardround.simulations.study.study import simulated_terms

TABLE = ROOT.parent / "shared" / "data" / "noshow.csv.gz"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("membership")


def study(cache: Path, *overrides: str) -> tuple[Federation, Terms]:
    plain = composed("audit", [f"federation.cache_dir={cache}", *overrides])
    plain.pop("experiment", None)
    settings = audit_settings(plain, cache / "out").study
    federation = load_cached(settings)
    return federation, simulated_terms(settings, federation)


@pytest.mark.slow
@pytest.mark.statistical
def test_who_took_part_is_told_without_privacy_and_hardly_with_it(cache: Path) -> None:
    federation, terms = study(cache, "experiment=tiny")
    private, plain = memberships(federation, terms, 10, 0.999, seed=3)
    assert private.holds
    assert private.auc.low <= 0.5 + (plain.auc.low - 0.5) / 5
    # Ten models of 174 patients each: found 0.71 to 0.73.
    assert plain.auc.low > 0.65
    assert plain.true_positive_rate > 0.01
    assert plain.most is None


@pytest.mark.slow
@pytest.mark.statistical
def test_a_study_whose_noise_is_nearly_none_is_as_open_as_one_without_privacy(cache: Path) -> None:
    # A private AUC near 0.5 says something only if the attack on the study's own rounds can tell.
    federation, terms = study(cache, "experiment=tiny", "privacy.epsilon=1e5")
    private, _ = memberships(federation, terms, 10, 0.999, seed=3)
    assert private.auc.low > 0.6


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.skipif(not TABLE.is_file(), reason="the real table is absent: ../shared/data")
def test_on_no_show_at_epsilon_1_the_attack_is_near_guessing(cache: Path) -> None:
    federation, terms = study(cache, "data=noshow", f"data.path={TABLE}")
    private, plain = memberships(federation, terms, 8, 0.999, seed=0)
    assert private.auc.high <= 0.52
    assert plain.auc.low > 0.52


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_no_attack_exceeds_the_auc_that_the_stated_epsilon_leaves(cache: Path, epsilon: float) -> None:
    _, terms = study(cache, "experiment=tiny", f"privacy.epsilon={epsilon}")
    most = largest_auc(terms)
    assert most is not None
    parameter = math.sqrt(2) * float(norm.ppf(most))
    assert gaussian_epsilon(parameter, terms.privacy.delta) == pytest.approx(epsilon, rel=1e-3)
    rng = np.random.default_rng(0)
    wins = rng.normal(size=10**6) < rng.normal(parameter, size=10**6)
    assert np.mean(wins) == pytest.approx(most, abs=0.002)
    equal = with_equal_noise(terms)
    sampled = replace(equal, training=replace(equal.training, sampling_rate=0.5))
    assert largest_auc(sampled) is None


def test_halves_are_halves_and_other_halves_for_each_model(cache: Path) -> None:
    federation, terms = study(cache, "experiment=tiny")
    halves = halved(federation, 20, seed=1)
    assert halves.shape == (20, federation.training.patient_count)
    assert 0.45 < halves.mean() < 0.55
    assert len(np.unique(halves, axis=0)) == 20
    own = half_terms(terms)
    assert own.noise_multiplier == terms.noise_multiplier
    for name, count in terms.training.public_patients.items():
        assert own.training.public_patients[name] == count // 2


def test_no_model_asked_for_is_none_attacked(cache: Path) -> None:
    assert memberships(*study(cache, "experiment=tiny"), 0, 0.95, seed=0) == ()


def test_members_are_told_at_one_false_in_a_thousand() -> None:
    others = np.arange(10_000.0)
    assert told_apart(np.array([9989.0, 9990.5, 10_001.0, 5.0]), others) == 0.5


def test_an_attack_above_what_the_stated_epsilon_leaves_refutes_it() -> None:
    low, high = Interval(0.6, 0.59, 0.61), Interval(0.5, 0.49, 0.51)
    found = [MembershipFinding("m", area, 0.0, 0.575).holds for area in (low, high)]
    assert found == [False, True]
    assert MembershipFinding("m", low, 0.0).holds
