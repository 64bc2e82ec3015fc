"""One caller's line to the server's port: how long and how large the part before a request's body may be.

uvicorn bounds neither: one header without end would fill the memory, and lines that say nothing stay for ever.
"""

from asyncio import BaseTransport, TimerHandle
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from wardround.server.network.give_back import give_back_soon

OPERATOR = b"operator"  # as a line's caller; enrolled keys are longer
LINGER_SECONDS = 0.5
HEAD_SECONDS = 10.0  # for a request's first line and headers
MOST_HEAD = 2**15  # bytes; Flower's own are below 1 KiB
MOST_HEADERS = 64  # of one request; Flower's own are below 20
MOST_LINES = 512  # beyond it the oldest line of a stranger gives way
MOST_OF_ONE = 16  # lines of one enrolled key; a SuperNode has at most six
_SLICE = 2**12  # of a head that are parsed at once


class Line(HttpToolsProtocol):
    """A line that breaks off where its caller is slow to say who it is, or goes on talking after the answer.

    caller: who has asked something by this line, an enrolled key or the operator; None for a stranger.
    when_server_stops: called then, where a request of this line is held (``held_looks``).
    """

    caller: bytes | None = None
    when_server_stops: Callable[[], None] | None = None
    _timer: TimerHandle | None = None
    _in_head, _head_bytes, _begun = True, 0, 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        """Make room: among too many lines the oldest stranger's goes."""
        super().connection_made(cast(Any, transport))
        self._begun = self.loop.time()
        self._expect_head()
        self._make_room(lambda line: line.caller is None, MOST_LINES)

    def known_as(self, caller: bytes) -> None:
        """Note whose line this is; among too many of one hospital's the oldest goes, and nobody else's."""
        self.caller = caller
        if caller != OPERATOR:
            self._make_room(lambda line: line.caller == caller, MOST_OF_ONE)

    def _make_room(self, alike: Callable[["Line"], bool], most: int) -> None:
        there = [line for line in cast(set["Line"], self.connections) if not line.transport.is_closing()]
        lines = [line for line in there if alike(line)]
        if len(lines) > most:
            min(lines, key=lambda line: line._begun).abort()

    def abort(self) -> None:
        """Drop the line at once, with what stands in its buffers."""
        self.transport.abort()

    def shutdown(self) -> None:
        """Answer what is under way, and hang up; who is held is answered now, not when the time is over."""
        super().shutdown()
        if self.when_server_stops is not None:
            self.when_server_stops()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the timer go with the line."""
        self._stop_timer()
        super().connection_lost(exc)
        give_back_soon(self.loop)

    def data_received(self, data: bytes) -> None:
        """Parse what came, a head in slices: one that is larger than any honest one ends the line.

        uvicorn would make an object of each of 60,000 headers that fit into one reading, for each line.
        """
        while data and self._in_head and not self.transport.is_closing():
            part, data = data[:_SLICE], data[_SLICE:]
            self._head_bytes += len(part)
            if self._head_bytes > MOST_HEAD + _SLICE:
                self.abort()
                return
            super().data_received(part)
        if data and not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request; the app finds this line in its scope.

        ValueError, which httptools takes for a fault of the request, where another one waits already: uvicorn
        would queue thousands. One may wait, for Flower's app ends an answer shortly after its last byte left.
        """
        if self.pipeline:
            self.abort()
            raise ValueError("requests sent before the answer to the last one")
        super().on_message_begin()
        cast(dict[str, Any], self.scope)["line"] = self
        self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; drop the line where there are more than any honest request has.

        8,000 short ones fit into a head of 32 KiB, and each is two objects of Python.
        """
        if len(self.headers) < MOST_HEADERS:
            super().on_header(name, value)
        else:
            self.abort()

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
