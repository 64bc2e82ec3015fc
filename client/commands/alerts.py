"""``alerts``: who at this hospital is told what, and by which way; and the watch that tells them."""

from argparse import Namespace

from wardround.client.alerts.events import EVENTS
from wardround.client.alerts.looks import Looks
from wardround.client.commands.bounded_ages import bounded_ages
from wardround.client.commands.open_home import open_home
from wardround.client.home.home import Home, load_home
from wardround.protocol.alerts import running


def run(options: Namespace) -> None:
    """Do what the second word says."""
    home = load_home(options.home)
    source = f"wardround {home.hospital}"
    if options.action == "begin":
        running.begin(home.folder, EVENTS)
    elif options.action == "check":
        running.check(home.folder, EVENTS, options.json)
    elif options.action == "test":
        running.test(home.folder, EVENTS, source, options.recipient)
    elif options.action == "watch":
        running.watch(home.folder, EVENTS, source, Looks(home.folder, _ages))
    else:
        running.show(Looks(home.folder, _ages)(), options.json)


def _ages(home: Home) -> list[tuple[str, bool]]:
    with open_home(home.folder) as opened:
        return [(str(row["table"]), bool(row["too_old"])) for row in bounded_ages(opened)]
