"""The server: reached over TLS, who it says it is, whether it lets this node in, and whose clock it keeps."""

from collections.abc import Iterator
from datetime import timedelta

from wardround.client.checks.finding import Finding, fault, ok, warn
from wardround.client.home.home import Home
from wardround.client.network.server_look import ServerLook, look_at_server
from wardround.client.network.supernode import FOLDER, load_node_settings

WARN_DAYS = 30
# Flower 1.42 takes no word from a SuperNode whose clock is further ahead of the server's, or further behind.
AHEAD, BEHIND = timedelta(seconds=5), timedelta(seconds=305)
GRAIN = timedelta(seconds=2)  # the server tells whole seconds, and its answer is on the way for some time


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
    look = look_at_server(settings)
    text = f"{settings.address} is reached over TLS; its certificate is valid for {look.days_left} more days"
    if look.days_left < WARN_DAYS:
        yield warn("server", text, "remind the operator: wardround-serve renew")
    else:
        yield ok("server", text)
    yield from clock_or_key(look)


def clock_or_key(look: ServerLook) -> Iterator[Finding]:
    """Say why the server would turn this node away: a clock that is too far off, or a key that it does not know."""
    apart = look.clock_ahead
    if apart is not None and not -BEHIND <= apart <= AHEAD + GRAIN:
        way = "ahead of" if apart > timedelta() else "behind"
        yield fault(
            "clock",
            f"is {abs(apart)} {way} the server's; the server ignores this SuperNode",
            "set the clock, and keep it by NTP",
        )
    elif look.enrolled is False:
        yield fault(
            "server",
            "does not let this hospital in: it is not enrolled yet, or was revoked",
            "ask the operator; after a revocation remove supernode/node.key, run join again and send the new request",
        )
