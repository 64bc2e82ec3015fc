"""``keys/preferences.key``: one line for each key, its number and 64 hexadecimal digits. The last one is in use.

From each secret three keys derive (HKDF-SHA-256, RFC 5869): one seals links (AES-SIV, RFC 5297), one marks them, one is
the X25519 key that opens choices. Older keys stay, so that links in messages that were sent go on working.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wardround.client.preferences.link_token import MARK_KEY_BYTES, MOST_KEYS
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_private, write_durably, write_new

PREFERENCES_KEY = "keys/preferences.key"
_SECRET_BYTES, _SIV_BYTES, _MODE = 32, 64, 0o600
_LARGEST = 100 * MOST_KEYS
_LINE = re.compile(r"([0-9]{1,3}) ([0-9a-f]{64})")


@dataclass(frozen=True)
class PageKey:
    """One key. number: as links name it."""

    number: int
    secret: bytes = field(repr=False)

    @cached_property
    def seal(self) -> bytes:
        """The key under which the hospital seals links for itself, 64 bytes."""
        return self._derived(b"link", _SIV_BYTES)

    @cached_property
    def mark(self) -> bytes:
        """The key by which the page tells the hospital's links, 32 bytes."""
        return self._derived(b"mark", MARK_KEY_BYTES)

    @cached_property
    def private(self) -> bytes:
        """The X25519 key that opens choices, 32 bytes."""
        return self._derived(b"choices", _SECRET_BYTES)

    @cached_property
    def public(self) -> bytes:
        """The key under which the page seals choices."""
        return X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()

    def _derived(self, use: bytes, length: int) -> bytes:
        # HKDF objects derive once.
        return HKDF(SHA256(), length, None, b"wardround preferences " + use).derive(self.secret)


def load_page_keys(home: Path) -> Mapping[int, PageKey]:
    """Read the keys, by number, the newest last; ConfigurationError where they are missing, or others may read them."""
    path = home / PREFERENCES_KEY
    try:
        content = read_private(path, "key", _LARGEST).decode("ascii", "replace")
    except OSError as error:
        raise ConfigurationError(
            f"key={path}: cannot be read ({error.strerror}); begin with: wardround-hospital preferences begin"
        ) from error
    found = [_LINE.fullmatch(line) for line in content.splitlines()]
    keys = {int(one[1]): PageKey(int(one[1]), bytes.fromhex(one[2])) for one in found if one}
    if not keys or len(keys) != len(found) or list(keys) != list(range(1, len(keys) + 1)):
        raise ConfigurationError(f"key={path}: is not what preferences begin writes; restore the newest copy")
    return keys


def begin_page_keys(home: Path) -> None:
    """Write the first key; ConfigurationError where there is a file already."""
    write_new(home / PREFERENCES_KEY, _spelled([secrets.token_bytes(_SECRET_BYTES)]), _MODE)


def add_page_key(home: Path) -> int:
    """Put a new key behind the others, and give its number. Links that were sent go on working under theirs."""
    known = [one.secret for one in load_page_keys(home).values()]
    if len(known) >= MOST_KEYS:
        raise ConfigurationError(
            f"key={home / PREFERENCES_KEY}: holds {MOST_KEYS} keys, as many as there can be"
        )
    content = _spelled([*known, secrets.token_bytes(_SECRET_BYTES)])
    try:
        write_durably(home / PREFERENCES_KEY, content, _MODE)
    except OSError as error:
        raise ConfigurationError(
            f"key={home / PREFERENCES_KEY}: cannot be written ({error.strerror})"
        ) from error
    return len(known) + 1


def _spelled(keys: list[bytes]) -> bytes:
    return "".join(f"{number} {key.hex()}\n" for number, key in enumerate(keys, 1)).encode()
