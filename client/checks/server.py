"""The server: reached over TLS, who it says it is, and whose clock it keeps."""

import http.client
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from wardround.client.checks.finding import Finding, fault, ok, warn
from wardround.client.home.home import Home
from wardround.client.network.supernode import FOLDER, NodeSettings, load_node_settings, server_days_left

WARN_DAYS = 30
# Flower 1.42 takes no word from a SuperNode whose clock is further ahead of the server's, or further behind.
AHEAD, BEHIND = timedelta(seconds=5), timedelta(seconds=305)
_GRAIN = timedelta(seconds=2)  # the server tells whole seconds, and its answer is on the way for some time


def reach(home: Home) -> Iterator[Finding]:
    """Look for the server that the kit names; a home that has not joined is asked for a kit."""
    folder = home.folder / FOLDER
    if not (folder / "settings.json").exists():
        yield warn(
            "server",
            "this home has not joined a server, or its supernode/ was moved to the SuperNode's own user",
            "wardround-hospital join KIT, with the operator's kit; or read what wardround-supernode logs",
        )
        return
    settings = load_node_settings(folder)
    days = server_days_left(settings)
    text = f"{settings.address} is reached over TLS; its certificate is valid for {days} more days"
    if days < WARN_DAYS:
        yield warn("server", text, "remind the operator: wardround-serve renew")
    else:
        yield ok("server", text)
    yield from clocks(settings)


def clocks(settings: NodeSettings) -> Iterator[Finding]:
    """Compare this machine's clock with the server's, which takes no node whose clock is too far off."""
    apart = clock_ahead(settings)
    if apart is None or -BEHIND <= apart <= AHEAD + _GRAIN:
        return
    way = "ahead of" if apart > timedelta() else "behind"
    yield fault(
        "clock",
        f"is {abs(apart)} {way} the server's; the server ignores this SuperNode",
        "set the clock, and keep it by NTP",
    )


def clock_ahead(settings: NodeSettings, now: datetime | None = None) -> timedelta | None:
    """Say by how much this machine's clock is ahead of the server's; None where the server does not tell."""
    host, _, port = settings.address.rpartition(":")
    trust = ssl.create_default_context(cafile=str(settings.folder / "root.crt"))
    asked = http.client.HTTPSConnection(host.strip("[]"), int(port), timeout=5.0, context=trust)
    try:
        asked.request("HEAD", "/")
        told = asked.getresponse().getheader("Date")
        if told is None:
            return None
        here = now or datetime.now(UTC)
        return here.replace(microsecond=0) - parsedate_to_datetime(told)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        asked.close()
