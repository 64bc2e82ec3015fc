"""Waiting for others: pauses that double, an end to them, and lines that are not repeated."""

import math
import time
from collections.abc import Callable

_LOOK_SECONDS = 0.2


class Backoff:
    """Pauses that double up to a longest one, over at most so many seconds.

    The time starts with the first pause after ``reset``: after days without trouble, a wait still has its full length.
    """

    def __init__(
        self,
        first_seconds: float,
        longest_seconds: float,
        *,
        give_up_seconds: float = math.inf,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """give_up_seconds: until ``sleep`` gives False. stopped: asked during a sleep, which then ends at once."""
        self._first, self._longest, self._limit, self._stopped = (
            first_seconds,
            longest_seconds,
            give_up_seconds,
            stopped,
        )
        self.reset()

    def reset(self) -> None:
        """Begin anew with the first pause: something went well."""
        self._until: float | None = None
        self._next = self._first

    def next_pause(self) -> float:
        """Give the seconds of the next pause, for whoever sleeps by another clock."""
        pause, self._next = self._next, min(2 * self._next, self._longest)
        return pause

    def sleep(self) -> bool:
        """Sleep the next pause and return True; False, at once, where the time is up."""
        # Not the wall clock, which may be set during a wait of hours.
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._limit
        if now >= self._until:
            return False
        end = min(now + self.next_pause(), self._until)
        # In short sleeps: an operator who stops a study must not wait for the longest pause.
        while (left := end - time.monotonic()) > 0 and not self._stopped():
            time.sleep(min(left, _LOOK_SECONDS))
        return True


class LastLine:
    """What was last reported, so that a wait of hours does not fill a log with one line."""

    def __init__(self) -> None:
        """Nothing was reported yet."""
        self._line = ""

    def clear(self) -> None:
        """Forget it: the same line is news again."""
        self._line = ""

    def differs(self, line: str) -> bool:
        """Return True if ``line`` differs from the last one given here."""
        before, self._line = self._line, line
        return line != before
