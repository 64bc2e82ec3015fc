"""What a patient chose, as it is sealed for the hospital: HPKE (RFC 9180) with X25519, HKDF-SHA-256, ChaCha20-Poly1305.

Every sealed choice has the same length: neither its size nor its file's name says what was chosen, or by whom.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from wardround.client.preferences.link_token import TOKEN_CHARACTERS
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import is_name

PADDED_BYTES = 4096
SEALED_CHOICE_BYTES = PADDED_BYTES + 32 + 16
"""The sender's fresh public key, the padded text, Poly1305's tag."""
MOST_TOPICS = 30
END = "end"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
INFO = b"wardround patients' choice 1"
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a form asks for; the defaults ask for nothing.

    stop: no messages at all. topics, channels: False for no more of these, True for these again, as far as it was this
    page that stopped them. until: pause up to this day, ISO; ``END`` ends a pause that this page began.
    """

    stop: bool = False
    topics: Mapping[str, bool] = field(default_factory=dict)
    channels: Mapping[str, bool] = field(default_factory=dict)
    until: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        return self == Wish()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A wish with the link that it came by. id: 32 random hexadecimal digits, so that a copy counts once."""

    id: str
    token: str = field(repr=False)
    at: datetime
    wish: Wish


def seal_choice(choice: Choice, public_key: bytes) -> bytes:
    """Seal a choice for the hospital: ``SEALED_CHOICE_BYTES`` bytes."""
    plain = {**asdict(choice), "at": choice.at.astimezone(UTC).isoformat(timespec="milliseconds")}
    text = json.dumps(plain, sort_keys=True).encode().ljust(PADDED_BYTES)
    if len(text) != PADDED_BYTES:
        raise ValueError(f"a choice of {len(text)} bytes: at most {PADDED_BYTES}")
    return SUITE.encrypt(text, X25519PublicKey.from_public_bytes(public_key), info=INFO)


def open_choice(sealed: bytes, private_key: bytes) -> Choice | None:
    """Open a choice; None where it is not for this key, or no choice.

    Whoever has the page's machine can seal what they like: everything is checked here.
    """
    try:
        text = SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private_key), info=INFO)
        return _choice(read_json(text, PADDED_BYTES))
    except (InvalidTag, ValueError, TypeError, KeyError, AttributeError):
        return None


def _choice(plain: object) -> Choice | None:
    if not isinstance(plain, dict) or plain.keys() != {"id", "token", "at", "wish"}:
        return None
    wish = Wish(**plain["wish"])
    choice = Choice(id=plain["id"], token=plain["token"], at=datetime.fromisoformat(plain["at"]), wish=wish)
    texts = isinstance(choice.id, str) and _ID.fullmatch(choice.id) and len(choice.token) == TOKEN_CHARACTERS
    listed = (wish.topics, wish.channels)
    words = all(
        isinstance(part, dict)
        and len(part) <= MOST_TOPICS
        and all(is_name(word) and isinstance(on, bool) for word, on in part.items())
        for part in listed
    )
    day = wish.until in ("", END) or bool(date.fromisoformat(wish.until))
    whole = texts and words and day and isinstance(wish.stop, bool) and choice.at.tzinfo is not None
    return choice if whole else None
