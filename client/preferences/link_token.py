"""What stands in a patient's link: 51 bytes as 68 letters, digits, ``-`` and ``_``. Pure.

    key        1 byte    which of the hospital's keys sealed it
    last day   2 bytes   days since 2026-01-01, big-endian
    sealed    40 bytes   whom and which message it means; the hospital's own key alone opens it (``outreach.by_page``)
    mark       8 bytes   HMAC-SHA-256 over all before it, cut

The page holds the key of the mark and not that of the seal: it can tell that a link is the hospital's, and not whose it
is. A mark is guessed once in 2⁶⁴ tries, each of them a request; whoever has its key (the page's own machine) can make
links that pass here, and none that the hospital opens.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

BY_LINK = "/p/"
"""How the path of a link begins."""
SEALED_BYTES, MARK_BYTES, MARK_KEY_BYTES = 40, 8, 32
HEAD_BYTES = 3
TOKEN_CHARACTERS = 4 * (HEAD_BYTES + SEALED_BYTES + MARK_BYTES) // 3
MOST_KEYS = 255
FIRST_DAY = date(2026, 1, 1)
_SPELLED = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_CHARACTERS}}}")


@dataclass(frozen=True)
class LinkToken:
    """A token whose mark is right. key: its number; spelled: as it stands in the link."""

    key: int
    last_day: date
    sealed: bytes = field(repr=False)
    spelled: str = field(repr=False)

    @property
    def head(self) -> bytes:
        """What is bound to the seal."""
        return head_of(self.key, self.last_day)


def head_of(key: int, last_day: date) -> bytes:
    """Spell key and day; ValueError for what three bytes cannot hold."""
    try:
        return key.to_bytes(1, "big") + (last_day - FIRST_DAY).days.to_bytes(2, "big")
    except OverflowError as error:
        raise ValueError(f"key={key}, last day={last_day}: cannot stand in a link") from error


def spell_token(head: bytes, sealed: bytes, mark_key: bytes) -> str:
    """Spell a token with its mark."""
    body = head + sealed
    return urlsafe_b64encode(body + _mark(body, mark_key)).decode("ascii")


def read_token(text: str, mark_keys: Mapping[int, bytes]) -> LinkToken | None:
    """Read a token; None for whatever the hospital did not make. mark_keys: by the key's number.

    Whether its last day is past is for the caller to say.
    """
    if not _SPELLED.fullmatch(text):
        return None
    content = urlsafe_b64decode(text)
    body, mark = content[:-MARK_BYTES], content[-MARK_BYTES:]
    key = mark_keys.get(body[0])
    if key is None or not hmac.compare_digest(_mark(body, key), mark):
        return None
    last_day = FIRST_DAY + timedelta(days=int.from_bytes(body[1:HEAD_BYTES], "big"))
    return LinkToken(body[0], last_day, body[HEAD_BYTES:], text)


def _mark(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, hashlib.sha256)[:MARK_BYTES]
