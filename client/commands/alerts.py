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
    looks = Looks(home.folder, export_ages)
    running.run(options, home.folder, EVENTS, f"wardround {home.hospital}", looks)


def export_ages(home: Home) -> list[tuple[str, bool]]:
    """Give each table whose age the policy bounds, and whether it is too old."""
    with open_home(home.folder) as opened:
        return [(str(row["table"]), bool(row["too_old"])) for row in bounded_ages(opened)]
