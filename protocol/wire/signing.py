"""Ed25519 signatures (RFC 8032) of operators and hospitals, and the files that keep their keys.

A public key is one line of text, ``ed25519:`` and 43 letters, fit for a YAML file. Every signature covers
what it is for (``Purpose``), so that a signature of one thing is never one of another.
"""

import base64
import hashlib
import re
from enum import Enum
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, read_private, write_new

SIGNATURE_BYTES = 64
_PUBLIC_KEY = re.compile(r"ed25519:[A-Za-z0-9_-]{43}")
_PRIME = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset((0, 1, _PRIME - 1, _ORDER_8, _PRIME - _ORDER_8))
"""The y of the eight points of order 1, 2, 4 and 8."""


class Purpose(Enum):
    """What a signature is for."""

    # Each ends with a line feed and none begins another, so that no purpose runs into its payload.
    TERMS = b"wardround terms\n"
    PLAN = b"wardround plan\n"
    RELEASE = b"wardround release\n"
    SUM_ANSWER = b"wardround secure sum answer\n"
    MEMBER_KEYS = b"wardround secure sum keys\n"
    ROSTER = b"wardround secure sum roster\n"
    LEDGER = b"wardround ledger entry\n"
    JOIN = b"wardround request to join\n"
    POLICY = b"wardround published policy\n"
    PEERS = b"wardround peers\n"
    KIT = b"wardround kit\n"
    MODEL = b"wardround model files\n"
    EXCEPTION = b"wardround exception\n"
    RECALL = b"wardround recall\n"
    CONTENT = b"wardround content decision\n"
    OUTREACH = b"wardround outreach decision\n"
    PROTOCOL = b"wardround outreach protocol\n"


class SigningKey:
    """A private key. It shows its public half only."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        """Keep the key and spell its public half."""
        self._private = private
        self.public = public_key_text(private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        """Show the public half."""
        return f"SigningKey({self.public})"

    def sign(self, purpose: Purpose, payload: bytes) -> bytes:
        """Sign the payload for one purpose: 64 bytes."""
        return self._private.sign(purpose.value + payload)


def new_key() -> SigningKey:
    """Make a key from the operating system's randomness."""
    return SigningKey(Ed25519PrivateKey.generate())


def save_key(key: SigningKey, path: Path) -> None:
    """Write the private key (PEM, PKCS 8), readable by its owner alone, and its public half to ``PATH.pub``.

    Never overwrites: an existing file is a ConfigurationError. Where the public half cannot be written, neither stays.
    """
    pem = key._private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_new(path, pem, 0o600)
    try:
        save_public_half(key, path)
    except ConfigurationError:
        path.unlink(missing_ok=True)
        raise


def save_public_half(key: SigningKey, path: Path) -> None:
    """Write the public half of the key in ``path`` to ``PATH.pub``; never overwrites."""
    write_new(path.with_name(path.name + ".pub"), f"{key.public}\n".encode(), 0o644)


def load_key(path: Path) -> SigningKey:
    """Read a private key; refuses a file that others may read."""
    try:
        private = serialization.load_pem_private_key(read_private(path, "key", 10_000), password=None)
    # TypeError is what cryptography raises for a key that has a password.
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"key={path}: is not an unencrypted PEM private key") from error
    except OSError as error:
        raise ConfigurationError(f"key={path}: cannot be read ({error.strerror})") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigurationError(f"key={path}: is not an Ed25519 key")
    return SigningKey(private)


def load_public_key(path: Path) -> str:
    """Read a public key's line."""
    try:
        return checked_public_key(read_bounded(path, 1000).decode("ascii", "replace").strip())
    except OSError as error:
        raise ConfigurationError(f"key={path}: cannot be read ({error.strerror})") from error


def checked_public_key(text: str) -> str:
    """Return the text if it spells a public key in its one spelling; else ConfigurationError.

    Refuses the points of small order (order 1, 2, 4, 8) and every encoding of a point that RFC 8032 would
    not write: under such a key one signature fits many messages, and nobody needs a private key to make it
    (Chalkias, Garillot, Nikolaenko 2020, "Taming the many EdDSAs", table 1: all 14 encodings). Does not
    refuse a point of mixed order, whose owner alone can sign, nor bytes that are no point: nothing verifies
    under those.
    """
    if isinstance(text, str) and _PUBLIC_KEY.fullmatch(text):
        raw = public_key_bytes(text)
        # 43 letters carry 258 bits: base64 ignores the last two, so that one key would have four spellings.
        if public_key_text(raw) == text:
            if _is_weak(raw):
                raise ConfigurationError(
                    "key: is a point of small order, under which anybody can sign; ask its owner for a new key"
                )
            return text
    raise ConfigurationError(
        "key: is not a public key; expected ed25519: and 43 letters, as in operator.key.pub"
    )


def public_key_bytes(public: str) -> bytes:
    """Give the 32 bytes that a public key's text spells."""
    return base64.urlsafe_b64decode(public.removeprefix("ed25519:") + "=")


def public_key_text(raw: bytes) -> str:
    """Spell 32 bytes as a public key; that they are a good one, ``checked_public_key`` says."""
    return "ed25519:" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _is_weak(raw: bytes) -> bool:
    """Whether 32 bytes encode a point of small order, or a y that is not reduced (whatever the sign of x)."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    return y >= _PRIME or y in _SMALL_ORDER


def key_fingerprint(public: str) -> str:
    """Spell a public key for two people to compare: the first 16 bytes of its SHA-256, in groups of four."""
    return digits_to_compare(checked_public_key(public).encode())


def digits_to_compare(content: bytes) -> str:
    """Give the first 128 bits of the SHA-256 as 32 hexadecimal digits in groups of four."""
    # Short enough to read out, and a second file with the same digits takes 2¹²⁸ trials.
    digest = hashlib.sha256(content).hexdigest()[:32]
    return " ".join(digest[at : at + 4] for at in range(0, 32, 4))


def verifies(public: str, purpose: Purpose, payload: bytes, signature: bytes) -> bool:
    """Whether the key's owner signed this payload for this purpose; False for anything malformed."""
    try:
        raw = public_key_bytes(checked_public_key(public))
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, purpose.value + payload)
    except (ConfigurationError, InvalidSignature, ValueError):
        return False
    return True
