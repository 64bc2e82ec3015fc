"""``outreach``: who is due a message, what is proposed, whether it helps. The rules are in ``client.outreach``."""

from argparse import Namespace

from wardround.client.commands.outreach_about import about
from wardround.client.commands.outreach_arms import write_arms
from wardround.client.commands.outreach_check import begin, check
from wardround.client.commands.outreach_context import run_context
from wardround.client.commands.outreach_decide import approve, change_module, hold, refuse
from wardround.client.commands.outreach_export import export_approved
from wardround.client.commands.outreach_inbound import inbound
from wardround.client.commands.outreach_measure import measure_arms
from wardround.client.commands.outreach_propensities import write_propensities
from wardround.client.commands.outreach_propose import run_propose
from wardround.client.commands.outreach_protocol import protocol
from wardround.client.commands.outreach_queue import queue
from wardround.client.commands.outreach_standing import standing
from wardround.client.commands.outreach_stop import stop_all
from wardround.client.commands.outreach_watch import run_watch


def run(options: Namespace) -> None:
    """Do one act of outreach."""
    _ACTIONS[options.action](options)


_ACTIONS = {
    "begin": begin,
    "check": check,
    "propose": run_propose,
    "context": run_context,
    "watch": run_watch,
    "queue": queue,
    "approve": approve,
    "change": change_module,
    "hold": hold,
    "refuse": refuse,
    "standing": standing,
    "export": export_approved,
    "stop": stop_all,
    "inbound": inbound,
    "about": about,
    "protocol": protocol,
    "measure": measure_arms,
    "arms": write_arms,
    "propensities": write_propensities,
}
