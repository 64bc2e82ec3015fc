"""Which refusals of strangers are worth a line in the log and a look at the ledger."""

import time
from collections.abc import Callable
from threading import Lock

NOTE_SECONDS = 60.0


class Noted:
    """Counts refusals of whoever was not verified. Safe for threads; holds one entry per clause.

    Whoever floods the door must fill neither log nor disk, and not hold the ledger's write lock before an
    honest charge: of each clause one refusal in ``NOTE_SECONDS`` is noted, with how many there were.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing counted."""
        self._clock = clock
        self._lock = Lock()
        self._due: dict[str, float] = {}
        self._count: dict[str, int] = {}

    def count(self, clause: str) -> int:
        """Count one; how many to note now, this one included, or 0 for not now."""
        with self._lock:
            self._count[clause] = self._count.get(clause, 0) + 1
            now = self._clock()
            if now < self._due.get(clause, now):
                return 0
            self._due[clause] = now + NOTE_SECONDS
            return self._count.pop(clause)
