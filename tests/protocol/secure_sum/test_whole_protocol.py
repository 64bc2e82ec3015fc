"""Both trips in memory, on the real mathematics: exact sums, drop-outs, members and servers that lie."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.secure_sum.members import SLOTS, Sent, Study, hand_out, set_up
from wardround.protocol.errors import MessageError
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.secure_sum.discrete_gaussian import discrete_gaussian
from wardround.protocol.secure_sum.grid import decode, encode_sum, sum_grid
from wardround.protocol.secure_sum.label import SumLabel, seed_label
from wardround.protocol.secure_sum.noise_shares import noise_shares, rounded_sensitivity
from wardround.protocol.secure_sum.seal import ShareKind
from wardround.protocol.secure_sum.sharing import recover_secret
from wardround.protocol.secure_sum.survivors import answer_survivors, check_survivors
from wardround.protocol.secure_sum.thresholds import Thresholds, default_thresholds
from wardround.protocol.secure_sum.unmask import VoidSum, unmask

FIVE = Thresholds(5, 1, 4)
STUDY = set_up(FIVE)
INTEGERS = np.arange(5 * 6).reshape(5, 6) * 10**9 - 7


def trip_one(study: Study, label: SumLabel, integers: np.ndarray, senders: list[int]) -> dict[int, Sent]:
    return {i: study.agents[i].trip_one(integers[i - 1], label) for i in senders}


def one_sum(survivors: list[int], answerers: list[int]) -> tuple[dict, Study, SumLabel]:
    label = STUDY.label(6)
    sent = trip_one(STUDY, label, INTEGERS, [1, 2, 3, 4, 5])
    answers = {i: STUDY.agents[i].trip_two(survivors, sent, label) for i in answerers}
    return {"sent": sent, "answers": answers, "masked": STUDY.collect(label, sent, survivors)}, STUDY, label


def run(hospitals: int, draw: st.DrawFn) -> None:
    """Whoever is absent before trip 1, lost after it or before trip 2: the sum of U is that of U, bit for bit."""
    thresholds = default_thresholds(hospitals)
    q = thresholds.threshold
    everybody = st.permutations(range(1, hospitals + 1))
    senders = sorted(draw(everybody)[: draw(st.integers(q, hospitals))])
    survivors = sorted(draw(st.permutations(senders))[: draw(st.integers(q, len(senders)))])
    answerers = draw(everybody)[: draw(st.integers(q, hospitals))]
    integers = np.random.default_rng(draw(st.integers(0, 2**32))).integers(-(2**63), 2**63, (hospitals, 5))
    study = set_up(thresholds)
    label = study.label(5)
    sent = trip_one(study, label, integers, senders)
    answers = {i: study.agents[i].trip_two(survivors, sent, label) for i in answerers}
    total = unmask(study.collect(label, sent, survivors), answers)
    assert isinstance(total, np.ndarray)
    assert np.array_equal(total, integers[[i - 1 for i in survivors]].sum(axis=0))


@settings(max_examples=10)
@given(st.integers(3, 9), st.data())
def test_the_sum_of_the_survivors_is_exact(hospitals: int, data: st.DataObject) -> None:
    run(hospitals, data.draw)


@pytest.mark.slow
@settings(max_examples=12)
@given(st.integers(10, 40), st.data())
def test_the_sum_of_the_survivors_is_exact_with_more_hospitals(hospitals: int, data: st.DataObject) -> None:
    run(hospitals, data.draw)


def test_three_hospitals_and_no_helper_and_all_members_answer() -> None:
    for thresholds in (Thresholds(3, 1, 3), Thresholds(3, 0, 2), Thresholds(4, 0, 3)):
        study = set_up(thresholds)
        label = study.label(6)
        everybody = list(study.agents)
        sent = trip_one(study, label, INTEGERS, everybody)
        survivors = everybody[: thresholds.threshold]
        answers = {i: study.agents[i].trip_two(survivors, sent, label) for i in everybody}
        total = unmask(study.collect(label, sent, survivors), answers)
        assert isinstance(total, np.ndarray)
        assert np.array_equal(total, INTEGERS[: len(survivors)].sum(axis=0))


def test_noise_and_grid_and_masks_give_the_sum_with_its_noise() -> None:
    """From float sums to float sum: what is added is the integers' noise and at most half a step each."""
    dimension, sigma = 400, 3.0
    grid = sum_grid(1.0, sigma, dimension, 5, FIVE.honest_shares)
    noise = noise_shares(FIVE, sigma, rounded_sensitivity(1.0, grid.exponent, dimension), grid.exponent)
    sums = np.random.default_rng(5).normal(size=(5, dimension)) * 100
    drawn = [discrete_gaussian(Keystream(derive_key("n", i)), noise.variance, dimension) for i in range(5)]
    label = replace(STUDY.label(dimension), grid=grid)
    noised = np.array([encode_sum(row, grid) + n for row, n in zip(sums, drawn, strict=True)])
    sent = trip_one(STUDY, label, noised, [1, 2, 3, 4, 5])
    survivors = [1, 2, 3, 5]
    answers = {i: STUDY.agents[i].trip_two(survivors, sent, label) for i in (1, 2, 4, 5)}
    total = unmask(STUDY.collect(label, sent, survivors), answers)
    assert isinstance(total, np.ndarray)
    places = [i - 1 for i in survivors]
    error = decode(total, grid) - sums[places].sum(axis=0)
    rounding = error - decode(np.sum([drawn[i] for i in places], axis=0), grid)
    assert np.abs(rounding).max() <= 4 * grid.step / 2 + 1e-9
    assert error.std() == pytest.approx(sigma * (4 / FIVE.honest_shares) ** 0.5, rel=0.15)


def test_what_leaves_a_hospital_is_not_its_integers() -> None:
    told, _, _ = one_sum([1, 2, 3, 4], [1, 2, 3, 4])
    for i, sent in told["sent"].items():
        assert np.abs(sent.masked.view(np.int64) - INTEGERS[i - 1]).min() > 2**40


def test_a_member_called_gone_is_not_in_the_sum_and_its_seed_stays_hidden() -> None:
    told, study, label = one_sum([1, 2, 3, 4], [1, 2, 3, 4, 5])
    assert np.array_equal(unmask(told["masked"], told["answers"]), INTEGERS[:4].sum(axis=0))
    shares = [(i, answer[5]) for i, answer in told["answers"].items()][:4]
    assert recover_secret(shares, 4) == study.agents[5].secret.slot_key(label.slot)


def test_two_sets_of_survivors_for_one_slot_give_no_sum() -> None:
    """The server tells 1 and 2 that 5 is gone, 3 and 4 that 1 is, with a helper (5) that gives both shares of all."""
    label = STUDY.label(6)
    sent = trip_one(STUDY, label, INTEGERS, [1, 2, 3, 4, 5])
    told = {1: [1, 2, 3, 4], 2: [1, 2, 3, 4], 3: [2, 3, 4, 5], 4: [2, 3, 4, 5]}
    answers = {i: STUDY.agents[i].trip_two(survivors, sent, label) for i, survivors in told.items()}
    for survivors in ([1, 2, 3, 4], [2, 3, 4, 5]):
        helped = {**answers, 5: STUDY.agents[5].trip_two(survivors, sent, label)}
        void = unmask(STUDY.collect(label, sent, survivors), helped)
        assert isinstance(void, VoidSum)
        assert void.reason == "too few shares"
        assert 1 in void.missing


def test_one_member_is_never_both_in_and_out() -> None:
    """Shares of both of 1's secrets, with every honest member told what suits: 2 and 1 honest of the 3 needed."""
    label = STUDY.label(6)
    sent = trip_one(STUDY, label, INTEGERS, [1, 2, 3, 4, 5])
    inside = [STUDY.agents[i].trip_two([1, 2, 3, 4], sent, label)[1] for i in (1, 2)]
    outside = [STUDY.agents[i].trip_two([2, 3, 4, 5], sent, label)[1] for i in (3, 4)]
    assert len(inside) + 1 < FIVE.threshold
    assert len(outside) + 1 < FIVE.threshold


def test_hospitals_that_were_told_different_weights_cannot_be_added() -> None:
    label, other = STUDY.label(6), STUDY.label(6, weights="v")
    sent = trip_one(STUDY, label, INTEGERS, [1, 2, 3]) | trip_one(STUDY, other, INTEGERS, [4, 5])
    survivors = [1, 2, 3, 4]
    answers = {
        i: STUDY.agents[i].trip_two(survivors, sent, label if i < 4 else other) for i in (1, 2, 3, 4, 5)
    }
    assert {i: 4 in answer for i, answer in answers.items()} == {
        1: False,
        2: False,
        3: False,
        4: True,
        5: True,
    }
    void = unmask(STUDY.collect(label, sent, survivors), answers)
    assert isinstance(void, VoidSum)
    assert void.missing == (1, 2, 3, 4)


def test_a_sealed_share_of_a_seed_does_not_open_as_a_share_of_a_slot_key() -> None:
    """Else a server could have both of one member's shares from the same answerer."""
    label = STUDY.label(6)
    sent = trip_one(STUDY, label, INTEGERS, [1, 2, 3, 4, 5])
    dealt, under = sent[1].dealt, seed_label(label.slot, label.digest())
    assert STUDY.agents[2].open(1, dealt, ShareKind.SEED, under) is not None
    assert STUDY.agents[2].open(1, dealt, ShareKind.SLOT_KEY, under) is None
    assert STUDY.agents[2].open(1, dealt, ShareKind.SEED, label.slot.digest()) is None
    assert STUDY.agents[2].open(3, dealt, ShareKind.SEED, under) is None


def test_a_sealed_share_of_a_seed_does_not_open_in_another_slot_under_its_own_label() -> None:
    """Else a server names it in a slot of which nobody knows the label, and has both secrets of a member."""
    label = STUDY.label(6)
    dealt = trip_one(STUDY, label, INTEGERS, [1, 2, 3, 4, 5])[1].dealt
    other = next(slot for slot in SLOTS if slot != label.slot)
    assert STUDY.agents[2].open(1, dealt, ShareKind.SEED, seed_label(other, label.digest())) is None
    assert STUDY.agents[2].open(1, dealt, ShareKind.SEED, label.digest()) is None


def test_a_share_of_another_slot_is_not_taken_and_its_giver_is_named() -> None:
    told, study, _ = one_sum([1, 2, 3, 4], [1, 2, 3, 4])
    told["answers"][2] = {**told["answers"][2], 5: study.agents[2].held[SLOTS[1]][5]}
    void = unmask(told["masked"], told["answers"])
    assert void == VoidSum("too few shares", (5,), (), (2,))


@pytest.mark.parametrize("member", [1, 5])
def test_a_wrong_answer_is_named_and_does_no_harm_beside_enough_right_ones(member: int) -> None:
    told, _, _ = one_sum([1, 2, 3, 4], [1, 2, 3, 4, 5])
    told["answers"][3] = {**told["answers"][3], member: bytes(33)}
    assert np.array_equal(unmask(told["masked"], told["answers"]), INTEGERS[:4].sum(axis=0))
    del told["answers"][1]
    assert unmask(told["masked"], told["answers"]) == VoidSum("too few shares", (member,), (), (3,))


def test_an_answer_about_strangers_or_from_one_is_a_wrong_answer() -> None:
    told, _, _ = one_sum([1, 2, 3, 4], [1, 2, 3, 4])
    told["answers"][2] = {**told["answers"][2], 0: bytes(33), 6: bytes(33)}
    told["answers"][9] = told["answers"][1]
    assert np.array_equal(unmask(told["masked"], told["answers"]), INTEGERS[:4].sum(axis=0))


def test_too_few_answers_give_nothing_and_blame_nobody() -> None:
    told, _, _ = one_sum([1, 2, 3, 4], [1, 2, 3])
    assert unmask(told["masked"], told["answers"]) == VoidSum("too few shares", (1, 2, 3, 4, 5))


def test_a_dealer_of_another_seed_than_its_own_is_named() -> None:
    told, _, _ = one_sum([1, 2, 3, 4], [1, 2, 3, 4])
    masked = told["masked"]
    commitments = {**masked.commitments, 2: bytes(32)}
    assert unmask(replace(masked, commitments=commitments), told["answers"]) == VoidSum(
        "bad dealer", dealers=(2,)
    )


def test_a_dealer_of_another_slot_key_than_its_own_is_named() -> None:
    study = set_up(FIVE, seed=1)
    hand_out(study.agents, study.agents[5], SLOTS[0], study.slot_key_digests, b"x" * 32)
    label = study.label(6)
    sent = trip_one(study, label, INTEGERS, [1, 2, 3, 4])
    answers = {i: study.agents[i].trip_two([1, 2, 3, 4], sent, label) for i in (1, 2, 3, 4)}
    assert unmask(study.collect(label, sent, [1, 2, 3, 4]), answers) == VoidSum("bad dealer", dealers=(5,))


def test_a_dealer_whose_shares_are_of_no_secret_is_named() -> None:
    """Their hashes are right; together they give a number beyond 32 bytes."""
    told, study, label = one_sum([1, 2, 3, 4], [1, 2, 3, 4])
    beyond = [(2**256 + 5).to_bytes(33, "big")] * 5
    dealt = study.agents[2].send(beyond, ShareKind.SEED, seed_label(label.slot, label.digest()))
    sent = {**told["sent"], 2: replace(told["sent"][2], dealt=dealt)}
    answers = {i: study.agents[i].trip_two([1, 2, 3, 4], sent, label) for i in (1, 2, 3, 4)}
    assert unmask(study.collect(label, sent, [1, 2, 3, 4]), answers) == VoidSum("bad dealer", dealers=(2,))


def test_a_dealer_who_announces_other_shares_than_it_seals_makes_nobody_else_look_guilty() -> None:
    told, study, label = one_sum([1, 2, 3, 4], [1, 2, 3, 4])
    dealt = replace(told["sent"][2].dealt, digests=tuple(bytes(32) for _ in range(5)))
    sent = {**told["sent"], 2: replace(told["sent"][2], dealt=dealt)}
    answers = {i: study.agents[i].trip_two([1, 2, 3, 4], sent, label) for i in (1, 2, 3, 4, 5)}
    assert all(2 not in answer for answer in answers.values())
    assert unmask(study.collect(label, sent, [1, 2, 3, 4]), answers) == VoidSum("too few shares", (2,))


def test_a_total_without_one_of_its_survivors_is_no_sum() -> None:
    told, _, _ = one_sum([1, 2, 3, 4], [1, 2, 3, 4])
    short = replace(told["masked"], total=told["masked"].total - told["sent"][4].masked)
    wrong = unmask(short, told["answers"])
    assert isinstance(wrong, np.ndarray)
    for present in ([0, 1, 2], [0, 1, 2, 3]):
        assert np.abs(wrong - INTEGERS[present].sum(axis=0)).min() > 2**40


def test_a_masked_sum_of_which_something_is_missing_is_refused() -> None:
    masked = one_sum([1, 2, 3, 4], [])[0]["masked"]
    for changes in (
        {"commitments": {1: bytes(32)}},
        {"seed_digests": {**masked.seed_digests, 2: (bytes(32),) * 4}},
        {"slot_key_digests": {}},
        {"survivors": frozenset((1, 2, 3, 6))},
    ):
        with pytest.raises(ValueError, match="missing"):
            replace(masked, **changes)


@pytest.mark.parametrize(
    ("survivors", "fault"),
    [
        ([1, 2, 3], "3, must be at least 4"),
        ([], "0, must be at least 4"),
        ([1, 2, 3, 3], "distinct and in ascending"),
        ([1, 2, 4, 3], "distinct and in ascending"),
        ([0, 1, 2, 3], "must be members"),
        ([1, 2, 3, 6], "must be members"),
        ([-1, 1, 2, 3, 4], "must be members"),
    ],
)
def test_survivors_with_duplicates_strangers_or_too_few_are_refused(survivors: list[int], fault: str) -> None:
    with pytest.raises(MessageError, match=fault):
        check_survivors(survivors, FIVE)


@given(st.sets(st.integers(1, 5)), st.sets(st.integers(1, 5)), st.sets(st.integers(1, 5)))
def test_never_both_shares_and_never_one_kind_for_the_other(
    survivors: set, seeds: set, slot_keys: set
) -> None:
    given_ = answer_survivors(
        frozenset(survivors), 5, {j: b"b%d" % j for j in seeds}, {j: b"k%d" % j for j in slot_keys}
    )
    assert given_ == {j: b"b%d" % j for j in survivors & seeds} | {
        j: b"k%d" % j for j in slot_keys - survivors
    }
