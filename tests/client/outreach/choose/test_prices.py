"""Capacities by prices: against HiGHS, whatever ties there are, and never above a capacity."""

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from wardround.client.outreach.choose.prices import NO_RESOURCE, STANDARD, Allocation, allocate
from wardround.protocol.errors import ConfigurationError


def best_by_highs(value, use, capacity):
    """Give the most that any assignment is worth: the linear program has a whole solution."""
    patient, option = np.nonzero(np.isfinite(value) & (value > 0))
    scarce = use[option] != NO_RESOURCE
    rows = np.concatenate([patient, len(value) + use[option][scarce]])
    columns = np.concatenate([np.arange(len(patient)), np.flatnonzero(scarce)])
    shape = (len(value) + len(capacity), len(patient))
    limits = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    most = np.append(np.ones(len(value)), capacity)
    return -linprog(-value[patient, option], limits, most, method="highs-ipm").fun


def check_fits(found: Allocation, value, use, capacity) -> None:
    """Check that capacities hold, that nothing forbidden was chosen, and that the value is what it says."""
    extra = np.flatnonzero(found.choice != STANDARD)
    worth = value[extra, found.choice[extra]]
    assert (worth > 0).all()
    assert found.value == pytest.approx(worth.sum(), rel=1e-4)
    needed = use[found.choice[extra]]
    used = np.bincount(needed[needed != NO_RESOURCE], minlength=len(capacity))
    assert (used <= capacity).all()
    assert found.value <= found.bound * (1 + 1e-9)


def problem(patients, options, resources, *, digits=9, seed=0):
    rng = np.random.default_rng(seed)
    value = rng.normal(0, 0.1, (patients, options)) + rng.normal(0, 0.1, (patients, 1))
    value = np.round(value, digits)
    value[rng.random(value.shape) < 0.2] = -np.inf
    use = rng.integers(NO_RESOURCE, resources, options)
    return value, use, rng.integers(patients // 20, patients // 5, resources)


@pytest.mark.parametrize("digits", [9, 1])
@pytest.mark.parametrize("seed", range(3))
def test_prices_come_within_half_a_percent_of_highs_also_where_patients_are_equal(digits, seed):
    value, use, capacity = problem(1_000, 12, 3, digits=digits, seed=seed)
    found = allocate(value, use, capacity)
    check_fits(found, value, use, capacity)
    best = best_by_highs(value, use, capacity)
    assert best * 0.995 <= found.value <= best * (1 + 1e-6)
    assert found.bound >= best * (1 - 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("digits", [9, 1])
def test_prices_come_within_half_a_percent_of_highs_at_ten_thousand_patients(digits):
    value, use, capacity = problem(10_000, 20, 4, digits=digits)
    found = allocate(value, use, capacity)
    check_fits(found, value, use, capacity)
    assert found.value >= 0.995 * best_by_highs(value, use, capacity)


@pytest.mark.slow
def test_a_million_patients_and_fifty_options_are_allocated_with_a_certificate():
    rng = np.random.default_rng(0)
    value = rng.standard_normal((1_000_000, 50), np.float32)
    use, capacity = np.arange(50) % 4, np.full(4, 100_000)
    found = allocate(value, use, capacity)
    check_fits(found, value, use, capacity)
    assert found.value >= 0.995 * found.bound


def test_where_there_is_room_for_all_everybody_has_their_best_at_no_price():
    value, use, _ = problem(200, 6, 2)
    found = allocate(value, use, np.array([200, 200]))
    assert found.prices == pytest.approx(0, abs=1e-9)
    wanted = np.where((value > 0).any(axis=1), value.argmax(axis=1), STANDARD)
    assert (found.choice == wanted).all()


def test_room_for_nobody_leaves_the_standard_message():
    value, use, _ = problem(50, 6, 2)
    found = allocate(value, np.abs(use), np.zeros(2, np.int64))
    assert (found.choice == STANDARD).all()
    assert found.value == 0


def test_the_last_place_goes_to_who_loses_most_without_it():
    # The second likes option 0 better, but has another that is nearly as good.
    value = np.array([[0.30, 0.01], [0.31, 0.30]])
    found = allocate(value, np.array([0, NO_RESOURCE]), np.array([1]))
    assert found.choice.tolist() == [0, 1]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nobody_or_nothing_to_choose_is_no_error(shape):
    found = allocate(np.zeros(shape), np.zeros(shape[1], np.int64), np.array([1]))
    assert (found.choice == STANDARD).all()
    assert len(found.choice) == shape[0]


def test_a_value_that_is_no_number_and_a_negative_capacity_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        allocate(np.array([[np.nan]]), np.array([0]), np.array([1]))
    with pytest.raises(ConfigurationError, match=r"capacity\[0\]=-1: must be at least 0"):
        allocate(np.array([[0.1]]), np.array([0]), np.array([-1]))
