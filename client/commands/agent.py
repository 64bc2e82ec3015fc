"""``agent``: answer signed plans at the socket, until it is stopped."""

from argparse import Namespace

from wardround.client.agent.agent import run_agent


def run(options: Namespace) -> None:
    """Serve the home folder until SIGTERM or SIGINT."""
    run_agent(options.home)
