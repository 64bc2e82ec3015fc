"""``supernode``: run Flower's SuperNode, which carries messages between the server and the agent's socket."""

import logging
from argparse import Namespace

from wardround.client.checks.server import clock_or_key
from wardround.client.network.proxy import load_proxy
from wardround.client.network.server_look import look_at_server
from wardround.client.network.supernode import FOLDER, NodeSettings, become_supernode, load_node_settings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.retry import Backoff, LastLine
from wardround.protocol.text.log import report

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0


def run(options: Namespace) -> None:
    """Become the SuperNode; it waits for the server, and for plans, until it is stopped."""
    folder = options.home / FOLDER
    settings = load_node_settings(folder)
    proxy = load_proxy(folder)
    through = "" if proxy is None else f" through the proxy {proxy.address}"
    report(f"{settings.hospital}: connecting to {settings.address}{through}", hospital=settings.hospital)
    await_enrolment(settings)
    become_supernode(folder)


def await_enrolment(settings: NodeSettings) -> None:
    """Wait while the server cannot be reached or does not let this node in, and say so once.

    Flower's SuperNode would end, and be started again every few seconds for as long as that lasts.
    """
    pauses, told = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS), LastLine()
    while True:
        try:
            turned_away = list(clock_or_key(look_at_server(settings)))
            line = "; ".join(f"{one.topic}: {one.text}. Remedy: {one.remedy}" for one in turned_away)
        except ConfigurationError as error:
            line = str(error)
        if not line:
            return
        if told.differs(line):
            report(f"{line}; asking again", logging.WARNING)
        pauses.sleep()
