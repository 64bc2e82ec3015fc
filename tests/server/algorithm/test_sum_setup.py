"""Set-up at the server: whose keys and dealings it takes, what it brings to whom, and who is named."""

from dataclasses import replace

import pytest

from tests.server.algorithm.sums import SetUpMember
from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.exchange import BroughtShares, Dealing, RosterKeys
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.protocol.wire.sum_roster import sign_roster
from wardround.server.algorithm.sum_setup import (
    SumStudy,
    brought_to,
    check_dealing,
    dealt_digests,
    failed_dealers,
    read_keys,
    roster_of,
)

SLOTS = (Slot("training", "round", 1), Slot("training", "round", 2), Slot("held_out", "tables", 2))
NAMES = ("north", "south", "east", "west")


@pytest.fixture
def members():
    return {name: SetUpMember(name) for name in NAMES}


@pytest.fixture
def study(members):
    signing_keys = {name: one.key.public for name, one in members.items()}
    return SumStudy(
        study="tea",
        terms="ab" * 32,
        thresholds=Thresholds(4, 1, 3),
        slots=SLOTS,
        signing_keys=signing_keys,
    )


def joined(study, members):
    return RosterKeys(tuple(read_keys(study, name, members[name].keys(study)) for name in study.members))


def dealt(study, members):
    keys = joined(study, members)
    return roster_of(study, keys), [members[name].deal(keys.to_bytes()) for name in study.members]


def test_every_member_holds_a_share_of_every_slot_key_of_every_member(study, members):
    roster, dealings = dealt(study, members)
    assert [member.name for member in roster.members] == ["east", "north", "south", "west"]
    for index, name in enumerate(study.members, 1):
        check_dealing(study, roster, name, dealings[index - 1])
        body = brought_to(index, dealings, len(NAMES), len(SLOTS))
        assert failed_dealers(study, name, members[name].take(body)) == ()
    held = {(name, slot): members[name].agent.held[slot] for name in NAMES for slot in SLOTS}
    assert all(set(shares) == {1, 2, 3, 4} for shares in held.values())


def test_what_a_member_is_brought_is_its_part_of_each_dealing_and_no_more(study, members):
    _, dealings = dealt(study, members)
    brought = BroughtShares.from_bytes(brought_to(3, dealings, 4, 3), 4, 3)
    whole = [Dealing.from_bytes(one, 4, 3) for one in dealings]
    assert [one.shares for one in brought.dealers] == [one.share_for(3) for one in whole]
    assert [one.signature for one in brought.dealers] == [one.signature for one in whole]


def test_hashes_are_those_of_the_shares_in_their_order(study, members):
    _, dealings = dealt(study, members)
    shares = Dealing.from_bytes(dealings[1], 4, 3).slots[2]
    body = b"".join(one.sealed + one.digest for one in shares)
    assert dealt_digests(body) == tuple(one.digest for one in shares)


def test_keys_that_another_signed_or_for_other_terms_are_not_taken(study, members):
    with pytest.raises(MessageError, match="not signed by this hospital"):
        read_keys(study, "north", members["south"].keys(study))
    with pytest.raises(MessageError, match="not signed by this hospital"):
        read_keys(study, "north", members["north"].keys(replace(study, terms="cd" * 32)))


def test_a_dealing_counts_for_the_roster_that_its_dealer_signed_alone(study, members):
    roster, dealings = dealt(study, members)
    with pytest.raises(MessageError, match="does not sign this roster"):
        check_dealing(study, replace(roster, study="other"), "east", dealings[0])
    with pytest.raises(MessageError, match="does not sign this roster"):
        check_dealing(study, roster, "north", dealings[0])
    with pytest.raises(MessageError, match="cut short"):
        check_dealing(study, roster, "east", dealings[0][:-1])


def test_a_dealer_whose_shares_do_not_open_is_named_by_who_got_them(study, members):
    _, dealings = dealt(study, members)
    broken = bytearray(dealings[3])
    broken[64 + 40] ^= 1  # in the first slot's share for the first member
    first = members["east"].take(brought_to(1, [*dealings[:3], bytes(broken)], 4, 3))
    second = members["north"].take(brought_to(2, [*dealings[:3], bytes(broken)], 4, 3))
    assert failed_dealers(study, "east", first) == ("west",)
    assert failed_dealers(study, "north", second) == ()


def test_a_dealer_that_signed_another_roster_is_named(study, members):
    roster, dealings = dealt(study, members)
    signature = sign_roster(replace(roster, study="other"), study.terms, members["west"].key)
    body = brought_to(1, [*dealings[:3], signature + dealings[3][64:]], 4, 3)
    assert failed_dealers(study, "east", members["east"].take(body)) == ("west",)
