"""The roster: the hospitals of one study in their order, with the keys by which they know each other.

Signing a roster, and whom a hospital's policy knows, are not decided here. A hospital signs one roster per study; a
roster that lost a member is another roster, with new keys and shares dealt anew.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.keys import check_public_key
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.protocol.text.canonical import canonical_json


@dataclass(frozen=True)
class Member:
    """One hospital of a roster. signing_key as text; X25519 public keys, slot_keys in the order of the slots."""

    name: str
    signing_key: str
    sealing_key: bytes
    slot_keys: tuple[bytes, ...]


@dataclass(frozen=True)
class Roster:
    """Members have the indices 1 … H, in their order. MessageError unless whole, and all keys good and distinct.

    Thresholds and slots belong to it: it is with them that shares were dealt.
    """

    study: str
    thresholds: Thresholds
    slots: tuple[Slot, ...]
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        """Check numbers, names and keys."""
        if len(self.members) != self.thresholds.hospitals:
            raise MessageError(f"roster: {len(self.members)} members, not {self.thresholds.hospitals}")
        if any(len(member.slot_keys) != len(self.slots) for member in self.members):
            raise MessageError("roster: each member must have one key for each slot")
        for member in self.members:
            check_keys(member.sealing_key, member.slot_keys, f"roster: keys of {member.name}")
        _check_distinct(self.slots, "slots")
        _check_distinct([member.name for member in self.members], "names")
        _check_distinct([member.signing_key for member in self.members], "signing keys")
        self._check_apart()

    def _check_apart(self) -> None:
        """No key of two members: who copied whose cannot be told, so both are named."""
        owners: dict[bytes, str] = {}
        for member in self.members:
            for key in (member.sealing_key, *member.slot_keys):
                if owners.setdefault(key, member.name) != member.name:
                    raise MessageError(f"roster: {owners[key]} and {member.name} have one key")

    @cached_property
    def digest(self) -> bytes:
        """Hash all of it with SHA-256: 32 bytes."""
        content = {
            "study": self.study,
            "thresholds": asdict(self.thresholds),
            "slots": [asdict(slot) for slot in self.slots],
            "members": [_spelt(member) for member in self.members],
        }
        return hashlib.sha256(b"wardround secure sum roster\n" + canonical_json(content)).digest()

    def slot_keys(self, slot: Slot) -> tuple[bytes, ...]:
        """Give the members' public keys of one slot, in their order; ValueError for a slot it does not have."""
        place = self.slots.index(slot)
        return tuple(member.slot_keys[place] for member in self.members)


def check_keys(sealing_key: bytes, slot_keys: Sequence[bytes], whose: str) -> None:
    """MessageError, which begins with ``whose``, unless a member's keys are good and no two of them equal."""
    keys = (sealing_key, *slot_keys)
    for key in keys:
        try:
            check_public_key(key)
        except MessageError as error:
            raise MessageError(f"{whose}: {error}") from error
    if len(set(keys)) != len(keys):
        raise MessageError(f"{whose}: two of them are equal")


def _spelt(member: Member) -> dict[str, object]:
    return {
        "name": member.name,
        "signing_key": member.signing_key,
        "sealing_key": member.sealing_key.hex(),
        "slot_keys": [key.hex() for key in member.slot_keys],
    }


def _check_distinct(values: Sequence[object] | Iterable[object], what: str) -> None:
    listed = list(values)
    if len(set(listed)) != len(listed):
        raise MessageError(f"roster: two {what} are equal")
