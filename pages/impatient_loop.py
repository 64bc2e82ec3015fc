"""The event loop of a server of ours: it waits only briefly for a caller's TLS handshake.

A line counts (``line``) once its handshake is done. Until then it holds a file descriptor, for 60 s by default: a
thousand silent connections from one machine would keep every hospital, or every patient, out.
"""

from typing import Any

from uvloop import Loop

HANDSHAKE_SECONDS = 5.0


class ImpatientLoop(Loop):
    """uvloop's, with a bound on handshakes."""

    async def create_server(self, *arguments: Any, **named: Any) -> Any:
        """Do as uvloop does; a handshake has HANDSHAKE_SECONDS."""
        if named.get("ssl") is not None:
            named.setdefault("ssl_handshake_timeout", HANDSHAKE_SECONDS)
        return await super().create_server(*arguments, **named)
