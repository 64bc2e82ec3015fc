"""The roster: whose keys it takes, in which order, and what its signatures cover."""

from dataclasses import replace

import pytest

from wardround.protocol.errors import MessageError
from wardround.protocol.privacy.randomness import derive_key
from wardround.protocol.secure_sum.exchange import RosterKeys
from wardround.protocol.secure_sum.keys import StudySecret
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_roster import (
    join_roster,
    roster_signed_by,
    sign_member_keys,
    sign_roster,
)

TERMS, SLOTS = "ab" * 32, (Slot("training", "round", 1), Slot("training", "round", 2))
SIGNERS = {name: new_key() for name in ("west", "north", "south")}
IDENTITIES = {name: key.public for name, key in SIGNERS.items()}
SECRETS = {name: StudySecret(derive_key("roster", name)) for name in SIGNERS}


def keys_of(name, *, terms=TERMS, hospital=None, key=None, secret=None):
    """A member's signed keys; what it signs may be changed."""
    return sign_member_keys(
        SECRETS[secret or name], SLOTS, terms=terms, hospital=hospital or name, key=key or SIGNERS[name]
    )


def joined(*members):
    return join_roster("tea", TERMS, Thresholds(3, 1, 3), SLOTS, IDENTITIES, RosterKeys(members))


def test_members_stand_in_the_order_of_their_names_whatever_order_terms_have():
    roster = joined(keys_of("north"), keys_of("south"), keys_of("west"))
    assert [member.name for member in roster.members] == ["north", "south", "west"]
    other = dict(sorted(IDENTITIES.items()))
    members = RosterKeys(tuple(keys_of(name) for name in sorted(SIGNERS)))
    assert join_roster("tea", TERMS, Thresholds(3, 1, 3), SLOTS, other, members).digest == roster.digest


@pytest.mark.parametrize(
    "south",
    [
        keys_of("south", terms="cd" * 32),
        keys_of("south", hospital="north"),
        keys_of("south", key=new_key()),
        keys_of("west", hospital="south"),
        replace(keys_of("south"), sealing_key=keys_of("west").sealing_key),
        replace(keys_of("south"), slot_keys=keys_of("south").slot_keys[::-1]),
        replace(keys_of("south"), signature=bytes(64)),
    ],
)
def test_keys_count_only_as_their_own_hospital_signed_them_for_these_terms(south):
    with pytest.raises(MessageError, match="keys of south are not signed"):
        joined(keys_of("north"), south, keys_of("west"))


def test_a_member_that_signs_anothers_keys_makes_no_roster():
    with pytest.raises(MessageError, match="south and west have one key"):
        joined(keys_of("north"), keys_of("south", secret="west"), keys_of("west"))


def test_a_member_is_neither_left_out_nor_added():
    with pytest.raises(MessageError, match="keys of 2 members, not 3"):
        joined(keys_of("north"), keys_of("south"))


def test_a_signed_roster_is_that_one_for_those_terms_by_that_member():
    roster = joined(keys_of("north"), keys_of("south"), keys_of("west"))
    signature = sign_roster(roster, TERMS, SIGNERS["north"])
    assert roster_signed_by(roster, TERMS, signature, IDENTITIES["north"])
    assert not roster_signed_by(roster, TERMS, signature, IDENTITIES["south"])
    assert not roster_signed_by(roster, "cd" * 32, signature, IDENTITIES["north"])
    assert not roster_signed_by(replace(roster, study="other"), TERMS, signature, IDENTITIES["north"])
