"""s², its parts and multipliers: safe sides, a second accountant, and the two lemmas by direct summation."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, independent_epsilon
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.secure_sum.discrete_gaussian import discrete_gaussian
from wardround.protocol.secure_sum.grid import sum_grid
from wardround.protocol.secure_sum.noise_shares import (
    NoiseShares,
    SumSensitivity,
    integer_sensitivity,
    log_closeness,
    noise_shares,
    rounded_sensitivity,
)
from wardround.protocol.secure_sum.thresholds import Thresholds, default_thresholds

hospitals = st.integers(3, 300)
multipliers = st.floats(0.05, 1e4)


def study(H: int, sigma: float, clip: float = 1.0, dimension: int = 200) -> NoiseShares:
    thresholds = default_thresholds(H)
    grid = sum_grid(clip, sigma, dimension, H, thresholds.honest_shares)
    return noise_shares(thresholds, sigma, rounded_sensitivity(clip, grid.exponent, dimension), grid.exponent)


@given(hospitals, multipliers, st.floats(1e-3, 1e3), st.integers(1, 10**6))
def test_the_smallest_sum_has_the_multiplier_that_is_charged(
    H: int, sigma: float, clip: float, d: int
) -> None:
    noise = study(H, sigma, clip, d)
    m = noise.thresholds.honest_shares
    exact = (m * noise.variance - Fraction(25, 4)) / noise.sensitivity**2
    assert exact >= Fraction(sigma) ** 2
    assert Fraction(noise.multiplier(m)) ** 2 <= exact
    assert noise.multiplier(m) <= sigma * 1.01  # no more noise than needed
    assert noise.variance >= 64**2
    less = NoiseShares(noise.thresholds, noise.variance - 1, noise.sensitivity)
    still = (m * less.variance - Fraction(25, 4)) / noise.sensitivity**2 >= Fraction(sigma) ** 2
    assert noise.variance == 64**2 or not still


@given(hospitals, multipliers)
def test_adversaries_in_their_order(H: int, sigma: float) -> None:
    noise = study(H, sigma)
    told = noise.multipliers()
    assert told["model"] >= told["secure_sum_and_hospitals"] > told["masks_failed"]
    assert told["patient_at_two_hospitals"] == pytest.approx(told["secure_sum_and_hospitals"] / 2)
    # One share is *less* than the root says: the 2.5² is paid once per sum.
    root = told["secure_sum_and_hospitals"] / math.sqrt(noise.thresholds.honest_shares)
    assert told["masks_failed"] <= root
    assert told["masks_failed"] == pytest.approx(root, rel=8e-4)


def test_the_unmasked_guarantee_is_that_of_one_share_and_not_the_root_of_m() -> None:
    """At s = 64 the root of m would state 0.08 % too little."""
    noise = NoiseShares(Thresholds(81, 8, 65), 64**2, Fraction(100))
    assert noise.multiplier(1) == pytest.approx(math.sqrt(64**2 - 6.25) / 100)
    assert noise.multiplier(53) / math.sqrt(53) > noise.multiplier(1) * 1.0007


def test_unmasked_epsilon_at_the_default() -> None:
    """DESIGN's figures: at epsilon 1 (delta 1e-5) 9.7 for 81 hospitals; a second accountant beside it."""
    sigma = 3.7304  # epsilon 1
    noise = study(81, sigma, dimension=20)
    event = [PrivacyEvent(noise.multipliers()["masks_failed"])]
    assert compose_epsilon([PrivacyEvent(sigma)], 1e-5) == pytest.approx(1.0, abs=1e-3)
    assert compose_epsilon(event, 1e-5) == pytest.approx(9.7, abs=0.1)
    assert compose_epsilon(event, 1e-5) <= independent_epsilon(event, 1e-5)


@pytest.mark.parametrize(
    ("thresholds", "ratio"),
    [((3, 1, 3), 3 / 2), ((20, 2, 16), 20 / 13), ((81, 8, 65), 81 / 53)],
)
def test_noise_of_all_beside_one_trusted_server(thresholds: tuple[int, int, int], ratio: float) -> None:
    noise = noise_shares(Thresholds(*thresholds), 5.0, integer_sensitivity(1.0), -20)
    trusted = (5.0 * 2**20) ** 2
    assert thresholds[0] * noise.variance / trusted == pytest.approx(ratio, rel=1e-6)


def test_the_parts_of_the_sensitivity() -> None:
    assert integer_sensitivity(0.1).total == Fraction(0.1)
    parts = rounded_sensitivity(0.5, -10, 2, terms=1000)
    assert parts.clip == Fraction(1, 2)
    assert (parts.grid * 1024) ** 2 > 2  # rounded up
    assert float(parts.grid) == pytest.approx(math.sqrt(2) / 1024)
    assert parts.order == 2 * 10**6 * 16 * Fraction(1, 2) / 2**53
    assert parts.total == parts.clip + parts.grid + parts.order
    with pytest.raises(ConfigurationError, match="events added in float64"):
        rounded_sensitivity(1.0, 0, 2, terms=2**26 + 1)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_a_multiplier_must_be_positive_and_finite(sigma: float) -> None:
    with pytest.raises(ConfigurationError, match="noise_multiplier"):
        noise_shares(Thresholds(3, 1, 3), sigma, SumSensitivity(Fraction(1)), -10)


def test_a_grid_too_fine_for_the_noise_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="coarser"):
        noise_shares(Thresholds(3, 1, 3), 10.0, SumSensitivity(Fraction(1)), -40)


def discrete(variance: float, reach: int = 60) -> np.ndarray:
    weights = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * variance))
    return weights / weights.sum()


@pytest.mark.parametrize("shares", [2, 3, 6])
@pytest.mark.parametrize("variance", [0.3, 0.5, 0.8])
def test_sums_are_within_tau_of_the_discrete_gaussian(shares: int, variance: float) -> None:
    """Kairouz, Liu and Steinke 2021, where τ is large enough to be seen (s² from 1/4), by convolution."""
    total = discrete(variance)
    for _ in range(shares - 1):
        total = np.convolve(total, discrete(variance))
    ideal = discrete(shares * variance, (len(total) - 1) // 2)
    seen = ideal > 1e-12
    worst = float(np.abs(np.log(total[seen] / ideal[seen])).max())
    tau = math.exp(log_closeness(1, variance, shares))  # type: ignore[arg-type]
    assert worst <= tau
    assert worst > tau / 200 or worst < 1e-9  # not an empty bound


def test_tau_is_nothing_at_the_least_noise() -> None:
    assert log_closeness(10**14, 64**2, 1000) < -17_000 * math.log(10)
    assert log_closeness(1, 64**2, 1) == -math.inf
    assert log_closeness(7, 5, 4) == pytest.approx(log_closeness(1, 5, 4) + math.log(7))


def test_rounding_at_random_costs_its_variance_and_no_more() -> None:
    """Peikert 2010 at r² = 0.5, where the error can be seen: within 1 ± 2 exp(-2π² r²), and twice for the constant."""
    continuous, rounding = 2.0, 0.5
    z, x = np.arange(-12, 13.0), np.linspace(-16, 16, 40_001)
    kernel = np.exp(-((np.arange(-30, 31.0)[:, None] - x) ** 2) / (2 * rounding)).sum(axis=0)
    density = stats.norm.pdf(x, scale=math.sqrt(continuous))
    law = [(density * np.exp(-((v - x) ** 2) / (2 * rounding)) / kernel).sum() * (x[1] - x[0]) for v in z]
    ideal = discrete(continuous + rounding, 12)
    error = 2 * math.exp(-2 * math.pi**2 * rounding)
    assert np.abs(np.array(law) / ideal - 1).max() < 3 * error
    assert 2 * 2 * math.exp(-2 * math.pi**2 * 6.25) * 1e14 < 2.0**-127


@pytest.mark.parametrize(
    ("variance", "shares", "units"), [(64**2, 2, 24), (64**2, 53, 470), (70**2, 1, 20), (64**2, 1, 60)]
)
def test_stated_epsilon_is_that_of_the_discrete_law_from_above(
    variance: int, shares: int, units: int
) -> None:
    """Google's privacy loss distribution of the discrete Gaussian itself: within 1 % and never above."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    noise = NoiseShares(Thresholds(81, 8, 65), variance, Fraction(units))
    stated = compose_epsilon([PrivacyEvent(noise.multiplier(shares))], 1e-5)
    law = pld.from_discrete_gaussian_mechanism(
        math.sqrt(shares * variance), sensitivity=units, value_discretization_interval=1e-5
    )
    exact = law.get_epsilon_for_delta(1e-5)
    assert exact <= stated * (1 + 2e-4)  # it is pessimistic itself: by its grid
    assert stated <= exact * 1.01


@pytest.mark.statistical
def test_noise_of_the_smallest_sum_is_accepted_at_sigma_and_rejected_at_two_thirds() -> None:
    """m shares alone, as a lying server sees them whose helpers add none. Fixed keys; level 1e-3."""
    noise = study(20, 4.0, dimension=50)
    m = noise.thresholds.honest_shares
    streams = [Keystream(derive_key("share", i)) for i in range(m)]
    total = sum(discrete_gaussian(one, noise.variance, 20_000) for one in streams)
    scaled = np.asarray(total) / float(noise.sensitivity)
    assert stats.kstest(scaled, stats.norm(scale=4.0).cdf).pvalue > 1e-3
    assert stats.kstest(scaled, stats.norm(scale=4.0 * 2 / 3).cdf).pvalue < 1e-9
