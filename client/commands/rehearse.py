"""``rehearse``: compute one round with a throwaway ledger; nothing leaves."""

from argparse import Namespace
from dataclasses import asdict

from wardround.client.agent.rehearse import Rehearsal, rehearse
from wardround.client.commands.forecast import refuse_unless_permitted
from wardround.client.commands.open_home import open_home
from wardround.client.commands.tables_seen import show_tables
from wardround.client.commands.terminal import say
from wardround.protocol.text.say import say_json


def run(options: Namespace) -> None:
    """Compute one round with the hospital's own tables, then throw it away."""
    with open_home(options.home) as opened:
        signed = opened.find(options.terms)
        refuse_unless_permitted(opened.forecast(signed))
        before = opened.ledger.head
        done = rehearse(opened.home, opened.policy, signed, opened.now)
        unchanged = opened.ledger.head == before
        if not options.json:
            show_tables(opened, signed.terms.contract)
    if options.json:
        say_json({"study": signed.terms.study, "ledger_unchanged": unchanged, **asdict(done)})
        return
    _show(signed.terms.study, done)


def _show(study: str, done: Rehearsal) -> None:
    say(f"Rehearsal of one round of {study}", "")
    say(f"  used for training   {done.patients:,} patients, {done.events:,} messages")
    say(f"  would have left     {done.numbers:,} numbers with noise, {done.size_bytes:,} bytes, signed")
    say(f"  would have cost     ε = {done.epsilon_of_round:.4g} for this one round")
    for part, seconds in done.seconds.items():
        say(f"  {seconds:8.2f} s          {part}")
    say(f"  {done.reply_seconds:8.2f} s          from the plan until the reply would leave")
    say("", "The release was thrown away. Nothing left this machine, and nothing was spent.")
