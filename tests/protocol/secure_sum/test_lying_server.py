"""What a lying server can compute, by linear algebra over unknown masks: one sum at most, of m honest members or more.

Every choice of survivors told to each honest member, of labels (two plans for one slot), and of members kept from
sending. A mask is an unknown number until its secret is complete.
"""

from collections.abc import Iterator
from itertools import combinations, combinations_with_replacement, product

import numpy as np
import pytest

from wardround.protocol.secure_sum.seal import ShareKind
from wardround.protocol.secure_sum.survivors import check_survivors, wanted_kind
from wardround.protocol.secure_sum.thresholds import Thresholds

State = tuple[str, str]
"""Of an honest member: the label it answers under, and the one under which it sent a release, empty for none."""


def told(thresholds: Thresholds) -> list[frozenset[int]]:
    """Every set of survivors that an honest member accepts; helpers (the last indices) are in, which only helps."""
    honest = thresholds.hospitals - thresholds.colluding
    most = min(thresholds.hospitals - thresholds.threshold, honest)
    sets = []
    for size in range(most + 1):
        for gone in combinations(range(1, honest + 1), size):
            sets.append(
                check_survivors(sorted(set(range(1, thresholds.hospitals + 1)) - set(gone)), thresholds)
            )
    return sets


def learned(thresholds: Thresholds, answers: list[frozenset[int]], states: list[State]) -> list[np.ndarray]:
    """Give a basis of the combinations of honest releases from which every mask can be taken out."""
    honest = len(states)
    needed = thresholds.threshold - thresholds.colluding

    def complete(member: int, kind: ShareKind) -> bool:
        opens = [
            kind is ShareKind.SLOT_KEY or answers_under == states[member - 1][1]
            for answers_under, _ in states
        ]
        givers = [
            wanted_kind(member, survivors) is kind and opened
            for survivors, opened in zip(answers, opens, strict=True)
        ]
        return sum(givers) >= needed

    out = [complete(i + 1, ShareKind.SLOT_KEY) for i in range(honest)]
    inside = [complete(i + 1, ShareKind.SEED) for i in range(honest)]
    sent = [i for i in range(honest) if states[i][1]]
    rows = []
    for i in sent:
        if not inside[i]:
            rows.append([1.0 if j == i else 0.0 for j in sent])
    for label in {sent_under for _, sent_under in states}:
        for i, j in combinations(range(honest), 2):
            if not (out[i] or out[j]):
                row = {k: 1.0 if k == j else -1.0 for k in (i, j) if k in sent and states[k][1] == label}
                rows.append([row.get(k, 0.0) for k in sent])
    if not sent:
        return []
    matrix = np.array(rows) if rows else np.zeros((1, len(sent)))
    _, values, vectors = np.linalg.svd(matrix, full_matrices=True)
    rank = int((values > 1e-9).sum())
    return list(vectors[rank:])


def check(thresholds: Thresholds, answers: list[frozenset[int]], states: list[State]) -> int:
    """Check that at most one sum can be had and that it is a plain one; give the number of its members, or 0."""
    basis = learned(thresholds, answers, states)
    assert len(basis) <= 1
    if not basis:
        return 0
    weights = basis[0] / np.abs(basis[0]).max()
    members = np.abs(weights) > 1e-9
    assert np.allclose(weights[members], weights[members][0])
    return int(members.sum())


def smallest(thresholds: Thresholds, choices: Iterator[tuple[list[frozenset[int]], list[State]]]) -> int:
    sizes = {check(thresholds, answers, states) for answers, states in choices}
    return min(size for size in sizes if size)


@pytest.mark.parametrize(
    "numbers",
    [
        (3, 0, 2),
        (3, 0, 3),
        (3, 1, 3),
        (4, 0, 3),
        (4, 0, 4),
        (4, 1, 3),
        (4, 1, 4),
        (4, 2, 4),
        (5, 1, 4),
        (5, 2, 4),
    ],
)
def test_all_survivors_to_all_members_give_one_sum_of_m_or_more(numbers: tuple[int, int, int]) -> None:
    thresholds = Thresholds(*numbers)
    honest = thresholds.hospitals - thresholds.colluding
    choices = combinations_with_replacement(told(thresholds), honest)
    found = smallest(thresholds, ((list(some), [("a", "a")] * honest) for some in choices))
    assert found == thresholds.honest_shares


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(5, 0, 3), (5, 0, 4), (6, 1, 4), (6, 2, 5)])
def test_all_survivors_to_more_members_give_one_sum_of_m_or_more(numbers: tuple[int, int, int]) -> None:
    thresholds = Thresholds(*numbers)
    honest = thresholds.hospitals - thresholds.colluding
    choices = combinations_with_replacement(told(thresholds), honest)
    found = smallest(thresholds, ((list(some), [("a", "a")] * honest) for some in choices))
    assert found == thresholds.honest_shares


@pytest.mark.parametrize("numbers", [(3, 1, 3), (4, 1, 3)])
def test_two_plans_for_one_slot_and_members_kept_from_sending_give_no_more(
    numbers: tuple[int, int, int],
) -> None:
    """Also where a member answers under one label and sends under the other, which an agent never does."""
    thresholds = Thresholds(*numbers)
    honest = thresholds.hospitals - thresholds.colluding
    states = [(answered, sent) for answered in "ab" for sent in ("a", "b", "")]
    answers = product(told(thresholds), repeat=honest)
    choices = (
        (list(some), list(those))
        for some in answers
        for those in combinations_with_replacement(states, honest)  # all answers are tried: members are alike
    )
    assert smallest(thresholds, choices) == thresholds.honest_shares


def test_at_a_threshold_one_too_low_there_are_two_sums() -> None:
    """Why 2 q > H + t: at 2 q = H + t the check finds the sums of two pairs."""
    loose = object.__new__(Thresholds)
    for name, value in (("hospitals", 4), ("colluding", 0), ("threshold", 2)):
        object.__setattr__(loose, name, value)
    sets = [frozenset((1, 2)), frozenset((1, 2)), frozenset((3, 4)), frozenset((3, 4))]
    with pytest.raises(AssertionError):
        check(loose, sets, [("a", "a")] * 4)
