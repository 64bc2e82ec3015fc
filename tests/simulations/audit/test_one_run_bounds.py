"""Bounds of one run: a published value, a published implementation's numbers, and truths that are known."""

import math

import numpy as np
import pytest

from wardround.protocol.privacy.gaussian_dp import gaussian_parameter
from wardround.simulations.audit.one_run_bounds import (
    Coins,
    chance_of,
    one_run_epsilon_at_least,
    shift_at_least,
)

DELTA = 1e-5


def test_the_published_example_is_reproduced() -> None:
    # Steinke, Nasr and Jagielski 2023, Appendix D: 1,000 canaries, 75 of 100 guesses right, δ = 10⁻⁴, 95 %.
    assert one_run_epsilon_at_least(Coins(1000, 100, 75), 1e-4, 0.95) == pytest.approx(0.673, abs=5e-4)


@pytest.mark.parametrize(
    ("coins", "delta", "confidence", "bound", "chance"),
    [
        (Coins(1000, 100, 75), 1e-4, 0.95, 0.672984729773335, 0.014587207651351315),
        (Coins(1000, 1000, 600), 1e-5, 0.95, 0.2972269575896597, 0.9326488841050369),
        (Coins(4000, 400, 390), 1e-5, 0.99, 2.8965223409046534, 0.0004885836229709006),
        (Coins(200, 200, 200), 1e-6, 0.95, 4.193088940268354, 4.409475592214603e-06),
        (Coins(5000, 2500, 1800), 1e-5, 0.999, 0.7869214525217801, 0.000335834707756064),
        (Coins(216, 40, 22), 1e-5, 0.95, 0.0, 0.8659330571061163),
        (Coins(100_000, 1000, 1000), 1e-5, 0.95, 3.488994797394951, 0.004799502749259592),
    ],
)
def test_the_bound_by_guesses_is_jax_privacys(
    coins: Coins, delta: float, confidence: float, bound: float, chance: float
) -> None:
    # _epsilon_one_run (found to 1e-6) and _one_run_p_value at ε = 0.5 of jax_privacy.auditing, run at commit 8967688c.
    assert one_run_epsilon_at_least(coins, delta, confidence) == pytest.approx(bound, abs=2e-6)
    assert chance_of(coins, 0.5, delta) == pytest.approx(chance, rel=1e-9)


@pytest.mark.statistical
def test_guesses_of_randomised_response_exceed_its_epsilon_no_more_often_than_stated() -> None:
    # The hardest mechanism there is: each coin is told rightly with the largest chance that ε allows.
    rng, audits, epsilon = np.random.default_rng(1), 500, 1.0
    correct = rng.binomial(300, math.exp(epsilon) / (1 + math.exp(epsilon)), audits)
    bounds = {
        int(each): one_run_epsilon_at_least(Coins(300, 300, int(each)), 0.0, 0.9) for each in set(correct)
    }
    above = sum(bounds[int(each)] > epsilon for each in correct)
    assert 15 <= above <= 78  # 50 expected, standard deviation 7


def test_more_right_guesses_say_more_and_none_say_nothing() -> None:
    found = [one_run_epsilon_at_least(Coins(500, 100, right), DELTA, 0.95) for right in (0, 50, 70, 90, 100)]
    assert found == sorted(found)
    assert found[:2] == [0.0, 0.0]
    with pytest.raises(ValueError, match="correct ≤ guesses ≤ canaries"):
        Coins(10, 5, 6)


@pytest.mark.statistical
@pytest.mark.parametrize("epsilon", [1.0, 4.0, 8.0])
def test_the_shift_exceeds_the_truth_no_more_often_than_stated_and_comes_near(epsilon: float) -> None:
    parameter, rng, audits = gaussian_parameter(epsilon, DELTA), np.random.default_rng(int(epsilon)), 400
    found = []
    for _ in range(audits):
        shift = rng.normal(size=2000)
        # 4,000 canaries in random directions, each of which moves the release by μ: half of it as coins fall.
        shift *= math.sqrt(4000) / 2 * parameter / np.linalg.norm(shift)
        found.append(shift_at_least(rng.normal(size=2000) + shift, shift, parameter, 0.9))
    assert np.mean(np.array(found) > parameter) <= 0.145  # 10 % would be 40, standard deviation 6
    assert np.mean(found) > parameter - 0.12


@pytest.mark.parametrize(("moved", "noise"), [(2.0, 1.0), (1.0, 0.5), (3.0, 1.0)])
def test_a_shift_too_far_and_noise_too_small_are_both_seen(moved: float, noise: float) -> None:
    rng, parameter = np.random.default_rng(3), 0.28
    shift = rng.normal(size=2000)
    shift *= math.sqrt(4000) / 2 * parameter / np.linalg.norm(shift)
    seen = moved * shift + noise * rng.normal(size=2000)
    assert parameter < shift_at_least(seen, shift, parameter, 0.999) <= 1.1 * parameter * moved / noise


def test_canaries_that_moved_nothing_show_nothing() -> None:
    shift = np.ones(100)
    assert shift_at_least(-shift + np.random.default_rng(0).normal(size=100), shift, 1.0, 0.95) == 0.0
