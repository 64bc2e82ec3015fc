"""What a hospital's patients key is hashed with: BLAKE2b (RFC 7693), one label for each use. Pure.

Guarantee (test_keyed_hash.py): no two uses have a label in common, so a digest of one says nothing about another's;
and every digest is what 0.1.0 and the journals since then have: patients keep their halves, arms and tokens.
"""

import hashlib
from dataclasses import dataclass

_KEY_BYTES = 32


@dataclass(frozen=True)
class Use:
    """What a digest is for. label: BLAKE2b's ``person``, at most 16 bytes; size: of the digest, in bytes.

    any_key: whether a key of any length is hashed to 32 bytes first (BLAKE2b takes at most 64). What began without is
    kept: its digests are on disk.
    """

    label: bytes
    size: int
    any_key: bool = True


HOSPITAL = Use(b"", 32)
"""The key of one hospital of a simulated federation."""
PATIENT_TOKEN = Use(b"wardround token", 32)
"""A patient's token, half and draw of events at the gate."""
WHO = Use(b"wardround who", 32, any_key=False)
"""Which column names patients, and how it is written, in the ledger."""
JOURNAL, STAFF = Use(b"outreach journal", 16), Use(b"outreach staff", 16)
"""Who a message is for, in the outreach journal: a patient, or a professional."""
ARM, EXPLORED = Use(b"outreach arms", 8, any_key=False), Use(b"outreach explore", 8, any_key=False)
"""Which arm of a protocol a patient is in, and which of equal modules chance picks."""
USES = (HOSPITAL, PATIENT_TOKEN, WHO, JOURNAL, STAFF, ARM, EXPLORED)


class KeyedHash:
    """The hash of one use under one key: bytes → ``use.size`` bytes."""

    def __init__(self, key: bytes, use: Use, begun: bytes = b"") -> None:
        """begun: what every hashed text begins with."""
        if use.any_key:
            key = hashlib.blake2b(key, digest_size=_KEY_BYTES, person=b"wardround key").digest()
        self._begun = hashlib.blake2b(begun, key=key, digest_size=use.size, person=use.label)

    def __call__(self, text: bytes) -> bytes:
        """Hash one text. The key's block is hashed once, not once per patient."""
        one = self._begun.copy()
        one.update(text)
        return one.digest()
