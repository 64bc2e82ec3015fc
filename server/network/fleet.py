"""The calls of hospitals' SuperNodes, answered by Flower's own handlers without the framework around them.

Flower 1.42 carries each call through eight layers of middleware, most of them Control's, resolves its parameters by
signature, checks the node's signature, and looks its number up in the database. The doorkeeper has checked signature,
key, size and time by then. Here a call is decoded, held to its caller's node, handled in a thread, and encoded; faults
are put into words by Flower's own function. What the doorkeeper did not let in as a node's call goes to Flower's app
as before.

Nodes' calls are handled by two threads, in the order in which they came; the studies' own, by threads of Flower's
framework. That has 40 for all: SQLite lets one of them write, makes the others look again after a pause, whoever came
first, and turns away who had no luck for 5 s. With a hundred hospitals on a busy machine calls were answered "500,
database is locked", which ends a SuperNode.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from fastapi import HTTPException, Request, Response
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesResponse
from flwr.supercore.error import http_error_translator
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES, ProtobufTranslationMiddleware
from flwr.superlink.servicer.fleet import fleet_handlers

from wardround.protocol.wire.held_look import HELD
from wardround.server.network.doorkeeper import CALLER, FLEET
from wardround.server.network.held_looks import ALIVE_SECONDS, HeldLooks, News, asks_to_be_held

PULL_MESSAGES = "/v1/fleet/pull-messages"
THREADS = 2
"""One at the database, one at what large parts take beside it."""
_PREFIX = "/v1/fleet/"
_WITH_STORE = frozenset({"pull_messages", "confirm_message_received"})
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class Fleet:
    """Answers what enrolled nodes ask; hands all else on. One event loop."""

    def __init__(self, app: _App, state: Callable[[], Any], looks: HeldLooks) -> None:
        """app: Flower's. state: gives its LinkState. looks: nodes that wait for a message."""
        self._app, self._state, self._looks = app, state, looks
        self._numbers: dict[bytes, int] = {}
        self._threads = ThreadPoolExecutor(THREADS, "fleet")

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request, or hand it on."""
        if CALLER not in scope or scope["path"] not in FLEET or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        response = await http_error_translator(request, self._answer)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        ProtobufTranslationMiddleware._check_request_media_type(request)
        asked = ProtobufTranslationMiddleware._parse_request(
            await request.body(), PROTOBUF_REQUEST_TYPES["POST", path]
        )
        await self._check_node(request.scope[CALLER], asked)
        name = path.removeprefix(_PREFIX).replace("-", "_")
        handle = partial(self._in_thread, partial(self._handled, name, asked))
        if path == PULL_MESSAGES and asks_to_be_held(request.headers):
            return await self._look(request, asked.node.node_id, handle)
        return _encoded(await handle())

    async def _in_thread(self, act: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    def _handled(self, name: str, asked: Any) -> Any:
        state = self._state()
        # Looked up at each call: ``laid.hold`` puts its bounds there.
        handler = getattr(fleet_handlers, name)
        return handler(
            request=asked, state=state, **({"store": state.object_store} if name in _WITH_STORE else {})
        )

    async def _check_node(self, key: bytes, asked: Any) -> None:
        """HTTPException where a call is in another node's name than its caller's (as ``authenticate_node``)."""
        if isinstance(asked, ActivateNodeRequest):
            alike = asked.public_key == key
        else:
            claimed = asked.node.node_id if hasattr(asked, "node") else asked.node_id
            alike = claimed == await self._number(key)
        if not alike:
            raise HTTPException(401, "Invalid SuperNode authentication")

    async def _number(self, key: bytes) -> int | None:
        """Give the node's number. A key has one for good: once shut out, it is refused before, and never comes back."""
        if key not in self._numbers:
            found = await self._in_thread(lambda: self._state().get_node_id_by_public_key(key))
            if found is None:
                return None
            self._numbers[key] = found
        return self._numbers[key]

    async def _look(self, request: Request, node: int, handle: Callable[[], Awaitable[Any]]) -> Response:
        """Answer as soon as there is a message for the node; with none when the look has been held long enough."""
        with self._looks.open(node, request.scope.get("line")) as news:
            # A message that is known, but is still on its way here part by part, is not given out before it is whole.
            found = PullMessagesResponse() if news.incomplete else await handle()
            if not found.messages_list and await self._arrived(request, node, news):
                found = await handle()
        return _encoded(found, {HELD: "1"})

    async def _arrived(self, request: Request, node: int, news: News) -> bool:
        """Wait; whether the caller is still there to be given what came. Meanwhile it counts as alive."""

        async def alive() -> None:
            await self._in_thread(lambda: self._state().acknowledge_node_heartbeat(node, ALIVE_SECONDS))

        return await news.wait(alive, request.receive)


def _encoded(answer: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(answer.SerializeToString(), media_type=PROTOBUF_MEDIA_TYPE, headers=headers)
