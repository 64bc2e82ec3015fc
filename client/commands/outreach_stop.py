"""``outreach stop``: nothing that has not left leaves any more."""

from argparse import Namespace

from wardround.client.commands.outreach_opened import open_outreach
from wardround.client.commands.signing import person
from wardround.client.commands.terminal import say
from wardround.client.outreach.decide.stop import stop
from wardround.protocol.text.say import say_json


def stop_all(options: Namespace) -> None:
    """Void what is not exported, and end every standing approval."""
    with open_outreach(options) as outreach:
        void, gone = stop(
            outreach.decider(person(options.person), options.reason), outreach.opened.home.folder
        )
    if options.json:
        say_json({"void": void, "may_have_left": gone})
        return
    say(
        f"{void:,} void, and every standing approval has ended. What is still due is proposed anew by propose."
    )
    if gone:
        say(f"{gone:,} may have left already: ask the recipient, then: outreach export RECIPIENT --settle")
