"""The doorkeeper of the server's port: an ASGI app that lets through what Flower's app may see.

Header and key first: Fleet answers enrolled nodes alone, Control and Runtime the operator's own processes, which call
from this machine. A process that only watches has a secret of its own, by which it may make one call that changes
nothing (``LOOKS``). Only then is a body read, of a declared size, in a place (``places``), within a time.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from ipaddress import IPv6Address, ip_address
from typing import Any

from wardround.protocol.wire.envelope import LARGEST_REQUEST
from wardround.server.network.give_back import Bodies
from wardround.server.network.line import OPERATOR
from wardround.server.network.node_keys import NodeKeys
from wardround.server.network.places import SMALL_BODY, Busy, Places

SECRET_HEADER = b"x-wardround-control"
LARGEST_BODY = LARGEST_REQUEST + 2**20
BODIES_AT_ONCE = 4  # of the largest size, over all hospitals
BODY_SECONDS, LEAST_BYTES_PER_SECOND = 30.0, 2**17  # a line of 1 Mbit/s carries the largest body in time
PUSH, PULL = "/v1/fleet/push-object", "/v1/fleet/pull-object"
# What a SuperNode calls. Nodes are registered and shut out by the operator alone.
FLEET = frozenset(
    f"/v1/fleet/{name}"
    for name in (
        "activate-node", "deactivate-node", "send-node-heartbeat", "pull-messages", "push-messages", "get-run",
        "get-fab", "push-object", "pull-object", "confirm-message-received",
    )
)  # fmt: skip
LOOKS = frozenset({"/v1/control/list-nodes"})
"""What the secret ``look`` opens: which nodes are there, and since when."""
CALLER = "caller"
"""Where a request's scope says whose key signed it; absent in the operator's own calls."""
LOOKER = b"look"  # as a line's caller; enrolled keys are longer
_CLOSE = (b"connection", b"close")  # else the rest of a body that nobody wants would still be read
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]


def seconds_for(size: int) -> float:
    """How long a body of ``size`` bytes may take to arrive, and an answer to leave."""
    return BODY_SECONDS + size / LEAST_BYTES_PER_SECOND


class Doorkeeper:
    """Answers one request, or hands it on."""

    def __init__(
        self, app: _App, secret: bytes, look: bytes, keys: NodeKeys, largest_body: int = LARGEST_BODY
    ) -> None:
        """Wrap Flower's app. secret: what the operator's own processes send; look: what those send that only watch."""
        self._app, self._secret, self._look, self._keys = app, secret, look, keys
        self._largest = largest_body
        self._places, self._bodies = Places(BODIES_AT_ONCE * largest_body), Bodies()

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        path, line = scope["path"], scope.get("line")
        operator = _shows(headers, self._secret) and _is_of_this_machine(scope.get("client"))
        caller = None if operator else self._caller(scope, headers)
        if not operator and caller is None:
            await _refuse(send, 401 if path in FLEET else 403)
            return
        if line is not None:
            line.known_as(caller or OPERATOR)
        if caller is not None and path in FLEET:
            scope[CALLER] = caller
        largest = self._largest if operator or path == PUSH else min(SMALL_BODY, self._largest)
        status, size = _declared(headers, largest)
        if status:
            await _refuse(send, status)
        elif caller is None:
            await self._app(scope, receive, send)
        else:
            await self._in_place(caller, size, scope, receive, send)

    def _caller(self, scope: _Message, headers: Mapping[bytes, bytes]) -> bytes | None:
        """Give who calls, where what they call is open to them; the operator apart."""
        if scope["path"] in FLEET:
            return self._keys.caller(headers)
        looks = scope["path"] in LOOKS and _shows(headers, self._look)
        return LOOKER if looks and _is_of_this_machine(scope.get("client")) else None

    async def _in_place(
        self, caller: bytes, size: int, scope: _Message, receive: _Receive, send: _Send
    ) -> None:
        try:
            async with self._places.taken(caller, size, heavy=scope["path"] in {PUSH, PULL}):
                body = _Body(receive, send, size)
                await self._app(scope, body.receive, body.send)
                if body.late and not body.answered:
                    await _refuse(send, 408)
                await _left(scope.get("line"), body.answer_bytes)
        except Busy:
            await _refuse(send, 503)
        finally:
            if size > SMALL_BODY:
                # Flower's layers leave cycles around a request that they refuse, and its body in them: 65 MiB
                # each, and too few objects for Python to look for them by itself.
                self._bodies.over(size, asyncio.get_running_loop())


def _shows(headers: Mapping[bytes, bytes], secret: bytes) -> bool:
    """Whether a caller sends this secret; an empty file's is nobody's."""
    return bool(secret) and hmac.compare_digest(headers.get(SECRET_HEADER, b""), secret)


def _is_of_this_machine(client: tuple[str, int] | None) -> bool:
    """Whether a caller is at this machine's loopback: the secret, copied from a backup say, opens nothing from afar."""
    if client is None:
        return False
    address = ip_address(client[0].partition("%")[0])
    # A socket at ``::`` shows 127.0.0.1 as ::ffff:127.0.0.1.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _declared(headers: Mapping[bytes, bytes], largest: int) -> tuple[int, int]:
    """Give (0, the declared size of the body), or (what to refuse it with, 0)."""
    if b"transfer-encoding" in headers:
        return 411, 0  # nobody here sends a body of unknown size
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 12 or int(declared) > largest:
        return 413, 0
    return 0, int(declared)


async def _left(line: Any, size: int) -> None:
    """Wait until an answer has left this process, or drop the line of a caller that does not take it."""
    if line is None:
        return
    try:
        async with asyncio.timeout(seconds_for(size)):
            await line.flow.drain()
    except TimeoutError:
        line.abort()


class _Body:
    """One request's body, which must be there in time; and its answer, after which an unread rest closes the line."""

    def __init__(self, receive: _Receive, send: _Send, size: int) -> None:
        self._receive, self._send, self._ended = receive, send, size == 0
        self._deadline = asyncio.get_running_loop().time() + seconds_for(size)
        self.late = self.answered = False
        self.answer_bytes = 0

    async def receive(self) -> _Message:
        """Hand a part on; to the app a body that comes too slowly looks as if its sender had hung up."""
        if self._ended:  # the app now waits for its caller to hang up, as long as it takes to answer
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.late = True
        if self.late:
            return {"type": "http.disconnect"}
        self._ended = not message.get("more_body", False)
        return message

    async def send(self, message: _Message) -> None:
        """Hand the answer on; what the app says of a body that came too slowly is replaced by a refusal."""
        if self.late:
            if not self.answered:
                self.answered = True
                await _refuse(self._send, 408)
            return
        if message["type"] == "http.response.start" and not self._ended:
            message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
        self.answered = True
        self.answer_bytes += len(message.get("body", b""))
        await self._send(message)


async def _refuse(send: _Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [_CLOSE]})
    await send({"type": "http.response.body", "body": b""})
