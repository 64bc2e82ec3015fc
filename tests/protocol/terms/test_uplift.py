"""How an uplift query splits its noise, adds two accounts, and says beforehand how exact it will be."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.trials import trial_contract, trial_terms
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.agreement import agreed_variance
from wardround.protocol.terms.query import query_shape
from wardround.protocol.terms.uplift import (
    UpliftScale,
    added_accounts,
    critical_value,
    family_size,
    stated_widths,
    uplift_scale,
)


def of_one_patient(count: float, mean: float) -> float:
    """Give the noise variance of a mean over one patient, for noise of variance 1."""
    return float(UpliftScale(count).noise_of_mean(np.array(mean), np.array(1.0), 1.0))


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.35, 0.5, 0.8])
def test_no_other_scale_of_counts_has_less_noise_at_the_expected_rate(rate) -> None:
    chosen, distance = uplift_scale(trial_contract(rate)).count, max(abs(rate - 0.5), 0.15)
    at = 0.5 + distance
    found = of_one_patient(chosen, at)
    assert found == pytest.approx((0.5 + distance) ** 2)
    assert all(found <= of_one_patient(chosen * factor, at) for factor in (0.5, 0.9, 1.1, 2.0))
    # γ = ½ is what two counts of outcomes 1 and 0 would be.
    assert found <= of_one_patient(0.5, at)


def test_a_rate_that_is_not_as_expected_costs_little() -> None:
    for expected in (0.1, 0.2, 0.5, 0.9):
        count = uplift_scale(trial_contract(expected)).count
        for true in np.linspace(0.02, 0.98, 25):
            assert of_one_patient(count, true) < 2.1 * (0.5 + abs(true - 0.5)) ** 2


@pytest.mark.parametrize(("patients", "noise", "better"), [(4000, 10.0, True), (40, 10.0, False)])
def test_dividing_by_the_noised_count_beats_the_public_share_where_patients_are_many(
    patients, noise, better
) -> None:
    rng, rate, draws = np.random.default_rng(5), 0.2, 4000
    arm = rng.binomial(2 * patients, 0.5, draws)
    ones = rng.binomial(arm, rate)
    scale = uplift_scale(trial_contract(rate))
    sums = ones - 0.5 * arm + noise * scale.length * rng.normal(size=draws)
    counts = arm + noise * scale.length / scale.count * rng.normal(size=draws)
    by_count, by_share = 0.5 + sums / np.maximum(counts, 1.0), 0.5 + sums / patients
    errors = [np.mean((found - rate) ** 2) for found in (by_count, by_share)]
    assert (errors[0] < errors[1]) == better
    if better:
        assert abs(np.mean(by_count) - rate) < 4 * np.std(by_count) / math.sqrt(draws)


def test_two_accounts_are_added_such_that_no_other_public_weight_is_more_exact() -> None:
    for noise, hospitals, each in (("local", 30, 60), ("local", 1, 9000), ("secure", 9, 400)):
        terms = trial_terms({f"h{at}": each for at in range(hospitals)}, noise)
        added = added_accounts(terms, terms.hospitals, terms.hospitals)
        assert added.weights[0] == 1.0
        assert 0 < added.weights[1] <= 1.0
        best = variance_of(terms, added.weights[1])
        assert all(best <= variance_of(terms, added.weights[1] * factor) for factor in (0.3, 0.8, 1.25, 3.0))


def variance_of(terms, weight: float) -> float:
    """Give an arm's variance with this weight of the held-out table, in the table of all."""
    n = sum(terms.training.public_patients.values()) / 2
    noise = len(terms.hospitals) * terms.hospital_noise_stddev(1) ** 2
    rate, scale = 0.2, uplift_scale(terms.contract)
    total = n + weight * n / 3
    by_noise = scale.noise_of_mean(np.array(rate), np.array(total), (1 + weight**2) * noise)
    return rate * (1 - rate) * (n + weight**2 * n / 3) / total**2 + float(by_noise)


def test_one_account_alone_counts_with_all_of_its_weight() -> None:
    terms = trial_terms({"north": 100, "south": 300})
    assert added_accounts(terms, (), ("south",)).weights == (0.0, 1.0)
    assert added_accounts(terms, ("south",), ()) == replace(
        added_accounts(terms, ("south",), ()), patients=300.0, spread=1.0
    )
    with pytest.raises(ConfigurationError, match="no hospital answered"):
        added_accounts(terms, (), ())


def test_what_is_stated_holds_for_every_arm_and_attribute_and_grows_with_the_family() -> None:
    arms = {"column": "arm", "reference": "a", "shares": {"a": 0.4, "b": 0.4, "c": 0.2}}
    terms = trial_terms({f"h{at}": 500 for at in range(6)}, "secure", arms=arms)
    stated = stated_widths(terms)
    assert [(one.arm, one.attribute) for one in stated] == [("b", ""), ("c", ""), ("b", "sex"), ("c", "sex")]
    assert all(one.without < one.with_noise for one in stated)
    assert stated[0].with_noise < stated[1].with_noise < stated[3].with_noise
    assert family_size(terms, groups=True) == 2 * (len(query_shape(terms.contract, terms.query).rows) - 1)
    assert critical_value(1) == pytest.approx(1.96, abs=1e-3)
    assert critical_value(1) < critical_value(6)


def test_tables_that_agree_have_less_noise_each() -> None:
    terms = trial_terms({"north": 100})
    shape = query_shape(terms.contract, terms.query)
    assert (np.diag(agreed_variance(shape)) < 1 / shape.factors**2).all()
