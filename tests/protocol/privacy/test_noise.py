"""A noise mode knows what it does, and what follows for ε, weights, clauses and what may be looked at."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.builders import simulated_terms
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, epsilon_by_adversary
from wardround.protocol.privacy.noise import LOCAL, NOISE_MODES, SECURE, check_noise
from wardround.protocol.terms.cost import epsilon_against, training_events, two_hospitals_epsilon
from wardround.protocol.terms.request import UPDATE
from wardround.server.algorithm.aggregate import reason_to_discard, release_weights


def test_the_modes_are_two_words() -> None:
    assert NOISE_MODES == {"local": LOCAL, "secure": SECURE}


@pytest.mark.parametrize("word", ["central", "distributed", ""])
def test_an_unknown_word_is_one_line(word: str) -> None:
    line = rf"^privacy\.noise={word}: must be one of auto, local, secure$"
    with pytest.raises(ConfigurationError, match=line):
        check_noise(word, "privacy.noise")


def test_local_noise_costs_the_same_against_everyone() -> None:
    terms = simulated_terms()
    (event,) = training_events(terms)
    costs = epsilon_against(terms, UPDATE, event.count)
    assert costs == epsilon_by_adversary([event], 3, terms.privacy.delta)
    assert terms.hospital_noise_stddev(1) == terms.noise_multiplier * terms.privacy.clip_norm


def test_a_secure_sum_costs_each_adversary_by_the_shares_that_it_sees() -> None:
    terms = simulated_terms(noise="secure", noise_multiplier=20.0)
    (event,), delta = training_events(terms), terms.privacy.delta
    costs = epsilon_against(terms, UPDATE, event.count)
    stated = compose_epsilon([event], delta)
    assert list(costs) == ["model", "secure_sum_and_hospitals", "patient_at_two_hospitals", "masks_failed"]
    assert costs["secure_sum_and_hospitals"] == pytest.approx(stated, rel=0.01)
    assert costs["secure_sum_and_hospitals"] <= stated < costs["masks_failed"]
    assert costs["model"] <= costs["secure_sum_and_hospitals"]
    twice = PrivacyEvent(terms.noise_multiplier / 2, 1.0, event.count)
    assert costs["patient_at_two_hospitals"] == pytest.approx(compose_epsilon([twice], delta), rel=0.01)
    assert two_hospitals_epsilon(terms, delta) >= costs["patient_at_two_hospitals"]


@pytest.mark.slow
def test_a_sampled_patient_at_two_hospitals_costs_no_less_than_the_exact_law_of_one_sum() -> None:
    """Both hospitals draw the person by themselves: 0, 1 or 2 clip norms in the sum, told at 1e-4 as 0 before."""
    rate, delta = 1e-4, 1e-4
    terms = simulated_terms(noise="secure", noise_multiplier=0.5, sampling_rate=rate)
    terms = replace(terms, privacy=replace(terms.privacy, delta=delta))
    told = epsilon_against(terms, UPDATE, 1)["patient_at_two_hospitals"]
    multiplier = terms.update_noise(1).shares.multiplier(terms.thresholds.honest_shares)

    def exact(epsilon: float) -> float:
        at, step = np.linspace(-10.0, 12.0, 200_001, retstep=True)
        absent = stats.norm.pdf(at, 0, multiplier)
        drawn = [(1 - rate) ** 2, 2 * rate * (1 - rate), rate**2]
        present = sum(p * stats.norm.pdf(at, k, multiplier) for k, p in enumerate(drawn))
        pairs = ((absent, present), (present, absent))
        return max(float(np.maximum(p - math.exp(epsilon) * q, 0).sum() * step) for p, q in pairs)

    assert exact(0.0) > delta  # so 0 would be false
    assert told > 0
    assert exact(told) <= delta


def test_what_follows_from_shared_noise() -> None:
    terms = simulated_terms(noise="secure")
    assert len(set(release_weights(terms).values())) == 1
    assert reason_to_discard(terms, 2) == "2 of the 3 releases that a sum needs"
    assert reason_to_discard(terms, 3) == ""
    with pytest.raises(ConfigurationError, match=r"must be sum with privacy\.noise=secure"):
        simulated_terms(noise="secure", aggregate="median")
    with pytest.raises(ConfigurationError, match=r"must be 1 with privacy\.noise=secure"):
        simulated_terms(noise="secure", local_steps=2)
