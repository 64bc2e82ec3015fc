"""What stands before every page, as ASGI: who may call this server by which name, how much it reads, what it says.

What is refused here has reached no page. Nothing of a request is written to a log.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from wardround.pages.one_click import is_one_click
from wardround.pages.settings import PageSettings

logger = logging.getLogger("wardround.pages")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HEADERS = {
    # No script, no style and no picture but our own files; no form that is sent elsewhere; in nobody's frame.
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    # Not no-referrer: with it browsers send `Origin: null` with our own forms too, and the check of it is lost.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
TLS_HEADERS = {"strict-transport-security": "max-age=31536000"}
_SAFE = ("GET", "HEAD")
_ELSEWHERE = "The form does not come from these pages. Open the page again, and send it from there."


class Guard:
    """Wraps the pages."""

    def __init__(self, app: App, settings: PageSettings) -> None:
        """Take the pages and how they are served."""
        self._app, self._settings = app, settings
        headers = HEADERS | (TLS_HEADERS if settings.secure else {})
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with a bounded body; every answer gets the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)  # its start and its end
            return
        guarded = self._with_headers(send)
        fault = self._fault(scope)
        if fault:
            await _refuse(guarded, *fault)
            return
        body = await _read(receive, self._settings.largest_form)
        if body is None:
            await _refuse(guarded, 413, "The request is too large.")
            return
        if not self._may_come(scope, body):
            await _refuse(guarded, 403, _ELSEWHERE)
            return
        await self._faultless(scope, _replay(body, receive), send)

    async def _faultless(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a fault of ours by one line: a traceback may quote what was asked, or answered."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, self._with_headers(noted))
        except Exception as error:
            logger.exception("a page failed: %s", type(error).__name__, exc_info=False)
            if not begun:
                await _refuse(self._with_headers(send), 500, "This page failed. Its log names the fault.")

    def _fault(self, scope: Message) -> tuple[int, str] | None:
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._settings.hosts:
            # A foreign name that was pointed at this machine (DNS rebinding), or a proxy that nobody set up.
            return 421, "This server does not answer to that name. Its settings say by which (hosts)."
        if scope["method"] not in (*_SAFE, "POST"):
            return 405, "These pages take GET and POST."
        if not self._settings.by_link and not self._may_come(scope, b""):
            return 403, _ELSEWHERE
        return None

    def _may_come(self, scope: Message, body: bytes) -> bool:
        """Whether a POST stands in a form of these pages, or may come from elsewhere."""
        if scope["method"] in _SAFE:
            return True
        origins = _values(scope, b"origin")
        if len(origins) == 1 and origins[0].lower() in self._settings.origins:
            return True
        by_link = self._settings.by_link
        if not by_link or not scope["path"].startswith(by_link):
            return False
        # Who knows the address may post by any program: an Origin that is missing tells of no other site.
        return set(origins) <= {"null"} or is_one_click("".join(_values(scope, b"content-type")), body)

    def _with_headers(self, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in self._headers} | {b"server"}
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in ours]
                message = {**message, "headers": [*kept, *self._headers]}
            await send(message)

        return guarded


def _values(scope: Message, name: bytes) -> list[str]:
    """Give each value of a header."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key == name]


async def _read(receive: Receive, most: int) -> bytes | None:
    """Read the whole body; None where it is larger, whatever its length said."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return body  # gone
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            return None
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Send, status: int, line: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": line.encode() + b"\n"})
