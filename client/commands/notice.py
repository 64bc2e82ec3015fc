"""``notice``: the page for patients, from the actual contract, policy and ledger."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.terminal import say
from wardround.client.home.home import POLICY
from wardround.client.notice.facts import Facts, gather
from wardround.client.notice.page import notice_html
from wardround.client.notice.words import plain
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.text.say import say_json

CONTACT = "the hospital's privacy officer"
_LARGEST_POLICY = 2**20


def run(options: Namespace) -> None:
    """Write the page; never overwrites, since a hospital keeps what it has shown."""
    out: Path = options.out or Path("notice.html")
    with open_home(options.home) as opened:
        facts = _facts(opened, options)
    write_new(out, notice_html(facts).encode(), 0o644)
    if options.json:
        contracts = [f"{c.name} {c.version} {c.fingerprint}" for c in facts.contracts]
        say_json({**asdict(facts), "contracts": contracts, "out": str(out)}, default=str)
        return
    say(
        f"Written to {out}: {len(facts.running)} running and {len(facts.studies) - len(facts.running)} ended studies"
    )
    say(
        f"It says: at most {facts.so_far.right_of_100} of 100 guesses are right so far, {facts.ever.right_of_100} ever."
    )
    if facts.sums is not None:
        say(
            "That holds while no more hospitals help an operator than its terms assume (the page says how many), else "
            f"at most {facts.sums.so_far.right_of_100} of 100 so far."
        )
    if options.contact is None:
        say(
            "The page sends patients to “the hospital's privacy officer”; for a name and telephone give --contact TEXT."
        )


def _facts(opened: OpenHome, options: Namespace) -> Facts:
    return gather(
        hospital=options.name or plain(opened.home.hospital),
        contact=options.contact or CONTACT,
        known=opened.known(),
        policy=opened.policy,
        policy_text=read_bounded(opened.home.folder / POLICY, _LARGEST_POLICY),
        ledger=opened.ledger,
        names={signed.operator: opened.operator_name(signed.operator) for signed in opened.known()},
        now=opened.now,
    )
