"""Intervals hold the truth as often as they say; the whole of it is ``make bench-outreach``."""

from functools import partial

import pytest
from scipy.stats import binomtest

from wardround.simulations.bench.coverage import (
    KINDS,
    NORMAL,
    coverage,
    covered_explored,
    covered_once,
    covered_weekly,
)

EXACT = ("difference in means", "planned looks, weekly", "doubly robust")
AT_LEAST = (*EXACT, "confidence sequence, weekly")
_CHANCE = 1e-4  # that a test here fails although the intervals are right


@pytest.mark.statistical
@pytest.mark.parametrize("kind", AT_LEAST)
def test_intervals_hold_the_truth_as_often_as_they_say(kind: str) -> None:
    count = coverage(150, 11, KINDS[kind])
    assert binomtest(count, 150, 0.95, alternative="less").pvalue > _CHANCE


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("kind", AT_LEAST)
def test_coverage_over_two_thousand_runs(kind: str) -> None:
    count = coverage(2000, 1, KINDS[kind])
    side = "two-sided" if kind in EXACT else "less"  # a sequence holds for looks without end: it may be wider
    assert binomtest(count, 2000, 0.95, alternative=side).pvalue > _CHANCE


@pytest.mark.statistical
@pytest.mark.parametrize(
    "fault", ["a plain interval at each look", "two thirds of the width", "wrong chances"]
)
def test_what_is_wrong_is_found(fault: str) -> None:
    covered = {
        "a plain interval at each look": lambda rng: covered_weekly(rng, lambda *_: NORMAL),
        "two thirds of the width": partial(covered_once, critical=2 / 3 * NORMAL),
        "wrong chances": partial(covered_explored, broken=True),
    }[fault]
    count = coverage(150, 12, covered)
    assert binomtest(count, 150, 0.95, alternative="less").pvalue < _CHANCE
