"""Which refusals of strangers are worth a line in the log and a look at the ledger."""

import time
from collections.abc import Callable
from threading import Lock

NOTE_SECONDS = 60.0
MOST_NOTED = 1000


class Noted:
    """Counts refusals by clause and, where a plan was verified, study. Safe for threads; holds ``MOST_NOTED`` kinds.

    Whoever floods the door must fill neither log nor disk, and not hold the ledger's write lock before an
    honest charge: of each kind one refusal in ``NOTE_SECONDS`` is noted, with how many there were. Where there are
    too many kinds, all further ones are one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing counted."""
        self._clock = clock
        self._lock = Lock()
        self._due: dict[str, float] = {}
        self._count: dict[str, int] = {}

    def count(self, kind: str) -> int:
        """Count one; how many to note now, this one included, or 0 for not now."""
        with self._lock:
            now = self._clock()
            if kind not in self._due and len(self._due) >= MOST_NOTED:
                self._due = {one: due for one, due in self._due.items() if due > now or one in self._count}
                kind = kind if len(self._due) < MOST_NOTED else ""
            self._count[kind] = self._count.get(kind, 0) + 1
            if now < self._due.get(kind, now):
                return 0
            self._due[kind] = now + NOTE_SECONDS
            return self._count.pop(kind)
