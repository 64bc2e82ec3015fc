"""Seals of pages: what a page showed to whom, and when, so that a decision holds for what the person saw.

Keyed, so that no count or text can be read off a seal that its page does not show.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable

from wardround.protocol.errors import ConfigurationError

_LOOK_AGAIN = "messages: they changed since you saw them; look at the page again"


class PageSeals:
    """The seals of one desk. clock: seconds that never go back."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        """key: fresh for each desk."""
        self._key, self._clock = key, clock

    def seal(self, person: str, shown: Iterable[str], at: int | None = None) -> str:
        """Seal what was shown to a person. shown: a line for each thing, in any order; at: when, now without it."""
        at = int(self._clock()) if at is None else at
        said = "\n".join([person, str(at), *sorted(shown)])
        return f"{at}:{hmac.digest(self._key, said.encode(), hashlib.sha256).hex()}"

    def seconds(self, person: str, shown: Iterable[str], seal: str) -> float:
        """Say how long this was before the person; ConfigurationError where it is not what they saw."""
        text = seal.partition(":")[0]
        at = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
        if at < 0 or not hmac.compare_digest(
            self.seal(person, shown, at).encode(), seal.encode("utf-8", "replace")
        ):
            raise ConfigurationError(_LOOK_AGAIN)
        return max(self._clock() - at, 0.0)
