"""How much of something may happen per second: a token bucket that serves the smallest first."""

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count

Rank = tuple[float, ...]


class Pace:
    """At most ``burst`` at once, and ``rate`` a second on average; who has to wait is served by rank.

    Guarantee: within any t seconds at most ``burst + rate × t`` is begun, and one further piece.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with a full bucket."""
        self._rate, self._burst, self._clock = rate, burst, clock
        self._share = 1.0
        self._level, self._at = burst, clock()
        self._waiting: list[tuple[Rank, int, float, asyncio.Future[None]]] = []
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, amount: float, rank: Rank = ()) -> None:
        """Wait until ``amount`` may happen; lower ranks first, then who came first."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiting, (rank, next(self._number), amount, turn))
        self._serve()
        await turn

    def slow_to(self, share: float) -> None:
        """From now on go at this share of the rate, within (0, 1]; who waits is served by it too."""
        self._fill()
        self._share = share
        if self._timer is not None:
            self._serve()

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate * self._share)
        self._at = now

    def _serve(self) -> None:
        self._fill()
        # Above 0 is enough, and the level may fall below: a piece larger than the burst would wait for ever.
        while self._waiting and (self._level > 0 or self._waiting[0][3].done()):
            _, _, amount, turn = heapq.heappop(self._waiting)
            if not turn.done():  # else its caller went away
                self._level -= amount
                turn.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            pause = max(-self._level / (self._rate * self._share), 0.001)
            self._timer = asyncio.get_running_loop().call_later(pause, self._serve)
