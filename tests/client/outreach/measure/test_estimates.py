"""Estimates agree with statsmodels, scipy, published tables and closed forms."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import chisquare, norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

from wardround.client.outreach.measure.difference import difference_in_means, mean_of_each, pairs
from wardround.client.outreach.measure.planned import PlannedLooks, boundaries, spent
from wardround.client.outreach.measure.sample_ratio import ratio_p_value
from wardround.client.outreach.measure.sequence import AnytimeLooks, narrowest_critical
from wardround.client.outreach.measure.size import (
    final_critical,
    mean_variance,
    patients_needed,
    planned_error,
)
from wardround.protocol.multiple import holm


def test_a_difference_and_its_error_are_those_of_least_squares_with_robust_errors() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random(80), rng.beta(2, 5, 130)
    found = difference_in_means(first, second)
    arm = sm.add_constant(np.r_[np.ones(80), np.zeros(130)])
    fitted = sm.OLS(np.r_[first, second], arm).fit(cov_type="HC2")
    assert found.difference == pytest.approx(fitted.params[1])
    assert found.standard_error == pytest.approx(fitted.bse[1])
    assert found.patients == (80, 130)


def test_patients_are_clusters_and_not_their_rows() -> None:
    rng = np.random.default_rng(2)
    size, patients = 5, 400
    who = np.repeat(np.arange(patients), size)
    outcomes = np.repeat(rng.random(patients), size) + 0.01 * rng.random(len(who))
    ids, means = mean_of_each(who, outcomes)
    found = difference_in_means(means[ids % 2 == 1], means[ids % 2 == 0])
    arm = sm.add_constant((who % 2).astype(float))
    clustered = sm.OLS(outcomes, arm).fit(
        cov_type="cluster", cov_kwds={"groups": who, "use_correction": False}
    )
    by_row = sm.OLS(outcomes, arm).fit(cov_type="HC2")
    assert found.standard_error == pytest.approx(clustered.bse[1], rel=0.01)
    assert found.standard_error > 2 * by_row.bse[1]


def test_too_few_patients_state_nothing() -> None:
    few = difference_in_means(np.ones(29), np.zeros(500))
    assert not few.enough
    assert not difference_in_means(np.array([]), np.zeros(40)).enough
    assert not difference_in_means(np.ones(40), np.ones(40)).enough  # no outcome differs
    assert difference_in_means(np.arange(30.0), np.zeros(500)).enough


def test_every_pair_is_compared_and_the_primary_one_first() -> None:
    assert pairs(("a", "b", "c"), ("a", "c")) == (("a", "c"), ("b", "a"), ("c", "b"))


@pytest.mark.slow
def test_holm_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(3)
    for size in range(1, 9):
        p_values = rng.random(size) ** 3
        assert holm(list(p_values)) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_planned_boundaries_are_the_published_ones() -> None:
    # O'Brien–Fleming-type spending, five equal looks, two-sided 0.05 (ldbounds, gsDesign: sfLDOF).
    steps = [0.2, 0.4, 0.6, 0.8, 1.0]
    found = boundaries(steps, [spent(step, 0.05) for step in steps])
    assert found == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)
    assert boundaries([7], [0.05]) == pytest.approx([norm.isf(0.025)])


def test_a_planned_p_value_is_the_level_at_which_the_interval_excludes_zero() -> None:
    looks = PlannedLooks((100, 250, 300), (1 / 3, 5 / 6, 1.0))
    for level in (0.001, 0.05, 0.3):
        p_value = looks.p_value(looks.critical(1.0, level), 1.0)
        assert level <= p_value * 1.0001 <= level * 1.011
    assert looks.p_value(0.0, 1.0) == 1.0


def test_a_sequence_is_narrowest_where_it_was_planned_and_its_p_value_is_its_level() -> None:
    looks = AnytimeLooks(0.01, 0.05)
    widths = {
        error: looks.critical(error, 0.05) for error in (0.005, 0.009, 0.0099, 0.01, 0.0101, 0.011, 0.02)
    }
    assert min(widths, key=lambda error: widths[error]) == 0.01
    assert widths[0.01] == pytest.approx(narrowest_critical(0.05)) == pytest.approx(3.0351, abs=1e-4)
    for level in (0.001, 0.05, 0.3):
        assert looks.p_value(looks.critical(0.02, level), 0.02) == pytest.approx(level)
    assert looks.p_value(0.0, 0.02) == 1.0


def test_the_size_is_that_of_statsmodels() -> None:
    variance, critical = 0.21, float(norm.isf(0.025))
    found = patients_needed(0.05, (variance, variance), (0.25, 0.5), critical, 0.9)
    # Of an arm of a quarter; the other is twice as large.
    wanted = NormalIndPower().solve_power(0.05 / math.sqrt(variance), alpha=0.05, power=0.9, ratio=2.0)
    assert found == pytest.approx(4 * wanted, rel=1e-3)
    error = planned_error(found, (variance, variance), (0.25, 0.5))
    assert norm.sf(critical - 0.05 / error) == pytest.approx(0.9, abs=1e-3)


def test_looks_cost_patients() -> None:
    one, five, any_time = final_critical(0.05, 1), final_critical(0.05, 5), final_critical(0.05, None)
    assert one == pytest.approx(norm.isf(0.025))
    assert one < five < any_time
    patients = [patients_needed(0.1, (0.2, 0.2), (0.5, 0.5), critical, 0.9) for critical in (one, any_time)]
    assert patients[1] / patients[0] == pytest.approx(1.77, abs=0.01)


@pytest.mark.parametrize(("outcomes", "correlation"), [(1, 0.0), (3, 0.0), (3, 0.4), (3, 1.0)])
def test_the_variance_of_a_patients_mean_is_that_of_correlated_outcomes(
    outcomes: int, correlation: float
) -> None:
    rng = np.random.default_rng(4)
    # With chance ρ an outcome is the patient's own, the same each time: correlation ρ² between two of them.
    own = rng.random((200_000, outcomes)) < math.sqrt(correlation)
    same = np.broadcast_to(rng.random((200_000, 1)) < 0.3, own.shape)
    yes = np.where(own, same, rng.random(own.shape) < 0.3)
    assert mean_variance(0.3, outcomes, correlation) == pytest.approx(float(np.var(yes.mean(1))), rel=0.03)


def test_the_sample_ratio_is_found_wrong_where_it_is_and_seldom_otherwise() -> None:
    shares = (0.5, 0.3, 0.2)
    assert ratio_p_value((5000, 3000, 2000), shares) == 1.0
    assert ratio_p_value((5200, 2800, 2000), shares) < 0.01
    counts = (5100, 2950, 1950)
    # Looking at will costs: it is never below the test for one look.
    assert ratio_p_value(counts, shares) > chisquare(counts, [5000, 3000, 2000]).pvalue


@pytest.mark.statistical  # the bound is Ville's; 400 runs pass it by chance in all but one of 10,000
def test_the_sample_ratio_holds_at_every_look_together() -> None:
    rng, shares, alarms = np.random.default_rng(5), (0.5, 0.25, 0.25), 0
    for _ in range(400):
        weeks = np.cumsum(rng.multinomial(40, shares, 50), axis=0)
        alarms += any(ratio_p_value(tuple(map(int, week)), shares) < 0.05 for week in weeks)
    assert alarms <= 38
