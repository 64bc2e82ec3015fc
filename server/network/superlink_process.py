"""Flower's SuperLink behind a doorkeeper: started by ``wardround-serve up``, with Flower's own arguments.

Flower 1.42 serves its three APIs at one port: Fleet for the hospitals, Control for whoever submits runs and
registers nodes, Runtime for whoever carries runs out. Fleet asks for a node's key and Runtime for a token, but
Control asks for nothing: anyone who reaches the port could have an app of their own run at every hospital. Here
Control answers only to the secret that the operator's own commands send, and no request may be larger than
the largest message.
"""

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from wardround.protocol.wire.envelope import LARGEST_REQUEST

SECRET_HEADER = b"x-wardround-control"
LARGEST_BODY = LARGEST_REQUEST + 2**20
LINGER_SECONDS = 0.5
_CLOSE = (b"connection", b"close")  # else the rest of a body that nobody wants would still be read
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class Doorkeeper:
    """An ASGI app that lets through what Flower's app may see."""

    def __init__(self, app: _App, secret: bytes, largest_body: int = LARGEST_BODY) -> None:
        """Wrap Flower's app. secret: what Control's callers must send."""
        self._app = app
        self._secret = secret
        self._largest = largest_body

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not self._may_enter(scope["path"], headers.get(SECRET_HEADER, b"")):
            await _refuse(send, 403)
            return
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._largest:
            await _refuse(send, 413)
            return
        empty = declared == b"0" and b"transfer-encoding" not in headers
        body = _Body(receive, send, self._largest, ended=empty)
        try:
            await self._app(scope, body.receive, body.send)
        finally:
            if body.too_large and not body.answered:
                await _refuse(send, 413)

    def _may_enter(self, path: str, sent: bytes) -> bool:
        if path.startswith(("/v1/fleet/", "/v1/runtime/")) and ".." not in path:
            return True
        return hmac.compare_digest(sent, self._secret)


class _Body:
    """One request's body: where it goes on beyond the largest, or beyond its answer, the line is closed."""

    def __init__(self, receive: _Receive, send: _Send, largest: int, ended: bool) -> None:
        self._receive, self._send, self._left, self._ended = receive, send, largest, ended
        self.too_large = self.answered = False

    async def receive(self) -> _Message:
        """Hand a part on; to the app a body that is too large looks as if its sender had hung up."""
        if not self.too_large:
            message = await self._receive()
            self._left -= len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            self.too_large = self._left < 0
        return {"type": "http.disconnect"} if self.too_large else message

    async def send(self, message: _Message) -> None:
        """Hand the answer on; what the app says of a body that was cut off is replaced by a refusal."""
        if self.too_large and not self.answered:
            self.answered = True
            await _refuse(self._send, 413)
        elif not self.too_large:
            if message["type"] == "http.response.start" and not self._ended:
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            self.answered = True
            await self._send(message)


async def _refuse(send: _Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [_CLOSE]})
    await send({"type": "http.response.body", "body": b""})


class Line(HttpToolsProtocol):
    """A line that breaks off where its caller goes on talking after the answer.

    uvicorn closes such a line in TLS's way: uvloop would take in and drop whatever comes for another 30 s.
    """

    def on_response_complete(self) -> None:
        """Leave the answer its time to arrive, and hang up."""
        super().on_response_complete()
        if self.transport.is_closing() and self.cycle.more_body:
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)


def main() -> None:
    """Serve as ``flower-superlink`` does; WARDROUND_CONTROL names the file of the secret."""
    from flwr.superlink.cli.flower_superlink import SuperLinkLifespan, _parse_superlink_lifespan_config
    from flwr.superlink.main import create_app

    config = _parse_superlink_lifespan_config()
    secret = Path(os.environ["WARDROUND_CONTROL"]).read_bytes()
    uvicorn.run(
        Doorkeeper(create_app(config, SuperLinkLifespan), secret),
        host=config.host,
        port=config.port,
        log_level="warning",
        http=Line,
        ssl_keyfile=config.ssl_keyfile,
        ssl_certfile=config.ssl_certfile,
        workers=1,
    )


if __name__ == "__main__":
    main()
