"""m: the formula beside all that members can answer, for few members; beside a greedy flow for more."""

from collections import Counter
from itertools import combinations, combinations_with_replacement

import pytest

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.secure_sum.thresholds import Thresholds, default_thresholds


def triples(most: int) -> list[Thresholds]:
    return [
        Thresholds(H, t, q)
        for H in range(3, most + 1)
        for t in range(H - 1)
        for q in range((H + t) // 2 + 1, H + 1)
    ]


def smallest_sum(thresholds: Thresholds) -> int:
    """Try every choice of survivors told to each honest member: the fewest honest ones in a sum that opens."""
    honest = thresholds.hospitals - thresholds.colluding
    needed = thresholds.threshold - thresholds.colluding
    most = min(thresholds.hospitals - thresholds.threshold, honest)
    gone = [set(some) for size in range(most + 1) for some in combinations(range(honest), size)]
    fewest = honest
    for told in combinations_with_replacement(gone, honest):
        out = Counter(member for some in told for member in some)
        excluded = {member for member in range(honest) if out[member] >= needed}
        included = {member for member in range(honest) if honest - out[member] >= needed}
        assert not excluded & included  # never both secrets of one member
        if len(excluded | included) == honest:
            fewest = min(fewest, len(included))
    return fewest


@pytest.mark.parametrize("thresholds", triples(5), ids=str)
def test_m_is_the_smallest_that_any_answers_give(thresholds: Thresholds) -> None:
    assert thresholds.honest_shares == smallest_sum(thresholds) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("thresholds", [one for one in triples(6) if one.hospitals > 5], ids=str)
def test_m_is_the_smallest_that_any_answers_give_with_more_members(thresholds: Thresholds) -> None:
    assert thresholds.honest_shares == smallest_sum(thresholds)


def attack(thresholds: Thresholds, excluded: int) -> bool:
    """Say whether honest members can be told survivors such that so many honest ones are out, the rest in.

    Each excluded member needs ``needed`` voters; each in turn takes those with the most votes left (Gale and
    Ryser: that works whenever anything does).
    """
    honest = thresholds.hospitals - thresholds.colluding
    needed = thresholds.threshold - thresholds.colluding
    left = [thresholds.hospitals - thresholds.threshold] * honest
    for _ in range(excluded):
        left.sort(reverse=True)
        if needed > honest or left[needed - 1] == 0:
            return False
        left[:needed] = [votes - 1 for votes in left[:needed]]
    return True


@pytest.mark.parametrize("hospitals", [6, 12, 20, 26])
def test_m_is_attained_and_never_less(hospitals: int) -> None:
    for thresholds in (one for one in triples(hospitals) if one.hospitals == hospitals):
        most = hospitals - thresholds.colluding - thresholds.honest_shares
        assert attack(thresholds, most)
        assert not attack(thresholds, most + 1)


def test_fewer_helpers_never_make_the_smallest_sum_smaller() -> None:
    for one in triples(40):
        fewer = [Thresholds(one.hospitals, t, one.threshold).honest_shares for t in range(one.colluding + 1)]
        assert fewer == sorted(fewer, reverse=True)
        assert fewer[-1] >= 1
        assert one.honest_shares <= one.shares_for_reader


def test_defaults_hold_for_every_number_of_hospitals() -> None:
    told = {H: default_thresholds(H) for H in range(3, 1001)}
    assert told[3] == Thresholds(3, 1, 3)
    assert told[4] == Thresholds(4, 1, 3)
    assert told[20] == Thresholds(20, 2, 16)
    assert told[81] == Thresholds(81, 8, 65)
    assert told[300] == Thresholds(300, 30, 240)
    assert all(one.threshold < H for H, one in told.items() if H > 3)  # one may drop out
    assert all(one.honest_shares >= 0.6 * H for H, one in told.items() if H >= 5)


@pytest.mark.parametrize(
    ("numbers", "key"),
    [
        ((2, 1, 2), "hospitals=2"),
        ((5, -1, 4), "colluding=-1"),
        ((5, 4, 5), "colluding=4"),
        ((5, 1, 3), "threshold=3: must be from 4 to 5"),
        ((4, 0, 2), "threshold=2: must be from 3"),
        ((5, 1, 6), "threshold=6"),
    ],
)
def test_what_is_impossible_is_refused_in_one_line(numbers: tuple[int, int, int], key: str) -> None:
    with pytest.raises(ConfigurationError, match=key):
        Thresholds(*numbers)


def test_a_threshold_that_is_one_too_low_would_complete_both_secrets_of_a_member() -> None:
    """Why 2 q > H + t: at 2 q = H + t, half of the honest say in and half say out, and both secrets open."""
    hospitals, colluding, threshold = 6, 2, 4
    honest, needed = hospitals - colluding, threshold - colluding
    assert honest // 2 >= needed
    with pytest.raises(ConfigurationError, match="must be from 5"):
        Thresholds(hospitals, colluding, threshold)
