"""``alerts``: who at the operator's is told what, and by which way; and the watch that tells them."""

from argparse import Namespace

from wardround.protocol.alerts import running
from wardround.server.store.operator_home import load_operator_home
from wardround.server.watch.alerts import stand
from wardround.server.watch.events import EVENTS


def run(options: Namespace) -> None:
    """Do what the second word says."""
    home = load_operator_home(options.home)
    source = f"wardround server {home.address}"
    running.run(options, home.folder, EVENTS, source, lambda: stand(home.folder))
