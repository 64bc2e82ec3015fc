"""Keys of one hospital in one study: X25519 (RFC 7748), all derived by HKDF-SHA-256 (RFC 5869) from one secret.

A *sealing* key, which is never shared, and one *slot key* per secure sum, which the other members may put together
to take out a hospital that dropped out. Each derivation names its use and its parts, each with its length, so that
no two uses can give one key.
"""

import os
from enum import Enum
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wardround.protocol.errors import MessageError
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum.label import Slot

SECRET_BYTES = 32
_PRIME = 2**255 - 19
_ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
_SMALL_ORDER = frozenset((0, 1, _PRIME - 1, *_ORDER_8))
"""The u of all points whose multiples are few, on the curve and its twist: with them a secret is known to all."""


class KeyUse(Enum):
    """What a derived key is for."""

    SEALING_KEY = b"sealing key"
    SLOT_KEY = b"slot key"
    SEAL = b"seal"
    PAIR_MASK = b"mask of a pair"
    OWN_MASK = b"mask of one's own"
    DEALING = b"dealing"


class StudySecret:
    """What one hospital's keys of one roster derive from. It shows nothing of itself, and cannot be copied.

    A new one for every set-up, also where the last one failed: slot keys that were dealt twice, to two rosters, would
    have two sets of shares. Kept out of backups, deleted at the study's end.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        """Take a secret of 32 bytes; ValueError for another length."""
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"secret of {len(secret)} bytes: must have {SECRET_BYTES}")
        self._secret = secret

    def __repr__(self) -> str:
        """Show that there is a secret, not which."""
        return "StudySecret(…)"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        """Refuse to be copied or pickled."""
        raise TypeError("a StudySecret can be neither copied nor pickled")

    def sealing_key(self) -> bytes:
        """Give the private sealing key, 32 bytes."""
        return derive_key32(self._secret, KeyUse.SEALING_KEY)

    def slot_key(self, slot: Slot) -> bytes:
        """Give the private key of one slot, 32 bytes: it tells nothing of another slot's or of the secret."""
        return derive_key32(self._secret, KeyUse.SLOT_KEY, slot.digest())

    def dealing_stream(self, roster: bytes) -> Keystream:
        """Give the randomness of dealing the slot keys to one roster (its digest): the same each time.

        So a dealing that is asked for again has the same bytes, and no slot key ever has two sets of shares.
        """
        return Keystream(derive_key32(self._secret, KeyUse.DEALING, roster))

    def to_bytes(self) -> bytes:
        """Give the secret itself, 32 bytes, for the one file that keeps it."""
        return self._secret


def new_study_secret() -> StudySecret:
    """Draw a secret from the operating system's randomness."""
    return StudySecret(os.urandom(SECRET_BYTES))


def derive_key32(secret: bytes, use: KeyUse, *parts: bytes, salt: bytes = b"") -> bytes:
    """Derive 32 bytes for one use and its parts. RFC 5869, with SHA-256."""
    named = (b"wardround secure sum 1", use.value, *parts)
    info = b"".join(len(part).to_bytes(4, "big") + part for part in named)
    return HKDF(SHA256(), SECRET_BYTES, salt, info).derive(secret)


def public_key(private: bytes) -> bytes:
    """Give the public half of a private key, 32 bytes each."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agree(private: bytes, public: bytes) -> bytes:
    """Give the 32 bytes that two hospitals have in common; MessageError for a public key that is no good."""
    check_public_key(public)
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def check_public_key(public: bytes) -> None:
    """Refuse what is not the one spelling of a useful point: MessageError.

    Without this two keys that differ as bytes could be one: X25519 ignores the highest bit, and takes p + 2 for 2.
    """
    number = int.from_bytes(public, "little")
    if len(public) != SECRET_BYTES or number >= _PRIME:
        raise MessageError("public key: must be the 32 bytes of a number below 2**255 - 19")
    if number in _SMALL_ORDER:
        raise MessageError("public key: is of small order, and would agree on a secret that all know")
