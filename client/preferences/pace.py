"""How often one link may be used: so that nobody fills the spool with a link of their own."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

AT_ONCE, ONE_MORE_AFTER = 10, timedelta(minutes=10)
MOST_KEPT = 20_000


class LinkPace:
    """Counts uses by key; one is forgotten each ten minutes. Safe for threads.

    By link, and not by address: mail programs unsubscribe many people from one address (RFC 8058).
    Guarantee: one link makes at most ``AT_ONCE`` choices at once, and 154 a day.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """Nobody came yet."""
        self._clock = clock
        self._used: OrderedDict[str, tuple[float, datetime]] = OrderedDict()
        self._lock = Lock()

    def take(self, key: str) -> bool:
        """Count a use; False where there were too many."""
        with self._lock:
            now = self._clock()
            used, at = self._used.pop(key, (0.0, now))
            used = max(used - (now - at) / ONE_MORE_AFTER, 0.0)
            allowed = used <= AT_ONCE - 1
            self._used[key] = (used + 1 if allowed else used, now)
            while len(self._used) > MOST_KEPT:
                self._used.popitem(last=False)
            return allowed
