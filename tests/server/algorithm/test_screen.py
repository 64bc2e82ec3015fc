"""Every bad release is refused for its own reason; honest ones pass up to the bound."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from wardround.protocol.errors import ReleaseRejected
from wardround.server.algorithm.rounds import init, plans
from wardround.server.algorithm.screen import (
    COUNT_SLACK,
    FALSE_ALARM_RATE,
    expect,
    gaussian_norm_bound,
    norm_bound,
    sampled_patients_bound,
    screen,
)


def screening(terms):
    plan = plans(init(terms), terms)[0]
    return plan, expect(terms, plan.round, plan.weights_digest, len(plan.weights))


BAD = {
    "wrong study": {"study": "coffee"},
    "unknown hospital": {"hospital": "elsewhere"},
    "wrong round": {"round": 2},
    "wrong terms": {"terms_fingerprint": "0" * 64},
    "wrong weights": {"weights_digest": "0" * 64},
    "wrong dtype": {"vector": np.zeros(6)},
    "wrong shape": {"vector": np.zeros(7, np.float32)},
    "not finite": {"vector": np.array([0, 0, math.nan, 0, 0, 0], np.float32)},
    "norm out of bound": {"vector": np.full(6, 1e12, np.float32)},
}


@pytest.mark.parametrize("reason", BAD)
def test_each_fault_is_named(reason, make_terms, make_release):
    plan, expected = screening(make_terms())
    with pytest.raises(ReleaseRejected, match=reason) as caught:
        screen(replace(make_release(plan), **BAD[reason]), expected, {})
    assert caught.value.reason == reason


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_infinities_are_not_finite(value, make_terms, make_release):
    plan, expected = screening(make_terms())
    with pytest.raises(ReleaseRejected, match="not finite"):
        screen(make_release(plan, [value] + [0] * 5), expected, {})


def test_a_matrix_of_the_right_size_is_refused(make_terms, make_release):
    plan, expected = screening(make_terms())
    with pytest.raises(ReleaseRejected, match="wrong shape"):
        screen(make_release(plan, np.zeros((2, 3))), expected, {})


def test_second_release_of_a_hospital_is_refused(make_terms, make_release):
    plan, expected = screening(make_terms())
    with pytest.raises(ReleaseRejected, match="repeated"):
        screen(make_release(plan), expected, {"north"})


def test_a_real_study_refuses_what_seeds_produced(make_terms, make_release):
    terms = replace(make_terms(), simulation=False)
    plan, expected = screening(terms)
    with pytest.raises(ReleaseRejected, match="simulated"):
        screen(make_release(plan), expected, {})
    screen(make_release(plan, simulation=False), expected, {})


def test_what_passes_is_a_float64_copy(make_terms, make_release):
    plan, expected = screening(make_terms())
    release = make_release(plan, np.arange(6))
    vector = screen(release, expected, {})
    vector += 1
    assert vector.dtype == np.float64
    np.testing.assert_array_equal(release.vector, np.arange(6))


@pytest.mark.parametrize(("factor", "passes"), [(0.999, True), (1.001, False)])
@pytest.mark.parametrize("training", [{}, {"local_steps": 5}, {"sampling_rate": 0.1}])
def test_the_bound_is_where_it_is_said_to_be(factor, passes, training, make_terms, make_release):
    plan, expected = screening(make_terms(**training))
    direction = np.array([3, 0, -4, 0, 0, 0]) / 5
    release = make_release(plan, direction * factor * norm_bound(expected, plan.hospital))
    if passes:
        screen(release, expected, {})
    else:
        with pytest.raises(ReleaseRejected, match="norm"):
            screen(release, expected, {})


@pytest.mark.parametrize("parameters", [1, 7, 300, 100_000])
def test_gaussian_bound_holds_at_its_rate_and_is_not_loose(parameters):
    bound = gaussian_norm_bound(2.0, parameters)
    assert stats.chi2.sf((bound / 2.0) ** 2, parameters) <= FALSE_ALARM_RATE
    assert stats.chi2.sf((0.8 * bound / 2.0) ** 2, parameters) > FALSE_ALARM_RATE


@pytest.mark.parametrize("declared", [1, 10, 300, 20_000])
@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 1.0])
def test_sampled_patients_bound_holds_at_its_rate(declared, rate):
    patients = math.floor(COUNT_SLACK * declared)
    bound = sampled_patients_bound(declared, rate)
    assert bound <= COUNT_SLACK * declared
    assert stats.binom.sf(math.floor(bound), patients, rate) <= FALSE_ALARM_RATE


def test_noise_of_several_steps_grows_by_their_root(make_terms):
    def bound(steps):
        terms = make_terms(local_steps=steps, noise_multiplier=1e6)
        _, expected = screening(terms)
        return norm_bound(expected, "north")

    assert bound(64) / bound(4) == pytest.approx(4, rel=0.01)


def test_honest_several_step_difference_passes(make_terms, make_release):
    """Worst honest case: every patient's gradient at the clip norm, all in one direction, plus noise."""
    terms = make_terms(local_steps=20, local_learning_rate=0.3, noise_multiplier=5.0)
    plan, expected = screening(terms)
    generator = np.random.default_rng(1)
    patients, weights = 149, np.zeros(6)
    for _ in range(20):
        noise = generator.normal(0, terms.hospital_noise_stddev(1), 6)
        weights -= 0.3 / 100 * (patients * np.eye(6)[0] + noise)
    screen(make_release(plan, weights), expected, {})
    with pytest.raises(ReleaseRejected, match="norm"):
        screen(make_release(plan, 2 * weights), expected, {})
