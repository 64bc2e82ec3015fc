"""What an uplift query finds: intervals that cover, and are as wide as was stated, in either noise mode."""

import math
from functools import cache

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.trials import trial, trial_terms
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.uplift import stated_widths
from wardround.server.evaluation.uplift import uplift
from wardround.server.study.uplift_facts import uplift_facts, uplift_lines

_CHANCE = 1e-3
"""Of a test here to fail though all is right."""
DRAWS = 200
RATES, TRUE = (0.19, 0.24), 0.05
FEDERATIONS = {
    "local": {f"h{at}": 400 for at in range(8)},
    "secure": {f"h{at}": 250 + 100 * at for at in range(6)},
}


@cache  # of tests that look at the same draws
def found_over(noise: str, draws: int, scale: float = 1.0, events: int = 1):
    hospitals = FEDERATIONS[noise]
    terms = trial_terms(hospitals, noise, epsilon=0.25)
    return terms, [
        uplift(terms, trial(terms, hospitals, RATES, seed, scale=scale, events=events))
        for seed in range(draws)
    ]


def covered(found, widened: float = 1.0) -> int:
    count = 0
    for one in found:
        (seen,) = one.comparisons
        half = widened * (seen.high - seen.low) / 2
        count += abs(seen.difference.value - TRUE) <= half
    return count


@pytest.mark.statistical
@pytest.mark.parametrize("noise", ["local", "secure"])
def test_intervals_cover_at_their_level_and_two_thirds_of_them_do_not(noise) -> None:
    _, found = found_over(noise, DRAWS)
    assert binomtest(covered(found), DRAWS, 0.95, alternative="less").pvalue > _CHANCE
    assert binomtest(covered(found), DRAWS, 0.95, alternative="greater").pvalue > _CHANCE
    assert binomtest(covered(found, 2 / 3), DRAWS, 0.95, alternative="less").pvalue < _CHANCE


@pytest.mark.statistical
@pytest.mark.parametrize("noise", ["local", "secure"])
def test_more_noise_than_the_terms_state_breaks_the_intervals(noise) -> None:
    _, found = found_over(noise, DRAWS, scale=3.0)
    assert binomtest(covered(found), DRAWS, 0.95, alternative="less").pvalue < _CHANCE


@pytest.mark.statistical
@pytest.mark.parametrize("noise", ["local", "secure"])
def test_all_groups_intervals_hold_together(noise) -> None:
    _, found = found_over(noise, DRAWS)
    together = sum(
        all(one.low is None or one.low <= TRUE <= one.high for one in answer.groups) for answer in found
    )
    assert binomtest(together, DRAWS, 0.95, alternative="less").pvalue > _CHANCE
    assert sum(one.low is not None for answer in found for one in answer.groups) > DRAWS


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_the_width_that_was_stated_is_right_within_a_tenth(noise) -> None:
    terms, found = found_over(noise, 20)
    stated = stated_widths(terms)[0].with_noise
    for one in found:
        (seen,) = one.comparisons
        assert (seen.high - seen.low) / 2 == pytest.approx(stated, rel=0.1)


def test_patients_with_several_events_are_one_each_and_intervals_only_wider_than_need_be() -> None:
    _, found = found_over("secure", 60, events=4)
    errors = [one.comparisons[0].difference.value - TRUE for one in found]
    (seen,) = found[0].comparisons
    error = math.hypot(seen.difference.noise, seen.difference.sampling)
    assert np.std(errors) < error
    assert found[0].arms[0].patients.value == pytest.approx(
        sum(FEDERATIONS["secure"].values()) / 2 * 1.33, rel=0.2
    )


def test_where_there_is_no_difference_it_is_rarely_found_and_arms_fit_their_shares() -> None:
    hospitals = FEDERATIONS["secure"]
    terms = trial_terms(hospitals, "secure", epsilon=0.25)
    found = [uplift(terms, trial(terms, hospitals, (0.2, 0.2), seed)) for seed in range(150)]
    positive = sum(one.comparisons[0].p_value < 0.05 for one in found)
    assert binomtest(positive, 150, 0.05, alternative="greater").pvalue > _CHANCE
    by_group = sum(any(g.p_value is not None and g.p_value < 0.05 for g in one.groups) for one in found)
    assert binomtest(by_group, 150, 0.05, alternative="greater").pvalue > _CHANCE
    assert not any(one.unequal for one in found)


def test_arms_that_are_not_as_large_as_drawn_are_called_a_fault() -> None:
    hospitals = FEDERATIONS["secure"]
    terms = trial_terms(hospitals, "secure")
    drawn = trial_terms(hospitals, "secure", arms={
        "column": "arm", "reference": "standard", "shares": {"standard": 0.4, "personalised": 0.6}})  # fmt: skip
    found = uplift(terms, trial(drawn, hospitals, RATES, 1))
    assert found.unequal
    assert "FAULT: the arms are not as large as they were drawn" in "\n".join(uplift_lines(terms, found))


def test_one_account_is_enough_and_none_is_not() -> None:
    hospitals = FEDERATIONS["secure"]
    terms = trial_terms(hospitals, "secure")
    both = trial(terms, hospitals, RATES, 3)
    one = uplift(terms, {"training": both["training"]})
    assert one.hospitals["held_out"] == ()
    assert one.comparisons[0].difference.sampling > uplift(terms, both).comparisons[0].difference.sampling
    with pytest.raises(ConfigurationError, match="no hospital answered"):
        uplift(terms, {})


def test_what_noise_hides_is_not_stated() -> None:
    hospitals = {"north": 20, "south": 20}
    terms = trial_terms(hospitals, epsilon=0.1)
    found = uplift(terms, trial(terms, hospitals, RATES, 3))
    assert all(one.low is one.p_value is None for one in (*found.comparisons, *found.groups))
    assert "noise, or too few patients, hide it" in "\n".join(uplift_lines(terms, found))


def test_the_answer_says_arms_differences_cost_and_what_was_stated() -> None:
    hospitals = FEDERATIONS["secure"]
    terms = trial_terms(hospitals, "secure")
    found = uplift(terms, trial(terms, hospitals, RATES, 3))
    said, facts = "\n".join(uplift_lines(terms, found)), uplift_facts(terms, found)
    for fact in (
        "6 of 6 hospitals (training patients) and 6 of 6 hospitals (held-out patients) told how outcomes differ",
        "standard: drawn for 50%",
        "personalised − standard: +",
        "personalised − standard, sex F: ",
        "by drawn arm, whatever people then decided",
        "stated beforehand: personalised − standard: ± ",
    ):
        assert fact in said, fact
    assert facts["epsilon"] == {
        "training": pytest.approx(1.0, abs=1e-3),
        "held_out": pytest.approx(1.0, abs=1e-3),
    }
    assert facts["simulation"] is True
    assert len(facts["groups"]) == len(found.groups) == 3
