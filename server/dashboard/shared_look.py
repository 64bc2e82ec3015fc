"""One look at everything for all who ask at about the same time."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

KEPT = timedelta(seconds=5)
"""A look reads every study's log and asks the server: somebody who keeps a key pressed must not slow a round down."""


class SharedLook:
    """Looks anew when the last look is too old, one at a time. Safe for threads."""

    def __init__(self, look: Callable[[], Mapping[str, Any]], clock: Callable[[], datetime]) -> None:
        """Take how to look; nothing is looked at yet."""
        self._look, self._clock, self._lock = look, clock, Lock()
        self._last: tuple[datetime, Mapping[str, Any]] | None = None

    def __call__(self) -> Mapping[str, Any]:
        """Give how everything stands, with ``looked_at``; what is raised is not kept."""
        with self._lock:
            now = self._clock()
            if self._last is None or not timedelta(0) <= now - self._last[0] < KEPT:
                self._last = None
                self._last = now, {**self._look(), "looked_at": now.isoformat()}
            return self._last[1]
