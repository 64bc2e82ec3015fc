"""How a share travels from one member to another through a server that must not read, move or swap it.

X25519 between the two sealing keys, HKDF-SHA-256 with a fresh salt, ChaCha20-Poly1305 (RFC 8439). From, to, kind,
roster and label are in the key's derivation: a share handed back to its sender, on to a third member, or into
another sum does not open. The sealing keys are never shared; under slot keys, the members who put a slot key together
would open its owner's other shares with it.
"""

import hashlib
from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from wardround.protocol.errors import MessageError
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum.keys import KeyUse, agree, derive_key32
from wardround.protocol.secure_sum.sharing import SHARE_BYTES

_SALT_BYTES = 32
SEALED_BYTES = _SALT_BYTES + SHARE_BYTES + 16
"""Salt, ciphertext of a share, and Poly1305's tag."""
_NONCE = bytes(12)  # a key is used once


class ShareKind(Enum):
    """What a share is of: a seed, which opens its owner's mask, or a slot key, which takes its owner out."""

    SEED = b"seed"
    SLOT_KEY = b"slot key"


@dataclass(frozen=True)
class SealContext:
    """Whose share, for whom, of what, in which sum.

    sender and receiver are indices in the roster, whose digest is ``roster``. label:
    ``label.seed_label`` of a seed, ``Slot.digest`` of a slot key, which is dealt before there is a label.
    """

    sender: int
    receiver: int
    kind: ShareKind
    roster: bytes
    label: bytes

    def parts(self) -> tuple[bytes, ...]:
        """Spell it for a derivation."""
        ends = (self.sender.to_bytes(4, "big"), self.receiver.to_bytes(4, "big"))
        return (*ends, self.kind.value, self.roster, self.label)


def share_digest(context: SealContext, share: bytes) -> bytes:
    """Hash a share together with its context: with these, sent along openly, a wrong share tells who gave it.

    A share is uniform among 2²⁵⁶, so that its hash says nothing of it.
    """
    parts = (b"wardround secure sum share", *context.parts(), share)
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def seal_share(
    private: bytes, receiver_key: bytes, context: SealContext, share: bytes, stream: Keystream
) -> bytes:
    """Seal a share from the owner of the private sealing key: salt, then ciphertext with its tag.

    The salt comes from the stream, which must be fresh.
    """
    salt = stream.words(_SALT_BYTES // 8)
    return salt + _cipher(private, receiver_key, context, salt).encrypt(_NONCE, share, None)


def open_share(
    private: bytes, sender_key: bytes, context: SealContext, sealed: bytes, digest: bytes
) -> bytes:
    """Open a sealed share and compare it with the hash that its dealer sent openly; MessageError where it fails.

    The comparison is what allows the server to blame the answerer, not the dealer, for a share that fails later.
    """
    salt, ciphertext = sealed[:_SALT_BYTES], sealed[_SALT_BYTES:]
    try:
        share = _cipher(private, sender_key, context, salt).decrypt(_NONCE, ciphertext, None)
    except InvalidTag:
        raise MessageError("sealed share: does not open for this sender, receiver, kind and sum") from None
    if share_digest(context, share) != digest:
        raise MessageError("sealed share: is not the one whose hash its dealer sent")
    return share


def _cipher(private: bytes, public: bytes, context: SealContext, salt: bytes) -> ChaCha20Poly1305:
    key = derive_key32(agree(private, public), KeyUse.SEAL, *context.parts(), salt=salt)
    return ChaCha20Poly1305(key)
