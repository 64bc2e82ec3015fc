"""Looks for messages that are held until there is one, so that SuperNodes that wait need not ask again and again.

A SuperNode that can wait says so by a header (``protocol.wire.held_look``); one of an earlier release does not, and is
answered at once as before. An answer that was held says so too: the SuperNode then asks again at once, and need not
say that it lives, since the server says it for whoever waits here.

A look ends when a message for its node is here with all its parts, when it was held for ``LONGEST_HELD_SECONDS``,
when its caller hangs up, or when the server stops. Missed news so cost a delay and nothing else: each look ends by
asking Flower's database.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

from flwr.supercore.inflatable.inflatable_object import iterate_object_tree

from wardround.protocol.wire.held_look import LONGEST_HELD_SECONDS, WAIT

BEATS = 2
"""How often, while a look is held, the server notes that the node which waits lives."""
ALIVE_SECONDS = 10.0
"""For how long Flower then takes it to be there, twice."""


def asks_to_be_held(headers: Mapping[str, str]) -> bool:
    """Whether the caller of a look can wait for its answer."""
    return WAIT in headers


class News:
    """What one held look waits for."""

    def __init__(self, looks: "HeldLooks", node: int) -> None:
        """Begin within the event loop."""
        self._looks, self._node = looks, node
        self._loop, self._came, self._stops = asyncio.get_running_loop(), asyncio.Event(), False

    @property
    def incomplete(self) -> bool:
        """Whether a message for the node is known of which parts are still to come."""
        return self._looks.waits_for_parts(self._node)

    def tell(self) -> None:
        """End the wait: a message has come. From any thread."""
        self._loop.call_soon_threadsafe(self._came.set)

    def stop(self) -> None:
        """End the wait: the server stops."""
        self._stops = True
        self._came.set()

    async def wait(
        self, alive: Callable[[], Awaitable[None]], receive: Callable[[], Awaitable[Mapping[str, Any]]]
    ) -> bool:
        """Wait for a message, or for as long as looks are held; whether there is anybody to be told.

        alive: notes that the node lives. receive: of the request, which says when the caller has hung up. To that one
        no message may be given: it would be lost.
        """
        gone, came = (asyncio.ensure_future(one) for one in (_hung_up(receive), self._came.wait()))
        try:
            for _ in range(BEATS):
                await alive()
                await asyncio.wait(
                    {gone, came}, timeout=self._looks.beat_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if gone.done() or came.done():
                    break
            else:
                self._looks.forget_parts(self._node)
            return not gone.done() and not self._stops
        finally:
            gone.cancel()
            came.cancel()


class HeldLooks:
    """All looks that are held now, and the parts that messages still lack. From any thread, but for ``open``."""

    def __init__(self, longest_seconds: float = LONGEST_HELD_SECONDS) -> None:
        """longest_seconds: for which a look is held."""
        self.beat_seconds = longest_seconds / BEATS
        self._open: defaultdict[int, set[News]] = defaultdict(set)
        self._missing: dict[int, set[str]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def open(self, node: int, line: Any) -> Iterator[News]:
        """Be told what comes for a node from now on. line: the caller's, which says when the server stops; or None."""
        news = News(self, node)
        if line is not None:
            line.when_server_stops = news.stop
        with self._lock:
            self._open[node].add(news)
        try:
            yield news
        finally:
            if line is not None:
                line.when_server_stops = None
            with self._lock:
                self._open[node].discard(news)
                if not self._open[node]:
                    del self._open[node]

    def laid_down(self, messages: Mapping[int, AbstractSet[str]], missing: AbstractSet[str]) -> None:
        """Note messages that a study has laid down: the parts of each by its node; those that are still to come."""
        with self._lock:
            for node, parts in messages.items():
                self._missing[node] = self._missing.get(node, set()) | (parts & missing)
            self._tell_whole(messages)

    def arrived(self, part: str) -> None:
        """Note a part that has come; whoever's message is whole by it is told."""
        with self._lock:
            lacked = [node for node, parts in self._missing.items() if part in parts]
            for node in lacked:
                self._missing[node].discard(part)
            self._tell_whole(lacked)

    def _tell_whole(self, nodes: Any) -> None:
        for node in nodes:
            if not self._missing.get(node):
                self._missing.pop(node, None)
                for news in self._open.get(node, ()):
                    news.tell()

    def waits_for_parts(self, node: int) -> bool:
        """Whether a message for this node is not whole yet."""
        with self._lock:
            return node in self._missing

    def forget_parts(self, node: int) -> None:
        """Wait no longer for parts that did not come: who laid the message down may be gone."""
        with self._lock:
            self._missing.pop(node, None)


async def _hung_up(receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def watch(handlers: Any, looks: HeldLooks) -> None:
    """Have Flower's module of Runtime handlers, by which studies lay messages down, tell who waits."""
    push_messages, push_object = handlers.push_messages, handlers.push_object

    def telling_push_messages(request: Any, state: Any, task: Any) -> Any:
        answer = push_messages(request, state, task)
        messages: defaultdict[int, set[str]] = defaultdict(set)
        for message, tree in zip(request.messages_list, request.message_object_trees, strict=True):
            messages[message.metadata.dst_node_id] |= {one.object_id for one in iterate_object_tree(tree)}
        looks.laid_down(messages, set(answer.objects_to_push))
        return answer

    def telling_push_object(request: Any, state: Any, task: Any) -> Any:
        answer = push_object(request, state, task)
        looks.arrived(request.object_id)
        return answer

    handlers.push_messages, handlers.push_object = telling_push_messages, telling_push_object
