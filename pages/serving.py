"""Serve a side's pages: uvicorn, over TLS or on this machine alone."""

import asyncio
import signal

import uvicorn

from wardround.pages.guard import Guard
from wardround.pages.impatient_loop import ImpatientLoop
from wardround.pages.line import MOST_WAITING, BrowserLine
from wardround.pages.served import ServedPages
from wardround.protocol.errors import ConfigurationError

_KEEP_ALIVE_SECONDS, _STOP_SECONDS = 15, 10
_CONNECTIONS = MOST_WAITING + 100  # what more are being answered is turned away


def serve_guarded(app: Guard, settings: ServedPages) -> None:
    """Serve until SIGTERM or SIGINT; ConfigurationError where the address or the certificate cannot be used."""
    config = uvicorn.Config(
        app,
        host=settings.address,
        port=settings.port,
        # No log of requests: a query, or a form, would be in it. The desk logs who decided.
        access_log=False,
        log_config=None,
        log_level="critical",
        server_header=False,
        # What a proxy says of its caller counts for nothing: there is none by default.
        proxy_headers=False,
        ws="none",
        http=BrowserLine,
        loop="wardround.pages.impatient_loop:ImpatientLoop",
        lifespan="off",
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        ssl_certfile=settings.certificate,
        ssl_keyfile=str(settings.key) if settings.key else None,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one too
        raise ConfigurationError(
            f"certificate={settings.certificate}, key={settings.key}: cannot be used ({error.strerror})"
        ) from error
    # uvicorn stops at SIGTERM, and then raises it again: this process has ended well by then.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with asyncio.Runner(loop_factory=ImpatientLoop) as runner:
        runner.run(_serve(config, settings))


async def _serve(config: uvicorn.Config, settings: ServedPages) -> None:
    try:
        await uvicorn.Server(config).serve()
    except SystemExit as error:  # uvicorn's way to say that the address is taken
        raise ConfigurationError(
            f"listen={settings.address}:{settings.port}: cannot be used; is another program listening there?"
        ) from error
