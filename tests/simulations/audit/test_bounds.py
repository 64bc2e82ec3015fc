"""Bounds: never above a truth that is known, near it, and equal to a published implementation's."""

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from wardround.protocol.privacy.gaussian_dp import gaussian_epsilon, gaussian_parameter
from wardround.simulations.audit.bounds import (
    Guesses,
    epsilon_at_least,
    epsilon_of,
    estimate_parameter,
    parameter_at_least,
    rates_at_most,
)
from wardround.simulations.audit.measure import measure

DELTA = 1e-5


@pytest.mark.parametrize(("count", "trials"), [(0, 20), (3, 20), (450, 1000), (19, 20)])
@pytest.mark.parametrize("confidence", [0.95, 0.999])
def test_a_rate_is_bounded_where_so_few_would_be_seen_with_the_allowed_chance(
    count: int, trials: int, confidence: float
) -> None:
    bound, most = rates_at_most(np.array([count, trials]), trials, confidence)
    assert binom.cdf(count, trials, bound) == pytest.approx(1 - confidence, rel=1e-9)
    assert most == 1.0


@pytest.mark.parametrize(
    ("false_positives", "false_negatives", "runs", "delta", "confidence", "expected"),
    [
        (3, 400, 1000, 1e-5, 0.95, 4.175507550514419),
        (120, 130, 1000, 1e-5, 0.95, 1.7881700663888558),
        (0, 10, 200, 1e-3, 0.99, 3.5332553486259592),
        (450, 470, 1000, 1e-5, 0.95, 0.034827449804829325),
        (500, 20, 4000, 1e-6, 0.999, 4.468096129027653),
        (0, 0, 3200, 1e-5, 0.95, 6.764996893454957),
    ],
)
def test_the_bound_that_supposes_nothing_is_jax_privacys(
    false_positives: int, false_negatives: int, runs: int, delta: float, confidence: float, expected: float
) -> None:
    # epsilon_clopper_pearson(one_sided=False, threshold_strategy=Explicit), run at commit 8967688c.
    guesses = Guesses(false_positives, false_negatives, runs)
    assert epsilon_at_least(guesses, delta, confidence) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("false_positives", "false_negatives", "theirs"),
    [(120, 130, 10.608552068871168), (450, 470, 0.1350900006040313), (200, 210, 6.877033059997402)],
)
def test_the_bound_on_mu_is_above_that_of_two_separate_rates_and_below_the_plain_estimate(
    false_positives: int, false_negatives: int, theirs: float
) -> None:
    # epsilon_from_gdp of jax-privacy at the same commit, its union over thresholds taken out: two bounds for our one.
    ours = epsilon_of(parameter_at_least(Guesses(false_positives, false_negatives, 1000), 0.95), DELTA)
    plain = norm.isf(false_positives / 1000) - norm.ppf(false_negatives / 1000)
    assert theirs < ours < gaussian_epsilon(float(plain), DELTA)


def test_guesses_that_err_half_of_the_time_show_nothing() -> None:
    for guesses in (Guesses(500, 500, 1000), Guesses(1000, 0, 1000), Guesses(900, 900, 1000)):
        assert parameter_at_least(guesses, 0.95) == 0
        assert epsilon_at_least(guesses, DELTA, 0.95) == 0
    with pytest.raises(ValueError, match="wrong guesses"):
        Guesses(11, 0, 10)


def scores(
    rng: np.random.Generator, parameter: float, runs: int, rounds: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a Gaussian mechanism whose μ over all rounds together is ``parameter``, of unequal σ by round."""
    shares = np.arange(1, rounds + 1) / np.arange(1, rounds + 1).sum()
    # A canary that moves each round by 1: μ² of a round is 1/σ², and all add up to μ².
    sigma = 1 / (parameter * np.sqrt(shares))
    noise = rng.normal(size=(2, runs, rounds)) * sigma
    return noise[0], noise[1] + 1.0


@pytest.mark.statistical
@pytest.mark.parametrize("epsilon", [1.0, 4.0, 8.0])
def test_bounds_exceed_the_truth_no_more_often_than_stated_and_intervals_cover_it(epsilon: float) -> None:
    # 400 audits at 90 %: over 62 failures (40 expected, standard deviation 6) by chance once in 5,000 at most.
    parameter, audits, rng = gaussian_parameter(epsilon, DELTA), 400, np.random.default_rng(int(epsilon))
    above = any_above = outside = 0
    for _ in range(audits):
        found = measure(*scores(rng, parameter, 500), DELTA, 0.9)
        above += found.parameter_bound > parameter
        any_above += found.epsilon_any > epsilon
        outside += not found.parameter.low <= parameter <= found.parameter.high
    assert max(above, any_above, outside) <= 62
    # The bounds would also hold if they were always 0, and the interval if it were endless.
    assert above >= 10
    assert outside >= 15


@pytest.mark.statistical
@pytest.mark.parametrize(("epsilon", "least"), [(1.0, 0.75), (4.0, 3.5), (8.0, 7.3)])
def test_many_runs_bring_the_bound_near_the_truth(epsilon: float, least: float) -> None:
    parameter = gaussian_parameter(epsilon, DELTA)
    found = measure(*scores(np.random.default_rng(5), parameter, 20_000), DELTA, 0.999)
    assert least < epsilon_of(found.parameter_bound, DELTA) <= epsilon
    assert found.parameter.low <= parameter <= found.parameter.high


@pytest.mark.statistical
@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_a_claim_that_is_too_good_is_refuted(epsilon: float) -> None:
    claimed = gaussian_parameter(epsilon, DELTA)
    found = measure(*scores(np.random.default_rng(6), 1.5 * claimed, 4000), DELTA, 0.95)
    assert epsilon_of(found.parameter_bound, DELTA) > epsilon


def test_a_round_without_noise_betrays_the_canary_whatever_the_others_are() -> None:
    without, with_canary = scores(np.random.default_rng(7), 0.01, 1000, rounds=40)
    without[:, 17], with_canary[:, 17] = 0.0, 1.0
    found = measure(without, with_canary, DELTA, 0.95)
    assert found.parameter_bound > 5
    assert found.epsilon(DELTA).low == math.inf


def test_scores_that_do_not_vary_are_no_division_by_zero() -> None:
    same = estimate_parameter(np.ones(10), np.ones(10), 0.95)
    apart = estimate_parameter(np.zeros(10), np.ones(10), 0.95)
    assert (same.value, apart.value) == (0.0, math.inf)
    with pytest.raises(ValueError, match="as many runs"):
        measure(np.zeros((10, 2)), np.zeros((9, 2)), DELTA, 0.95)
