"""How far each hospital's clock is from this machine's: read off the times that its SuperNode signs.

A SuperNode whose clock is too far off is turned away, and would look as if it were not there: its time is noted too.
The file is for ``status``; it is written at most every ``WRITE_SECONDS``, and its loss loses nothing.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from wardround.protocol.files import read_bounded
from wardround.protocol.text.plain import read_json

CLOCKS = "clocks.json"
WRITE_SECONDS, STRANGE_SECONDS = 30.0, 10.0
"""STRANGE_SECONDS: how often a key's time is checked that is too far off to be let in."""
NOTABLE_SECONDS = 2.0
"""From which difference on people are told: what is less may be the way."""
MOST_KEYS = 1000
_LARGEST = 2**20


class Clocks:
    """The last difference of each key, in memory and in a file."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: never goes back."""
        self._path, self._clock = path, clock
        self._ahead: dict[str, tuple[float, str]] = {}
        self._looked: dict[bytes, float] = {}
        self._written = float("-inf")

    def wants(self, key: bytes) -> bool:
        """Whether to check a time that is too far off: at most every ``STRANGE_SECONDS`` for each key."""
        if self._clock() - self._looked.get(key, float("-inf")) < STRANGE_SECONDS:
            return False
        self._looked[key] = self._clock()
        return True

    def note(self, key: bytes, signed_at: datetime, now: datetime) -> None:
        """Note what a key signed; the way here counts as being behind."""
        name = key_name(key)
        if name in self._ahead or len(self._ahead) < MOST_KEYS:
            self._ahead[name] = (
                round((signed_at - now).total_seconds(), 1),
                now.isoformat(timespec="seconds"),
            )
        if self._clock() - self._written >= WRITE_SECONDS:
            self._written = self._clock()
            # Not durable, and a full disk keeps no hospital out.
            with suppress(OSError):
                part = self._path.with_suffix(".part")
                part.write_text(json.dumps(self._ahead), encoding="ascii")
                part.replace(self._path)


def key_name(key: bytes) -> str:
    """Name a key in the file."""
    return sha256(key).hexdigest()


def read_clocks(path: Path) -> Mapping[str, float]:
    """Give by ``key_name`` how many seconds each clock was ahead when last heard; nothing where nobody can read it."""
    try:
        plain = read_json(read_bounded(path, _LARGEST), _LARGEST)
        return {str(name): float(ahead) for name, (ahead, _) in plain.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
