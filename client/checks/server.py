"""The server: reached over TLS, and who it says it is."""

from collections.abc import Iterator

from client.checks.finding import Finding, ok, warn
from client.home import Home
from client.supernode import FOLDER, load_node_settings, server_days_left

WARN_DAYS = 30


def reach(home: Home) -> Iterator[Finding]:
    """Look for the server that the kit names; a home that has not joined is asked for a kit."""
    folder = home.folder / FOLDER
    if not (folder / "settings.json").exists():
        yield warn(
            "server", "this home has not joined one", "wardround-hospital join KIT, with the operator's kit"
        )
        return
    settings = load_node_settings(folder)
    days = server_days_left(settings)
    text = f"{settings.address} is reached over TLS; its certificate is valid for {days} more days"
    if days < WARN_DAYS:
        yield warn("server", text, "remind the operator: wardround-serve renew")
    else:
        yield ok("server", text)
