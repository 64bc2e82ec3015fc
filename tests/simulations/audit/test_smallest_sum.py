"""The smallest sum that a lying server can obtain, found as a flow, beside the m that the noise is made for."""

import pytest

from wardround.protocol.secure_sum.thresholds import Thresholds, default_thresholds
from wardround.simulations.audit.smallest_sum import smallest_honest_set


@pytest.mark.parametrize("hospitals", range(3, 13))
def test_the_flow_finds_what_the_accounting_supposes(hospitals: int) -> None:
    for colluding in range(hospitals - 1):
        for threshold in range((hospitals + colluding) // 2 + 1, hospitals + 1):
            supposed = Thresholds(hospitals, colluding, threshold).honest_shares
            assert smallest_honest_set(hospitals, colluding, threshold) == supposed


@pytest.mark.parametrize(("hospitals", "honest"), [(3, 2), (20, 13), (81, 53), (300, 193)])
def test_by_default_as_many_honest_hospitals_as_the_pages_say(hospitals: int, honest: int) -> None:
    told = default_thresholds(hospitals)
    assert smallest_honest_set(hospitals, told.colluding, told.threshold) == honest


def test_below_the_least_threshold_the_flow_leaves_fewer() -> None:
    # 4 members, no helper, q = 2: each of the four can count two as gone, and so all four can be kept out.
    assert smallest_honest_set(4, 0, 2) == 0
    assert smallest_honest_set(4, 0, 3) == 3
