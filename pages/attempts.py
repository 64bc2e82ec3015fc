"""How often somebody may try to log in: by account and by address, so that no password can be guessed."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

BY_ACCOUNT, BY_ADDRESS = 10, 100
"""Wrong passwords in a row before each further try must wait. On loopback everybody has one address."""
ONE_MORE_AFTER = timedelta(minutes=1)
MOST_KEPT = 10_000


@dataclass
class _Count:
    wrong: float
    at: datetime


def still_wrong(wrong: float, at: datetime, now: datetime) -> float:
    """Give how many wrong passwords still count; a clock that was set back forgives nothing, and adds nothing."""
    return max(wrong - max(now - at, timedelta()) / ONE_MORE_AFTER, 0.0)


class Attempts:
    """Wrong passwords, counted; one is forgiven a minute. Safe for threads.

    Guarantee: of one account at most 10 passwords are tried at once, and 1,450 a day, whether there is such an account
    or not. Who guesses can so keep its person out for a minute at a time; a session that is open goes on.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """Nobody tried anything."""
        self._clock = clock
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()
        self._lock = Lock()

    def take(self, account: str, address: str) -> bool:
        """Count a try as wrong; False where there were too many, and then no password may be compared."""
        with self._lock:
            counted = [self._now(("account", account[:100])), self._now(("address", address[:100]))]
            if counted[0].wrong > BY_ACCOUNT - 1 or counted[1].wrong > BY_ADDRESS - 1:
                return False
            for one in counted:
                one.wrong += 1
            return True

    def forgive(self, account: str, address: str) -> None:
        """Take a try back that was right, and what was wrong of this account before it."""
        with self._lock:
            self._counts.pop(("account", account[:100]), None)
            self._now(("address", address[:100])).wrong -= 1

    def _now(self, key: tuple[str, str]) -> _Count:
        now = self._clock()
        count = self._counts.setdefault(key, _Count(0.0, now))
        count.wrong = still_wrong(count.wrong, count.at, now)
        count.at = now
        self._counts.move_to_end(key)
        while len(self._counts) > MOST_KEPT:
            self._counts.popitem(last=False)
        return count
