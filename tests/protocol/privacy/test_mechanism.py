"""The Gaussian mechanism: the clipping bound at every float, the noise's size both ways, the grid."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.mechanism import add_noise, clip_factors, grid_step
from wardround.protocol.privacy.randomness import Keystream, derive_key, gaussians

EXTREMES = [
    0.0,
    5e-324,
    1e-310,
    2.2e-308,
    1e-200,
    0.999999,
    1.0,
    1.0000001,
    1e10,
    1e300,
    1.7976931348623157e308,
]
positive = st.floats(min_value=5e-324, max_value=1.7976931348623157e308)


def streams(count: int, *name: str | int) -> list[Keystream]:
    return [Keystream(derive_key("mechanism", *name, index)) for index in range(count)]


def scale_is_accepted(noise: np.ndarray, stddev: float) -> bool:
    """Whether a two-sided χ² test at level 1e-6 accepts this standard deviation, and a KS test the shape."""
    statistic = float(np.sum((noise / stddev) ** 2))
    tail = min(stats.chi2.cdf(statistic, noise.size), stats.chi2.sf(statistic, noise.size))
    return bool(tail > 5e-7 and stats.kstest(noise / stddev, "norm").pvalue > 1e-6)


@given(st.lists(st.floats(), max_size=20), positive)
def test_clipped_norm_never_exceeds_the_bound(norms: list[float], clip_norm: float) -> None:
    given_norms = np.array(norms, dtype=np.float64)
    factors = clip_factors(given_norms, clip_norm)
    finite = np.isfinite(given_norms)
    assert factors.dtype == np.float64
    assert np.all((factors >= 0) & (factors <= 1))
    assert np.all(factors[finite] * np.abs(given_norms[finite]) <= clip_norm)
    assert np.all(factors[~finite] == 0)


@pytest.mark.parametrize("clip_norm", [5e-324, 1e-300, 1e-3, 1.0, 1e300])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_clipping_at_the_edges_of_floating_point(clip_norm: float, dtype: type) -> None:
    with np.errstate(over="ignore"):
        norms = np.array([*EXTREMES, math.nan, math.inf], dtype=dtype)
    factors = clip_factors(norms, clip_norm)
    usable = np.isfinite(norms)
    assert np.all(factors[usable] * norms[usable].astype(np.float64) <= clip_norm)
    assert np.all(factors[~usable] == 0)
    assert factors[0] == 1


def test_gradients_within_the_bound_are_left_alone_and_others_reach_it() -> None:
    factors = clip_factors(np.array([0.0, 0.3, 1.9, 2.0, 4.0, 2e6]), 2.0)
    assert factors[:3].tolist() == [1, 1, 1]
    assert factors[3:] == pytest.approx([1, 0.5, 1e-6], rel=1e-8)


@settings(max_examples=200)
@given(st.integers(0, 2**31), st.integers(1, 60), st.sampled_from([1e-30, 1e-3, 1.0, 1e3, 1e30]))
def test_true_norm_of_a_clipped_vector_is_within_the_bound(seed: int, length: int, size: float) -> None:
    vector = np.random.default_rng(seed).standard_normal(length) * size
    clipped = vector * clip_factors(np.array([np.sqrt(np.sum(vector**2))]), 1.0)[0]
    assert math.fsum(value**2 for value in clipped) <= 1.0


@pytest.mark.parametrize("clip_norm", [0.0, -1.0, math.inf, math.nan])
def test_clip_norm_out_of_range_is_refused(clip_norm: float) -> None:
    with pytest.raises(ConfigurationError, match="clip_norm"):
        clip_factors(np.ones(2), clip_norm)


@given(st.floats(min_value=1e-270, max_value=1e300))
def test_grid_is_a_power_of_two_near_a_thousandth_of_the_noise(stddev: float) -> None:
    step = grid_step(stddev)
    assert math.frexp(step)[0] == 0.5
    assert stddev / 2048 < step <= stddev / 1024


@pytest.mark.parametrize("stddev", [0.0, -1.0, math.inf, math.nan, 5e-324, 1e-300])
def test_noise_without_a_size_is_refused(stddev: float) -> None:
    with pytest.raises(ConfigurationError, match="noise stddev"):
        add_noise(np.zeros((1, 3)), stddev, streams(1))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.floats(1e-6, 1e6))
def test_a_noised_sum_is_the_nearest_multiple_of_the_grid(values: list[float], stddev: float) -> None:
    step = grid_step(stddev)
    noised = add_noise(np.array([values]), stddev, streams(1))
    exact = np.array([values]) + stddev * gaussians(streams(1), len(values))
    assert np.all(np.abs(noised - exact) <= step / 2 * (1 + 1e-9))
    assert np.all(noised / step == np.rint(noised / step))


@pytest.mark.statistical
@pytest.mark.parametrize("stddev", [16.68, 0.3, 1e-6])
def test_noise_is_accepted_at_its_size_and_rejected_at_others(stddev: float) -> None:
    """Fixed keys; a right implementation fails for one key in a million, a wrong one passes for fewer."""
    sums = np.linspace(-5, 5, 40 * 50).reshape(40, 50) * stddev
    noise = (add_noise(sums, stddev, streams(40, "size")) - sums).ravel()
    assert scale_is_accepted(noise, stddev)
    assert not scale_is_accepted(noise, stddev * 2 / 3)
    assert not scale_is_accepted(noise, stddev * 3 / 2)


@pytest.mark.statistical
def test_noise_is_accepted_and_rejected_at_one_hospital_of_few_parameters() -> None:
    """71 parameters over 30 rounds: the size that the additive model has."""
    rounds = [add_noise(np.zeros((1, 71)), 2.0, streams(1, "few", number))[0] for number in range(30)]
    noise = np.concatenate(rounds)
    assert scale_is_accepted(noise, 2.0)
    assert not scale_is_accepted(noise, 2.0 * 2 / 3)
    assert not scale_is_accepted(noise, 2.0 * 3 / 2)


@pytest.mark.statistical
def test_noise_differs_between_hospitals_and_rounds_and_is_uncorrelated() -> None:
    study = Keystream(derive_key("study"))
    drawn = np.array(
        [
            add_noise(np.zeros((1, 400)), 1.0, [study.child(hospital, number)])[0]
            for hospital in ("north", "south", "west")
            for number in range(5)
        ]
    )
    correlation = np.corrcoef(drawn)
    assert np.all(np.abs(correlation[~np.eye(15, dtype=bool)]) < 6 / 400**0.5)
    assert len(np.unique(drawn, axis=0)) == 15


def test_one_stream_for_two_hospitals_is_refused() -> None:
    stream = streams(1)[0]
    with pytest.raises(ValueError, match="each row needs one of its own"):
        add_noise(np.zeros((2, 3)), 1.0, [stream, stream])
    with pytest.raises(ValueError, match="each row needs one of its own"):
        add_noise(np.zeros((2, 3)), 1.0, [stream])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 700), st.integers(0, 10**6))
def test_a_hospital_in_a_batch_equals_the_hospital_alone(rows: int, columns: int, seed: int) -> None:
    sums = np.random.default_rng(seed).standard_normal((rows, columns)) * 100
    together = add_noise(sums, 3.0, streams(rows, "batch"))
    row = seed % rows
    alone = add_noise(sums[row : row + 1], 3.0, [Keystream(derive_key("mechanism", "batch", row))])
    assert together[row].tobytes() == alone[0].tobytes()


def test_result_lies_on_the_public_grid_whatever_the_sums() -> None:
    noised = add_noise(np.random.default_rng(0).standard_normal((5, 90)) * 1e4, 7.3, streams(5)) / grid_step(
        7.3
    )
    assert np.array_equal(noised, np.rint(noised))


def test_sums_are_not_changed_and_centre_the_noise() -> None:
    sums = np.full((2, 30_000), 1234.5)
    noised = add_noise(sums, 2.0, streams(2, "centre"))
    assert np.all(sums == 1234.5)
    assert noised.mean(axis=1) == pytest.approx([1234.5, 1234.5], abs=5 * 2 / 30_000**0.5)


@pytest.mark.parametrize("fault", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_shows_as_noise_alone(fault: float) -> None:
    sums = np.full((3, 4), 50.0)
    sums[1, 2] = fault
    noised = add_noise(sums, 1.0, streams(3, "fault"))
    assert np.array_equal(noised[1], add_noise(np.zeros((3, 4)), 1.0, streams(3, "fault"))[1])
    assert np.all(np.abs(noised[[0, 2]] - 50) < 9)


def test_no_hospital_and_no_parameter_are_fine() -> None:
    assert add_noise(np.zeros((0, 5)), 1.0, []).shape == (0, 5)
    assert add_noise(np.zeros((2, 0)), 1.0, streams(2)).shape == (2, 0)
