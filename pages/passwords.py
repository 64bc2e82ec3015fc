"""Passwords: argon2id, in the one text that holds salt and cost beside the key (PHC string)."""

import os
import unicodedata
from base64 import b64encode

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from wardround.protocol.errors import ConfigurationError

LEAST_CHARACTERS, MOST_CHARACTERS = 15, 200
"""15: what NIST SP 800-63B-4 asks of a password that stands alone; no rule on kinds of characters, as it says."""
MEMORY_KIB, PASSES, LANES, KEY_BYTES, SALT_BYTES = 19 * 1024, 2, 1, 32, 16
"""OWASP's first choice for argon2id."""


def check_password(password: str, *names: str) -> None:
    """Refuse a new password that is too short, too long, or is made of a name; ConfigurationError never quotes it."""
    plain = _spelled(password)
    if not LEAST_CHARACTERS <= len(plain) <= MOST_CHARACTERS:
        raise ConfigurationError(
            f"password: must have {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters; a few words that you make up"
        )
    if len(set(plain)) < LEAST_CHARACTERS // 3:
        raise ConfigurationError(
            "password: repeats a few characters; a few words that you make up are better"
        )
    if any(len(name) > 2 and name.casefold() in plain.casefold() for name in names):
        raise ConfigurationError("password: holds the account's name, or its person's; choose other words")


def hash_password(password: str) -> str:
    """Give the text to keep, with a fresh salt."""
    return _function(os.urandom(SALT_BYTES)).derive_phc_encoded(_spelled(password).encode())


def hash_of_nothing() -> str:
    """Give a text of a kept password's form that no password is known to have; to compare costs what others cost."""
    salt, key = (b64encode(os.urandom(size)).decode().rstrip("=") for size in (SALT_BYTES, KEY_BYTES))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${key}"


def is_password(password: str, kept: str) -> bool:
    """Whether this is the password of which ``kept`` is kept."""
    try:
        Argon2id.verify_phc_encoded(_spelled(password[: 2 * MOST_CHARACTERS]).encode(), kept)
    except (InvalidKey, ValueError):
        return False
    return True


def _function(salt: bytes) -> Argon2id:
    return Argon2id(salt=salt, length=KEY_BYTES, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB)


def _spelled(password: str) -> str:
    """Spell what one keyboard sends as composed letters, and another as letter and accent, in one way."""
    return unicodedata.normalize("NFKC", password)
