"""What a hospital sees of its server, by the way that the SuperNode takes: away, revoked, a clock, a certificate."""

from collections.abc import Iterator
from datetime import timedelta

from wardround.client.alerts import events
from wardround.client.checks.server import AHEAD, BEHIND, GRAIN
from wardround.client.home.home import Home
from wardround.client.network.server_look import look_at_server
from wardround.client.network.supernode import FOLDER, load_node_settings
from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.ending import ending
from wardround.protocol.errors import WardroundError

AWAY_SECONDS = 600.0
"""How long the server must have been away: it is restarted, and comes back by itself."""
_CERTIFICATE = "the server's certificate"


def is_of_server(key: str) -> bool:
    """Whether an alert's key is one that ``at_server`` gives: who may not call the server cannot see it."""
    event, _, subject = key.partition(" ")
    of_subject = {events.CLOCK: "server", events.CERTIFICATE: _CERTIFICATE}
    return event in (events.SERVER_AWAY, events.REVOKED) or (
        event in of_subject and subject.startswith(of_subject[event])
    )


def at_server(home: Home) -> list[Alert]:
    """Look at the server, as the SuperNode does; nothing where this user holds no SuperNode's settings."""
    folder = home.folder / FOLDER
    if not (folder / "settings.json").exists():
        return []
    try:
        return list(_seen_of(home))
    except WardroundError as error:
        unseen = frozenset({events.CERTIFICATE, events.CLOCK, events.REVOKED})
        away = Alert(
            event=events.SERVER_AWAY,
            subject="server",
            text=str(error),
            after_seconds=AWAY_SECONDS,
            hides=unseen,
        )
        return [away]


def _seen_of(home: Home) -> Iterator[Alert]:
    settings = load_node_settings(home.folder / FOLDER)
    look = look_at_server(settings)
    where = f"{_CERTIFICATE} ({settings.address})"
    soon = ending(events.CERTIFICATE, where, look.days_left, "remind the operator: wardround-serve renew")
    if soon is not None:
        yield soon
    apart = look.clock_ahead
    if apart is not None and not -BEHIND <= apart <= AHEAD + GRAIN:
        way = "ahead of" if apart > timedelta() else "behind"
        text = f"the clock is {abs(apart)} {way} the server's, which ignores this hospital"
        yield Alert(
            event=events.CLOCK, subject="server", text=text, remedy="set the clock, and keep it by NTP"
        )
    elif look.enrolled is False:
        yield Alert(
            event=events.REVOKED,
            subject=settings.address,
            text="the server does not let this hospital in: it is not enrolled yet, or was revoked",
            remedy="ask the operator",
        )
