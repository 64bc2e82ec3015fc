"""Who the members of a secure sum are: each signs its keys, the keys make the one roster, and each signs that.

A member believes no other's keys but by that member's signature, with the signing key that the terms name and a person
approved; and deals under a roster whose digest all dealers signed. So a server can neither put in keys of its own nor
tell two members of two rosters.
"""

from collections.abc import Mapping, Sequence

from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.exchange import MemberKeys, RosterKeys
from wardround.protocol.secure_sum.keys import StudySecret, public_key
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.roster import Member, Roster
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire.signing import Purpose, SigningKey, verifies


def sign_member_keys(
    secret: StudySecret, slots: Sequence[Slot], *, terms: str, hospital: str, key: SigningKey
) -> MemberKeys:
    """Give a member's public keys, one for each slot, signed by its signing key. terms: the terms' fingerprint."""
    sealing = public_key(secret.sealing_key())
    slot_keys = tuple(public_key(secret.slot_key(slot)) for slot in slots)
    signature = key.sign(Purpose.MEMBER_KEYS, _keys_statement(terms, hospital, sealing, slot_keys))
    return MemberKeys(sealing, slot_keys, signature)


def member_keys_signed_by(keys: MemberKeys, public: str, *, terms: str, hospital: str) -> bool:
    """Whether this signing key signed these keys, for these terms and this hospital."""
    statement = _keys_statement(terms, hospital, keys.sealing_key, keys.slot_keys)
    return verifies(public, Purpose.MEMBER_KEYS, statement, keys.signature)


def join_roster(
    study: str,
    terms: str,
    thresholds: Thresholds,
    slots: tuple[Slot, ...],
    signing_keys: Mapping[str, str],
    keys: RosterKeys,
) -> Roster:
    """Make the roster of a study from its members' keys, which stand in the order of the members' names.

    signing_keys: by hospital, as the terms name them. MessageError where a key is no good or stands twice, or where
    keys are not signed by their own hospital; it names the hospital.
    """
    names = roster_order(signing_keys)
    if len(keys.members) != len(names):
        raise MessageError(f"roster: keys of {len(keys.members)} members, not {len(names)}")
    members = []
    for name, one in zip(names, keys.members, strict=True):
        if not member_keys_signed_by(one, signing_keys[name], terms=terms, hospital=name):
            raise MessageError(f"roster: the keys of {name} are not signed by its signing key")
        members.append(Member(name, signing_keys[name], one.sealing_key, one.slot_keys))
    return Roster(study, thresholds, slots, tuple(members))


def roster_order(hospitals: Mapping[str, object] | Sequence[str]) -> tuple[str, ...]:
    """Give the members in their order: by name, so that no list's own order can make two rosters of one."""
    return tuple(sorted(hospitals))


def sign_roster(roster: Roster, terms: str, key: SigningKey) -> bytes:
    """Sign a roster's digest for these terms, as a member does when it deals: 64 bytes."""
    return key.sign(Purpose.ROSTER, _roster_statement(roster, terms))


def roster_signed_by(roster: Roster, terms: str, signature: bytes, public: str) -> bool:
    """Whether this signing key signed this roster for these terms."""
    return verifies(public, Purpose.ROSTER, _roster_statement(roster, terms), signature)


def _keys_statement(terms: str, hospital: str, sealing_key: bytes, slot_keys: Sequence[bytes]) -> bytes:
    content = {
        "terms": terms,
        "hospital": hospital,
        "sealing_key": sealing_key.hex(),
        "slot_keys": [key.hex() for key in slot_keys],
    }
    return canonical_json(content)


def _roster_statement(roster: Roster, terms: str) -> bytes:
    return canonical_json({"terms": terms, "roster": roster.digest.hex()})
