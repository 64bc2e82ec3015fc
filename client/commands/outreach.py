"""``outreach``: who is due a message, what is proposed, whether it helps. The rules are in ``client.outreach``."""

from argparse import Namespace

from wardround.client.commands.outreach_check import begin, check
from wardround.client.commands.outreach_measure import measure_arms
from wardround.client.commands.outreach_propose import run_propose
from wardround.client.commands.outreach_protocol import protocol


def run(options: Namespace) -> None:
    """Do one act of outreach."""
    _ACTIONS[options.action](options)


_ACTIONS = {
    "begin": begin,
    "check": check,
    "propose": run_propose,
    "protocol": protocol,
    "measure": measure_arms,
}
