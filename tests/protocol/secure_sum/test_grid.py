"""The grid: sensitivity of what it gives, clamping, never an error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.mechanism import MOST_PATIENTS
from wardround.protocol.secure_sum.grid import Grid, decode, encode_patients, encode_sum, sum_grid

GRID = Grid(-10, 10**6, 1024)
seeds = st.integers(0, 2**32 - 1)


def vectors(seed: int, patients: int, dimension: int = 5) -> np.ndarray:
    """Patients with norms up to 1, the grid's clip norm."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(patients, dimension))
    return rows / np.maximum(1.0, np.linalg.norm(rows, axis=1, keepdims=True))


@given(seeds, st.integers(0, 30))
def test_a_patient_moves_truncated_sums_by_at_most_the_clip_norm(seed: int, patients: int) -> None:
    rows = vectors(seed, patients + 1)
    without, added = encode_patients([rows[1:]], 5, GRID), encode_patients([rows], 5, GRID)
    assert np.linalg.norm(added - without) <= 1024


@given(seeds, st.integers(2, 30))
def test_truncated_sums_do_not_depend_on_order_or_batches(seed: int, patients: int) -> None:
    rows = vectors(seed, patients)
    turned = encode_patients([rows[::-1][:1], rows[::-1][1:]], 5, GRID)
    assert np.array_equal(encode_patients([rows], 5, GRID), turned)


def test_truncation_is_toward_zero_for_each_patient() -> None:
    rows = np.array([[0.9, -0.9], [0.9, -0.9], [-0.2, 0.2]]) / 1024
    assert encode_patients([rows], 2, GRID).tolist() == [0, 0]
    assert encode_patients([], 3, GRID).tolist() == [0, 0, 0]
    assert encode_patients([np.array([[1.9, -1.9]]) / 1024], 2, GRID).tolist() == [1, -1]


@given(seeds)
def test_rounding_to_nearest_can_make_a_vector_longer_and_truncation_cannot(seed: int) -> None:
    """Why the rounded sum's sensitivity holds g √d and the truncated one's does not."""
    row = vectors(seed, 1, 40)
    assert np.linalg.norm(encode_patients([row], 40, GRID)) <= np.linalg.norm(row) * 1024


def test_rounding_to_nearest_does_make_vectors_longer() -> None:
    row = np.full(100, 0.6 / 1024)
    assert np.linalg.norm(encode_sum(row, GRID)) > 1.6 * np.linalg.norm(row) * 1024


@given(seeds, st.floats(0, 4))
def test_rounded_sums_are_no_further_apart_than_counted(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    one = rng.normal(size=20) * 10**scale
    step = rng.normal(size=20)
    other = one + step / np.linalg.norm(step)
    apart = np.linalg.norm((encode_sum(one, GRID) - encode_sum(other, GRID)).astype(float))
    assert apart <= (np.linalg.norm(one - other) + GRID.step * 20**0.5) / GRID.step * (1 + 1e-12)


@pytest.mark.parametrize(
    ("value", "integer"),
    [
        (1e300, 10**6),
        (-1e300, -(10**6)),
        (np.inf, 10**6),
        (-np.inf, -(10**6)),
        (np.nan, 0),
        (10**6 / 1024, 10**6),
        ((10**6 + 1) / 1024, 10**6),
        (5e-324, 0),
        (-0.0, 0),
    ],
)
def test_out_of_range_is_clamped_and_never_an_error(value: float, integer: int) -> None:
    assert encode_sum(np.array([value]), GRID).tolist() == [integer]
    held = encode_patients([np.array([[value]])], 1, GRID)
    assert abs(int(held[0])) <= GRID.clip_units


def test_the_largest_limit_is_held_exactly() -> None:
    grid = Grid(0, 2**62, 2**39)
    assert encode_sum(np.array([1e30, -1e30]), grid).tolist() == [2**62, -(2**62)]
    odd = Grid(0, 2**62 - 1, 2**39)
    assert encode_sum(np.array([2.0**62]), odd).tolist() == [2**62 - 1]


@given(
    st.floats(1e-9, 1e9),
    st.floats(0.05, 1e5),
    st.integers(1, 2**24),
    st.integers(3, 1000),
    st.integers(1, 900),
)
def test_a_study_s_grid_is_fine_enough_and_fits(
    clip: float, sigma: float, dimension: int, hospitals: int, shares: int
) -> None:
    grid = sum_grid(clip, sigma, dimension, hospitals, shares)
    steps = sigma * clip / shares**0.5 / grid.step
    assert 64 * (1 - 1e-12) <= steps <= 2**29 * (1 + 1e-12)
    assert grid.step * dimension**0.5 <= clip / 1024 * (1 + 1e-12) or steps * (1 + 1e-12) >= 2**28
    assert hospitals * grid.limit <= 2**62
    assert grid.clip_units * grid.step <= clip < (grid.clip_units + 1) * grid.step
    assert MOST_PATIENTS * grid.clip_units <= 2**62


def test_decode_gives_the_unit_of_the_sum_back() -> None:
    values = np.array([0.5, -3.25, 1 / 1024])
    assert decode(encode_sum(values, GRID), GRID).tolist() == values.tolist()


@pytest.mark.parametrize(
    "numbers", [(-901, 1, 1), (901, 1, 1), (0, 0, 1), (0, 2**62 + 1, 1), (0, 1, 0), (0, 1, 2**40)]
)
def test_a_grid_out_of_range_is_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigurationError):
        Grid(*numbers)


def test_more_patients_than_a_hospital_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardround.protocol.secure_sum.grid.MOST_PATIENTS", 3)
    with pytest.raises(ValueError, match="more than 3 patients"):
        encode_patients([np.zeros((2, 1)), np.zeros((2, 1))], 1, GRID)
