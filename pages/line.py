"""One caller's line to a server of ours: how long and how large the part before a request's body may be.

uvicorn bounds neither: one header without end would fill the memory, and lines that say nothing stay for ever.
"""

import ipaddress
from asyncio import BaseTransport, TimerHandle
from collections import Counter
from collections.abc import Callable
from typing import Any, Self, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_SECONDS = 0.5
HEAD_SECONDS = 10.0  # for a request's first line and headers
MOST_HEAD = 2**15  # bytes; Flower's own are below 1 KiB, a browser's below 8
MOST_HEADERS = 64  # of one request; Flower's own are below 20, a browser's below 30
_SLICE = 2**12  # of a head that are parsed at once

BODY_SECONDS = 20.0  # for the rest of a request: a form of some KiB
ANSWER_SECONDS = 120.0  # until the answer was made and taken
MOST_WAITING = 200  # lines of people's browsers that are not being answered
_ONE_NETWORK = 64  # bits of an IPv6 address that one household has


class BoundedLine(HttpToolsProtocol):
    """A line that breaks off where its caller is slow to say who it is, or goes on talking after the answer."""

    _timer: TimerHandle | None = None
    _in_head, _head_bytes, _begun = True, 0, 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin, with a bounded time for the first request's head; then ``make_room``."""
        super().connection_made(cast(Any, transport))
        self._begun = self.loop.time()
        self._expect_head()
        self.make_room()

    def make_room(self) -> None:
        """Drop a line where there are too many now (``drop_oldest``)."""
        raise NotImplementedError

    def lines(self, alike: Callable[[Self], bool]) -> list[Self]:
        """Return the open lines of this server that are alike."""
        there = cast(set[Self], self.connections)
        return [line for line in there if not line.transport.is_closing() and alike(line)]

    def drop_oldest(self, lines: list[Self], most: int) -> None:
        """Drop the oldest of these lines where they are more than that."""
        if len(lines) > most:
            min(lines, key=lambda line: line._begun).abort()

    def abort(self) -> None:
        """Drop the line at once, with what stands in its buffers."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the timer go with the line."""
        self._stop_timer()
        super().connection_lost(exc)

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
        would queue thousands. One may wait, for an app may end an answer shortly after its last byte left.
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
        """Go on to the body, which others bound."""
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
        self._abort_in(HEAD_SECONDS)

    def _abort_in(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class BrowserLine(BoundedLine):
    """A browser's line to our pages. Silent, slow or many callers keep nobody else out.

    A request has its time, its answer has its time, and of too many lines that wait the oldest of the network that
    has most of them goes. (With uvicorn's own bound, a hundred silent lines turn everybody else away.)
    """

    def make_room(self) -> None:
        """Among too many lines that are not being answered, the network with most of them loses its oldest."""
        waiting = self.lines(lambda line: line.waits)
        if len(waiting) > MOST_WAITING:
            ((most, _),) = Counter(line.network for line in waiting).most_common(1)
            self.drop_oldest([line for line in waiting if line.network == most], 0)

    @property
    def waits(self) -> bool:
        """Whether no request of this line is being answered."""
        return self.cycle is None or self.cycle.more_body or self.cycle.response_complete

    @property
    def network(self) -> str:
        """Where the caller is: an IPv4 address, or the half of an IPv6 address that one household has."""
        host = self.client[0] if self.client else ""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host
        bits = 32 if address.version == 4 else _ONE_NETWORK
        return str(ipaddress.ip_network((address, bits), strict=False))

    def on_headers_complete(self) -> None:
        """Go on to the body, which has a time of its own."""
        super().on_headers_complete()
        self._abort_in(BODY_SECONDS)

    def on_message_complete(self) -> None:
        """The request is whole; from now on the answer has its time."""
        super().on_message_complete()
        if not self.cycle.response_complete:
            self._abort_in(ANSWER_SECONDS)

    def on_response_complete(self) -> None:
        """Let uvicorn close a line that is kept for another request; this ends one that takes no bytes."""
        super().on_response_complete()
        self._abort_in(self.timeout_keep_alive + HEAD_SECONDS)
