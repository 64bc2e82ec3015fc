"""How a SuperNode that waits for messages asks its server to hold the look (``server.network.held_looks``).

So it asks every 16 s instead of every 3 s, and gets a message at once. While the server holds its look, it knows by
that line that the SuperNode lives; a heartbeat would say it again. A server of an earlier release answers at once, and
is asked as often, and sent as many heartbeats, as before.
"""

import time
from collections.abc import Callable

import httpx

from wardround.protocol.wire.held_look import HELD, LONGEST_HELD_SECONDS, WAIT

LOOK_PATH = "/v1/fleet/pull-messages"
GRACE_SECONDS = 2.0
"""How long after a held look the server is sure to have noted the node: until its next look begins, and no longer."""


class LongLooks:
    """The looks of this process, one after the other, and what the server said of the last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: never goes back."""
        self._clock = clock
        self.held = False
        """Whether the last look that was answered had been held."""
        self._certain_until = float("-inf")

    def carry(self, request: httpx.Request, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send a request, by ``send``; a look asks to be held. Raises what ``send`` raises."""
        if request.url.path != LOOK_PATH:
            return send()
        request.headers[WAIT] = "1"
        if self.held:
            self._certain_until = self._clock() + LONGEST_HELD_SECONDS + GRACE_SECONDS
        try:
            answer = send()
        except BaseException:
            self.held, self._certain_until = False, float("-inf")
            raise
        self.held = HELD in answer.headers
        self._certain_until = self._clock() + GRACE_SECONDS if self.held else float("-inf")
        return answer

    def instead_of(self, heartbeat: Callable[[], bool]) -> Callable[[], bool]:
        """Give a heartbeat that is sent only where the server does not know by a held look that this node lives."""

        def beat() -> bool:
            return self._clock() < self._certain_until or heartbeat()

        return beat
