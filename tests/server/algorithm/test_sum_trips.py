"""A secure sum at the server: exact sums of whoever survives, and members that lie, are lost, or answer late."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.secure_sum.members import hand_out
from tests.server.algorithm.sums import DIMENSION, MemoryStudy, digest, masked_bytes
from wardround.protocol.privacy.randomness import derive_key
from wardround.protocol.secure_sum.exchange import GivenShares
from wardround.protocol.secure_sum.thresholds import Thresholds, default_thresholds
from wardround.protocol.secure_sum.unmask import VoidSum
from wardround.protocol.wire.sum_wire import SumStep
from wardround.server.algorithm.screen import NoRelease
from wardround.server.algorithm.sum_trips import (
    await_shares,
    begin,
    fix,
    give_up,
    may_fix,
    outcome,
    survivors_for,
    take_given,
    take_masked,
)

FIVE = Thresholds(5, 1, 4)
INTEGERS = np.arange(5 * DIMENSION).reshape(5, DIMENSION) * 10**9 - 7


@pytest.fixture(scope="module")
def five():
    return MemoryStudy(FIVE)


def first(study, senders, integers=INTEGERS):
    trip = begin(study.asked)
    for index in senders:
        trip = take_masked(trip, study.sent(index, integers[index - 1]))
    return trip


def second(study, fixed, answerers):
    trip = await_shares(fixed, study.digests)
    for index in answerers:
        asked = survivors_for(fixed, index)
        trip = take_given(trip, study.given(index, asked), digest(asked.to_bytes()))
    return trip


def run(hospitals, draw):
    """Absent before trip 1, lost between the trips, silent in trip 2, or answering from outside U."""
    thresholds = default_thresholds(hospitals)
    q, everybody = thresholds.threshold, st.permutations(range(1, hospitals + 1))
    senders = draw(everybody)[: draw(st.integers(q, hospitals))]
    answerers = draw(everybody)[: draw(st.integers(q, hospitals))]
    integers = np.random.default_rng(draw(st.integers(0, 2**32))).integers(
        -(2**63), 2**63, (hospitals, DIMENSION)
    )
    study = MemoryStudy(thresholds)
    fixed = fix(first(study, senders, integers))
    total = outcome(second(study, fixed, answerers))
    assert fixed.survivors == tuple(sorted(senders))
    assert isinstance(total, np.ndarray)
    assert np.array_equal(total, integers[[i - 1 for i in senders]].sum(axis=0))


@settings(max_examples=8, deadline=None)
@given(st.integers(3, 9), st.data())
def test_the_sum_of_the_survivors_is_the_plain_sum_of_their_integers(hospitals, data):
    run(hospitals, data.draw)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.integers(10, 40), st.data())
def test_the_sum_of_the_survivors_is_the_plain_sum_with_more_hospitals(hospitals, data):
    run(hospitals, data.draw)


def test_survivors_are_fixed_from_q_on_and_from_the_operators_quorum_on(five):
    assert not may_fix(first(five, [1, 2, 3]), 0)
    with pytest.raises(ValueError, match="fewer than the threshold"):
        fix(first(five, [1, 2, 3]))
    assert may_fix(first(five, [1, 2, 3, 5]), 4)
    assert not may_fix(first(five, [1, 2, 3, 5]), 5)


def test_nothing_is_unmasked_before_q_right_shares_of_everybody_are_there(five):
    fixed = fix(first(five, [1, 2, 3, 5]))
    assert outcome(second(five, fixed, [1, 2, 4])) is None
    found = give_up(second(five, fixed, [1, 2, 4]))
    assert (found.reason, found.missing) == ("too few shares", (1, 2, 3, 4, 5))
    assert np.array_equal(outcome(second(five, fixed, [1, 2, 4, 5])), INTEGERS[[0, 1, 2, 4]].sum(axis=0))


def test_one_vector_is_held_and_repeats_and_refusals_change_nothing(five):
    trip = first(five, [1, 2])
    total = trip.total.copy()
    again = take_masked(trip, five.sent(1, INTEGERS[0]))
    again = take_masked(again, NoRelease("h1", "late"))
    again = take_masked(again, NoRelease("h3", "refused: consent"))
    assert again.total is trip.total
    assert np.array_equal(again.total, total)
    assert again.accepted == ("h1", "h2")
    assert again.refused == {"h3": "refused: consent"}
    assert take_masked(again, five.sent(3, INTEGERS[2])).refused == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"study": "other"}, "wrong study"),
        ({"hospital": "h6"}, "unknown hospital"),
        ({"round": 1}, "wrong round"),
        ({"terms_fingerprint": "ee" * 32}, "wrong terms"),
        ({"account": "held_out"}, "wrong account"),
        ({"asked": "ee" * 32}, "wrong weights"),
        ({"roster": ""}, "wrong roster"),
        ({"step": SumStep.SURVIVORS}, "wrong step"),
        ({"body": b"short"}, "malformed"),
    ],
)
def test_what_is_about_something_else_is_refused_by_name(five, changes, reason):
    sent = five.sent(2, INTEGERS[1])
    trip = take_masked(begin(five.asked), replace(sent, **changes))
    assert trip.refused == {changes.get("hospital", "h2"): reason}
    assert not trip.total.any()


def test_what_seeds_produced_is_no_real_studys(five):
    real = replace(five.asked, simulation=False)
    assert take_masked(begin(real), five.sent(1, INTEGERS[0])).refused == {"h1": "simulated"}


def test_an_answer_to_other_survivors_does_not_count(five):
    fixed = fix(first(five, [1, 2, 3, 4]))
    told = survivors_for(fix(first(five, [1, 2, 3, 5])), 1)
    trip = take_given(
        await_shares(fixed, five.digests), five.given(1, told), digest(survivors_for(fixed, 1).to_bytes())
    )
    assert trip.refused == {"h1": "wrong survivors"}
    assert not trip.given


def test_a_wrong_answerer_is_named_and_does_no_harm_beside_q_right_ones(five):
    fixed = fix(first(five, [1, 2, 3, 4]))
    trip = second(five, fixed, [2, 3, 4])
    asked = survivors_for(fixed, 1)
    body = asked.to_bytes()
    false = GivenShares({index: bytes(33) for index in range(1, 6)}).to_bytes()
    trip = take_given(trip, five.answer(1, SumStep.SURVIVORS, digest(body), false), digest(body))
    assert (trip.wrong, outcome(trip)) == ((1,), None)
    assert give_up(trip).answerers == (1,)
    last = survivors_for(fixed, 5)
    trip = take_given(trip, five.given(5, last), digest(last.to_bytes()))
    assert np.array_equal(outcome(trip), INTEGERS[:4].sum(axis=0))


def test_a_member_whose_seed_is_not_the_one_it_stood_by_is_named_and_the_round_is_void(five):
    sent = five.trip_one(2, INTEGERS[1])
    lie = five.answer(
        2, SumStep.MASKED, five.asked.weights, masked_bytes(replace(sent, commitment=bytes(32)))
    )
    trip = first(five, [1, 3, 4])
    found = outcome(second(five, fix(take_masked(trip, lie)), [1, 2, 3, 4]))
    assert isinstance(found, VoidSum)
    assert (found.reason, found.dealers) == ("bad dealer", (2,))


def test_shares_that_do_not_open_are_left_out_for_that_member_alone(five):
    sent = five.trip_one(2, INTEGERS[1])
    broken = replace(sent.dealt, sealed=(bytes(81), *sent.dealt.sealed[1:]))
    lie = five.answer(2, SumStep.MASKED, five.asked.weights, masked_bytes(replace(sent, dealt=broken)))
    fixed = fix(take_masked(first(five, [1, 3, 4]), lie))
    trip = second(five, fixed, [1, 2, 3, 4])
    assert outcome(trip) is None  # of the second's seed there are three right shares
    assert give_up(trip).missing == (2,)
    assert np.array_equal(outcome(second(five, fixed, [1, 2, 3, 4, 5])), INTEGERS[:4].sum(axis=0))


def test_a_member_lost_before_trip_one_comes_out_of_the_sum_by_its_slot_key(five):
    fixed = fix(first(five, [1, 2, 4, 5]))
    assert np.array_equal(outcome(second(five, fixed, [1, 2, 4, 5])), INTEGERS[[0, 1, 3, 4]].sum(axis=0))


def test_a_member_who_dealt_another_key_than_its_own_is_named_where_it_is_lost():
    study = MemoryStudy(FIVE, seed=1)
    hand_out(
        study.study.agents,
        study.study.agents[3],
        study.label.slot,
        study.study.slot_key_digests,
        derive_key("other"),
    )
    found = outcome(second(study, fix(first(study, [1, 2, 4, 5])), [1, 2, 4, 5]))
    assert (found.reason, found.dealers) == ("bad dealer", (3,))
