"""One caller's line to the server's port: how long and how large the part before a request's body may be.

uvicorn bounds neither: one header without end would fill the memory, and lines that say nothing stay for ever.
"""

from asyncio import BaseTransport, TimerHandle
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_SECONDS = 0.5
HEAD_SECONDS = 10.0  # for a request's first line and headers
MOST_HEAD = 2**15  # bytes; Flower's own are below 1 KiB
MOST_LINES = 512  # beyond it the oldest line of a stranger gives way


class Line(HttpToolsProtocol):
    """A line that breaks off where its caller is slow to say who it is, or goes on talking after the answer.

    known: set by the doorkeeper once an enrolled key, or the operator, has asked something by this line.
    """

    known = False
    _timer: TimerHandle | None = None
    _in_head, _head_bytes, _begun = True, 0, 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        """Make room: among too many lines the oldest stranger's goes."""
        super().connection_made(cast(Any, transport))
        self._begun = self.loop.time()
        self._expect_head()
        lines = cast(set["Line"], self.connections)
        if len(lines) > MOST_LINES:
            strangers = [line for line in lines if not line.known]
            min(strangers or lines, key=lambda line: line._begun).abort()

    def abort(self) -> None:
        """Drop the line at once, with what stands in its buffers."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the timer go with the line."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; a head that is larger than any honest one ends the line."""
        self._head_bytes += len(data) if self._in_head else 0
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD:
            self.abort()

    def on_message_begin(self) -> None:
        """Begin a request; the app finds this line in its scope."""
        super().on_message_begin()
        cast(dict[str, Any], self.scope)["line"] = self
        self._expect_head()

    def on_headers_complete(self) -> None:
        """Go on to the body, which the doorkeeper bounds."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another request's head."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Leave the answer its time to arrive, and hang up.

        uvicorn closes such a line in TLS's way: uvloop would take in and drop whatever comes for another 30 s.
        """
        super().on_response_complete()
        if self.transport.is_closing() and self.cycle.more_body:
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _expect_head(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(HEAD_SECONDS, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
