"""Trimmed mean and median: what they estimate, what liars can and cannot do, and what they cost under noise."""

import math

import numpy as np
import pytest
from flwr.serverapp.strategy.fedtrimmedavg import trim_mean
from hypothesis import example, given
from hypothesis import strategies as st

from wardround.protocol.errors import ConfigurationError
from wardround.server.algorithm import robust, rounds
from wardround.server.algorithm.aggregate import begin, mean_scales, noise_gain, release_weights
from wardround.server.algorithm.robust import CUT, cut_of, noise_stddev, trimmed_mean, votes

ROBUST = ("trimmed", "median")
MEDIAN = cut_of("median", 100)
SIZES = {f"h{i}": count for i, count in enumerate([20, 100, 100, 300, 500, 800, 1000, 1500, 2500, 9000])}
sizes = st.lists(st.integers(1, 100_000), min_size=1, max_size=40)


def quantile(values, weights, at, slack):
    """The smallest value with at least ``at`` of the weight at or below it; where a step ties, slack says which."""
    order = np.argsort(values)
    found = np.searchsorted(np.cumsum(weights[order]), at + slack)
    return values[order][min(found, len(values) - 1)]


@pytest.mark.parametrize("count", [10, 20, 45])
def test_with_equal_votes_it_is_flowers_trimmed_mean(count):
    values = np.random.default_rng(count).normal(size=(count, 50))
    equal = np.full(count, 1 / count)
    np.testing.assert_allclose(trimmed_mean(values.T, equal, 0.2), trim_mean(values, 0.2), atol=1e-12)


@pytest.mark.parametrize("count", [3, 4, 9, 10])
def test_with_equal_votes_it_is_the_median_that_flower_takes(count):
    values = np.random.default_rng(count).normal(size=(count, 50))
    equal = np.full(count, 1 / count)
    np.testing.assert_allclose(trimmed_mean(values.T, equal, MEDIAN), np.median(values, axis=0), atol=1e-9)


def test_the_weighted_median_by_hand():
    """Half of the weight lies at or below 3, and half at or above it."""
    means = np.array([[5.0, 1.0, 3.0, 9.0]])
    np.testing.assert_allclose(trimmed_mean(means, np.array([0.3, 0.2, 0.4, 0.1]), MEDIAN), [3.0])
    np.testing.assert_allclose(trimmed_mean(means, np.array([0.25, 0.25, 0.25, 0.25]), MEDIAN), [4.0])


def test_the_weighted_trimmed_mean_by_hand():
    """1 keeps .2 − .1, 3 its .4, 5 its .3, and 9 nothing of its .1."""
    means = np.array([[5.0, 1.0, 3.0, 9.0]])
    left = trimmed_mean(means, np.array([0.3, 0.2, 0.4, 0.1]), 0.1)
    np.testing.assert_allclose(left, [(0.1 * 1 + 0.4 * 3 + 0.3 * 5) / 0.8])


@given(declared=sizes)
def test_votes_follow_size_up_to_the_cut(declared):
    found = votes(np.array(declared))
    most = max(CUT, 1 / len(declared))
    assert found.sum() == pytest.approx(1)
    assert found.max() <= most + 1e-9
    order = np.argsort(declared, kind="stable")
    assert np.all(np.diff(found[order]) >= -1e-12)
    below = found < most - 1e-9
    per_patient = found[below] / np.array(declared)[below]
    assert np.all(per_patient <= (1 + 1e-9) * per_patient.min(initial=1))


@example(declared=[1] * 6, seed=0, cut=MEDIAN, size=1e-3)  # the middle lies on a step of the honest weights
@given(
    declared=st.lists(st.integers(1, 10_000), min_size=5, max_size=30),
    seed=st.integers(0, 2**32 - 1),
    cut=st.sampled_from([CUT, MEDIAN]),
    size=st.sampled_from([1e-3, 1.0, 1e12]),
)
def test_liars_below_the_cut_move_nothing_beyond_the_honest_quantiles(declared, seed, cut, size):
    """Liars are taken at random while their votes stay within the cut; honest values are noise."""
    generator = np.random.default_rng(seed)
    weights = votes(np.array(declared))
    picked = generator.permutation(len(declared))
    liars = picked[np.cumsum(weights[picked]) <= min(cut, 0.49) + 1e-12]
    values = generator.normal(size=len(declared))
    values[liars] = size * generator.choice([-1, 1]) * generator.uniform(1, 2, len(liars))
    found = trimmed_mean(values[None, :], weights, cut)[0]
    honest = np.setdiff1d(np.arange(len(declared)), liars)
    share = weights[liars].sum()
    spread = weights[honest] / (1 - share)
    lowest = quantile(values[honest], spread, max(cut - share, 0) / (1 - share), -1e-5)
    highest = quantile(values[honest], spread, min((1 - cut) / (1 - share), 1.0), 1e-5)
    assert lowest - 1e-9 <= found <= highest + 1e-9


def test_one_liar_steers_the_sum_and_no_robust_rule(make_terms, make_release):
    """The largest hospital holds two thirds of the patients, and sends as much as the screen lets pass."""
    found = {}
    for rule in ("sum", *ROBUST):
        terms = make_terms(aggregate=rule, public_patients=SIZES, noise_multiplier=1e-3)
        aggregate = begin(terms, 4, 1)
        for hospital, count in SIZES.items():
            value = -1.5 if hospital == "h9" else 0.1
            aggregate.add(hospital, np.full(4, np.float32(value * count), np.float64))
        found[rule] = aggregate.gradient()
    assert np.all(found["sum"] < -1)
    for rule in ROBUST:
        np.testing.assert_allclose(found[rule], 0.1, rtol=1e-6)


@pytest.mark.parametrize("rule", ROBUST)
@pytest.mark.parametrize("training", [{"sampling_rate": 0.25}, {"local_steps": 3}])
def test_where_hospitals_agree_every_rule_gives_the_mean_gradient(rule, training, make_terms):
    parameters = 7
    for chosen in ("sum", rule):
        terms = make_terms(aggregate=chosen, public_patients=SIZES, **training)
        aggregate = begin(terms, parameters, 1)
        for hospital, scale in mean_scales(terms).items():
            aggregate.add(hospital, np.arange(parameters) / scale)
        np.testing.assert_allclose(aggregate.gradient(), np.arange(parameters), rtol=1e-6)


@pytest.mark.parametrize("rule", ROBUST)
def test_who_is_missing_makes_the_step_smaller_by_his_vote(rule, make_terms):
    terms = make_terms(aggregate=rule, public_patients=SIZES)
    aggregate = begin(terms, 3, 1)
    for hospital, scale in mean_scales(terms).items():
        if hospital != "h9":
            aggregate.add(hospital, np.ones(3) / scale)
    np.testing.assert_allclose(aggregate.gradient(), 1 - CUT, rtol=1e-6)


@pytest.mark.parametrize("rule", ROBUST)
def test_blocks_of_coordinates_change_nothing(rule, make_terms, monkeypatch):
    found = []
    for block in (2**20, 30):
        monkeypatch.setattr(robust, "_BLOCK", block)
        generator = np.random.default_rng(3)
        aggregate = begin(make_terms(aggregate=rule, public_patients=SIZES), 100, 1)
        for hospital in SIZES:
            aggregate.add(hospital, generator.normal(size=100).astype(np.float32).astype(np.float64))
        found.append(aggregate.gradient())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    "declared", [[500] * 5, [500] * 40, [10, 30, 100, 300, 1000] * 6, list(SIZES.values())]
)
@pytest.mark.parametrize("rule", ROBUST)
def test_the_stated_noise_is_that_of_the_estimate(rule, declared):
    """Other draws of noise give the same within 5 %, which is five times their sampling error."""
    stddevs, weights = 1 / np.array(declared, float), votes(np.array(declared))
    noise = np.random.default_rng(1).normal(size=(20_000, len(declared))) * stddevs
    cut = cut_of(rule, len(declared))
    stated = noise_stddev(stddevs, weights, cut)
    assert stated == pytest.approx(trimmed_mean(noise, weights, cut).std(), rel=0.05)


def test_noise_of_equal_hospitals_is_the_textbooks(make_terms):
    """The median's is √(π/2) of the mean's, and √1.145 where a fifth is cut off at each end."""
    gains = {
        rule: noise_gain(make_terms(aggregate=rule, public_patients={f"h{i}": 50 for i in range(40)}))
        for rule in ("sum", *ROBUST)
    }
    assert gains["sum"] == pytest.approx(1 / (50 * math.sqrt(40)))
    assert gains["median"] / gains["sum"] == pytest.approx(math.sqrt(math.pi / 2), rel=0.03)
    assert gains["trimmed"] / gains["sum"] == pytest.approx(math.sqrt(1.145), rel=0.03)


def test_the_sums_noise_gain_is_that_of_its_weights(make_terms):
    terms = make_terms(public_patients=SIZES, sampling_rate=0.5)
    stated = noise_gain(terms)
    assert stated == pytest.approx(np.linalg.norm(list(release_weights(terms).values())))


@pytest.mark.parametrize("rule", ROBUST)
def test_a_round_with_two_releases_is_discarded(rule, make_terms, make_release):
    terms = make_terms(aggregate=rule)
    state = rounds.init(terms)
    plans = rounds.plans(state, terms)
    after, summary = rounds.apply(state, terms, [make_release(plan, np.ones(6)) for plan in plans[:2]])
    assert summary.discarded == f"2 releases, training.aggregate={rule} needs 3"
    np.testing.assert_array_equal(after.weights, state.weights)
    after, summary = rounds.apply(state, terms, [make_release(plan, np.ones(6)) for plan in plans])
    assert summary.discarded == ""
    assert np.all(after.weights != 0)


def test_the_order_of_arrival_changes_nothing(make_terms, make_release):
    terms = make_terms(aggregate="median", public_patients=SIZES)
    state = rounds.init(terms)
    generator = np.random.default_rng(5)
    releases = [make_release(plan, generator.normal(size=6)) for plan in rounds.plans(state, terms)]
    forward, _ = rounds.apply(state, terms, releases)
    backward, _ = rounds.apply(state, terms, reversed(releases))
    np.testing.assert_allclose(forward.weights, backward.weights, rtol=1e-12)


@pytest.mark.parametrize("rule", ROBUST)
def test_what_makes_no_sense_is_one_clear_line(rule, make_terms):
    with pytest.raises(
        ConfigurationError, match=f"training.aggregate={rule}: must be sum with privacy.noise"
    ):
        make_terms(aggregate=rule, noise="secure")
    with pytest.raises(
        ConfigurationError, match=f"training.aggregate={rule}: needs at least 3 hospitals, here 2"
    ):
        make_terms(aggregate=rule, public_patients={"a": 10, "b": 10})
    many = {f"h{i}": 10 for i in range(1000)}
    with pytest.raises(ConfigurationError, match="holds all releases of a round, 1000 × 2000000 parameters"):
        begin(make_terms(aggregate=rule, public_patients=many), 2_000_000, 1)


def test_rows_that_never_come_cost_no_memory(make_terms):
    """3.2 GB are named and not touched."""
    many = {f"h{i}": 10 for i in range(800)}
    aggregate = begin(make_terms(aggregate="median", public_patients=many), 1_000_000, 1)
    for name in ("h0", "h1", "h2"):
        aggregate.add(name, np.ones(1_000_000))
    assert aggregate.gradient()[0] > 0
