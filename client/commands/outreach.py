"""``outreach``: who is due a message, what is proposed, and what is proposed. The rules are in ``client.outreach``."""

from argparse import Namespace

from wardround.client.commands.outreach_check import begin, check
from wardround.client.commands.outreach_measure import measure_arms
from wardround.client.commands.outreach_protocol import protocol


def run(options: Namespace) -> None:
    """Do one act of outreach."""
    _ACTIONS[options.action](options)


_ACTIONS = {"begin": begin, "check": check, "protocol": protocol, "measure": measure_arms}
