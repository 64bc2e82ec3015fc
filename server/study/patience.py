"""Waiting for others: pauses that grow, words that are not repeated, and an end."""

import time
from collections.abc import Callable

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
_LOOK_SECONDS = 0.2


class Patience:
    """How long something is tried in vain. It runs from the first pause after the last progress."""

    def __init__(self, seconds: float, stopped: Callable[[], bool]) -> None:
        """seconds: until it ends. stopped: asked during a pause, which then ends at once."""
        self._seconds, self._stopped = seconds, stopped
        self.progressed()

    def progressed(self) -> None:
        """Begin anew."""
        self._until: float | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._said = ""

    def news(self, line: str) -> bool:
        """Tell whether this is other than what was last to be said."""
        before, self._said = self._said, line
        return line != before

    def pause(self) -> bool:
        """Sleep, twice as long as the last time; False, at once, where the time is up."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
        if now >= self._until:
            return False
        end = min(now + self._pause, self._until)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        while (left := end - time.monotonic()) > 0 and not self._stopped():
            time.sleep(min(left, _LOOK_SECONDS))
        return True
