"""What members and server send each other for a secure sum, and its bytes: fixed layouts, whose sizes are public.

    set-up    ``MemberKeys`` ⇒ all of them, ``RosterKeys`` ⇒ ``Dealing``
              ⇒ for each member ``BroughtShares`` ⇒ ``TakenShares``
    trip 1    (the round's plan) ⇒ ``MaskedIntegers``
    trip 2    ``Survivors`` ⇒ ``GivenShares``

Members stand in the roster's order, slots in its order. Every reader is told the numbers of both, allocates no more
than arrived, and takes exactly one spelling: whatever is wrong is one MessageError. Keys and shares are checked where
they are used; who wrote a message, and for which study, is its carrier's to prove (``protocol.wire.sum_wire``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.keys import SECRET_BYTES
from wardround.protocol.secure_sum.masks import Ring
from wardround.protocol.secure_sum.seal import SEALED_BYTES
from wardround.protocol.secure_sum.sharing import SHARE_BYTES

SIGNATURE_BYTES = 64
DIGEST_BYTES = 32
DEALT_BYTES = SEALED_BYTES + DIGEST_BYTES
"""Of one share on its way."""
_INDEX_BYTES = 4


@dataclass(frozen=True)
class MemberKeys:
    """One member's public X25519 keys, 32 bytes each, and its signature over them (64 bytes, of its signing key)."""

    sealing_key: bytes
    slot_keys: tuple[bytes, ...]
    signature: bytes

    def to_bytes(self) -> bytes:
        """Write it."""
        return b"".join((self.sealing_key, *self.slot_keys, self.signature))

    @classmethod
    def from_bytes(cls, payload: bytes, slots: int) -> "MemberKeys":
        """Read it; MessageError for another length."""
        reader = _Reader(payload)
        found = cls._read(reader, slots)
        reader.end()
        return found

    @classmethod
    def _read(cls, reader: "_Reader", slots: int) -> "MemberKeys":
        return cls(reader.take(SECRET_BYTES), reader.many(slots, SECRET_BYTES), reader.take(SIGNATURE_BYTES))


@dataclass(frozen=True)
class RosterKeys:
    """All members' keys, as each signed its own: what a member makes the ``Roster`` of, once it has verified them."""

    members: tuple[MemberKeys, ...]

    def to_bytes(self) -> bytes:
        """Write it."""
        return b"".join(member.to_bytes() for member in self.members)

    @classmethod
    def from_bytes(cls, payload: bytes, members: int, slots: int) -> "RosterKeys":
        """Read it; MessageError for another length."""
        reader = _Reader(payload)
        found = tuple(MemberKeys._read(reader, slots) for _ in range(members))
        reader.end()
        return cls(found)


@dataclass(frozen=True)
class DealtShare:
    """One share on its way: sealed for its receiver, and the hash of what is sealed (``seal.share_digest``)."""

    sealed: bytes
    digest: bytes


@dataclass(frozen=True)
class Dealing:
    """What a member deals at set-up. slots: for each slot, one share for each member.

    signature: of the roster's digest, by the dealer's signing key.
    """

    signature: bytes
    slots: tuple[tuple[DealtShare, ...], ...]

    def to_bytes(self) -> bytes:
        """Write it."""
        return self.signature + b"".join(dealt_bytes(shares) for shares in self.slots)

    @classmethod
    def from_bytes(cls, payload: bytes, members: int, slots: int) -> "Dealing":
        """Read it; MessageError for another length."""
        reader = _Reader(payload)
        signature = reader.take(SIGNATURE_BYTES)
        dealt = tuple(reader.dealt(members) for _ in range(slots))
        reader.end()
        return cls(signature, dealt)

    def share_for(self, index: int) -> tuple[DealtShare, ...]:
        """Give what a member (its index, from 1) is dealt, slot by slot."""
        return tuple(shares[index - 1] for shares in self.slots)


@dataclass(frozen=True)
class BroughtDealing:
    """Of one dealer's ``Dealing`` what one member gets: the signature over the roster, and its shares, slot by slot."""

    signature: bytes
    shares: tuple[DealtShare, ...]


@dataclass(frozen=True)
class BroughtShares:
    """What the server brings to one member at the end of set-up: every dealer's part, its own included."""

    dealers: tuple[BroughtDealing, ...]

    def to_bytes(self) -> bytes:
        """Write it."""
        return b"".join(one.signature + dealt_bytes(one.shares) for one in self.dealers)

    @classmethod
    def from_bytes(cls, payload: bytes, members: int, slots: int) -> "BroughtShares":
        """Read it; MessageError for another length."""
        reader = _Reader(payload)
        found = tuple(
            BroughtDealing(reader.take(SIGNATURE_BYTES), reader.dealt(slots)) for _ in range(members)
        )
        reader.end()
        return cls(found)


@dataclass(frozen=True)
class TakenShares:
    """Whose signature or shares a member could not take: dealers' indices, ascending; empty where all is well."""

    failed: tuple[int, ...] = ()

    def to_bytes(self) -> bytes:
        """Write it."""
        return _index_bytes(self.failed)

    @classmethod
    def from_bytes(cls, payload: bytes, members: int) -> "TakenShares":
        """Read it; MessageError for an index that is no member's, or out of order."""
        reader = _Reader(payload)
        found = reader.indices(len(payload) // _INDEX_BYTES, members)
        reader.end()
        return cls(found)


@dataclass(frozen=True, eq=False)
class MaskedIntegers:
    """Trip 1 of one member: y_i, uint64 [d]; the commitment to its seed; the seed's shares, one for each member."""

    masked: Ring = field(repr=False)
    commitment: bytes
    seed_shares: tuple[DealtShare, ...]

    def to_bytes(self) -> bytes:
        """Write it."""
        numbers = self.masked.astype("<u8", copy=False).tobytes()
        return b"".join((self.commitment, dealt_bytes(self.seed_shares), numbers))

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview, members: int, dimension: int) -> "MaskedIntegers":
        """Read it; MessageError for another length."""
        reader = _Reader(payload)
        commitment, shares = reader.take(DIGEST_BYTES), reader.dealt(members)
        # A copy: frombuffer's own array is read-only, and keeps the whole message in memory.
        numbers = np.frombuffer(reader.take(8 * dimension), "<u8").astype(np.uint64)
        reader.end()
        return cls(numbers, commitment, shares)


@dataclass(frozen=True)
class Survivors:
    """Trip 2: whom the server counts in, ascending; the label of the sum; and their seeds' shares for this member."""

    label: bytes
    survivors: tuple[int, ...]
    shares: tuple[DealtShare, ...]

    def to_bytes(self) -> bytes:
        """Write it."""
        count = len(self.survivors).to_bytes(_INDEX_BYTES, "little")
        return b"".join((self.label, count, _index_bytes(self.survivors), dealt_bytes(self.shares)))

    @classmethod
    def from_bytes(cls, payload: bytes, members: int) -> "Survivors":
        """Read it; MessageError for another length, an index that is no member's, or out of order."""
        reader = _Reader(payload)
        label = reader.take(DIGEST_BYTES)
        count = int.from_bytes(reader.take(_INDEX_BYTES), "little")
        if count > members:
            raise MessageError(f"survivors: {count}, must be at most {members}")
        survivors = reader.indices(count, members)
        shares = reader.dealt(count)
        reader.end()
        return cls(label, survivors, shares)


@dataclass(frozen=True)
class GivenShares:
    """One member's answer to trip 2: for each member one share, of its seed or its slot key; some may be missing."""

    shares: Mapping[int, bytes]

    def to_bytes(self) -> bytes:
        """Write it."""
        return b"".join(_index_bytes((index,)) + share for index, share in sorted(self.shares.items()))

    @classmethod
    def from_bytes(cls, payload: bytes, members: int) -> "GivenShares":
        """Read it; MessageError for another length, an index that is no member's, or out of order."""
        reader, shares, last = _Reader(payload), {}, 0
        for _ in range(min(members, len(payload) // (_INDEX_BYTES + SHARE_BYTES))):
            (index,) = reader.indices(1, members)
            if index <= last:
                raise MessageError("given shares: must be in ascending order")
            shares[index], last = reader.take(SHARE_BYTES), index
        reader.end()
        return cls(shares)


class _Reader:
    """Takes parts off a message from its start; MessageError where it is too short or too long."""

    def __init__(self, payload: bytes | memoryview) -> None:
        self._rest = memoryview(payload)

    def take(self, count: int) -> bytes:
        if count > len(self._rest):
            raise MessageError("secure sum: the message is cut short")
        part, self._rest = self._rest[:count], self._rest[count:]
        return bytes(part)

    def many(self, count: int, size: int) -> tuple[bytes, ...]:
        return tuple(self.take(size) for _ in range(count))

    def dealt(self, count: int) -> tuple[DealtShare, ...]:
        return tuple(DealtShare(self.take(SEALED_BYTES), self.take(DIGEST_BYTES)) for _ in range(count))

    def indices(self, count: int, members: int) -> tuple[int, ...]:
        found = tuple(int.from_bytes(self.take(_INDEX_BYTES), "little") for _ in range(count))
        if not all(1 <= index <= members for index in found) or list(found) != sorted(set(found)):
            raise MessageError(f"secure sum: members must be distinct, ascending, and from 1 to {members}")
        return found

    def end(self) -> None:
        if len(self._rest):
            raise MessageError("secure sum: the message is too long")


def dealt_bytes(shares: Sequence[DealtShare]) -> bytes:
    """Write shares one after the other, ``DEALT_BYTES`` each."""
    return b"".join(_parts(shares))


def dealt_from_bytes(payload: bytes, count: int) -> tuple[DealtShare, ...]:
    """Read so many shares; MessageError for another length."""
    reader = _Reader(payload)
    found = reader.dealt(count)
    reader.end()
    return found


def _parts(shares: Sequence[DealtShare]) -> Iterator[bytes]:
    for share in shares:
        yield share.sealed
        yield share.digest


def _index_bytes(indices: Sequence[int]) -> bytes:
    return b"".join(index.to_bytes(_INDEX_BYTES, "little") for index in indices)
