"""``notice``: the page for patients, from the actual contract, policy and ledger."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from wardround.client.commands.notice_outreach import write_outreach_notice
from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.terminal import say
from wardround.client.home.home import POLICY
from wardround.client.notice.facts import Facts, gather
from wardround.client.notice.hospital_words import NOTICE, hospital_words
from wardround.client.notice.page import notice_html
from wardround.client.notice.words import plain
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.text.say import say_json

CONTACT = "the hospital's privacy officer"
_LARGEST_POLICY = 2**20


def run(options: Namespace) -> None:
    """Write the page; never overwrites, since a hospital keeps what it has shown."""
    if options.outreach:
        write_outreach_notice(options)
        return
    if options.language is not None:
        raise ConfigurationError("--language: only the page about messages has several; give --outreach too")
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
    if facts.contact == CONTACT:
        say(
            "The page sends patients to “the hospital's privacy officer”; for a name and telephone give --contact "
            f"TEXT, or write `contact:` into {NOTICE}."
        )


def _facts(opened: OpenHome, options: Namespace) -> Facts:
    words = hospital_words(opened.home.folder)
    names = {signed.operator: opened.operator_name(signed.operator) for signed in opened.known()}
    return gather(
        hospital=options.name or words.name or plain(opened.home.hospital),
        contact=options.contact or words.contact or CONTACT,
        known=opened.known(),
        policy=opened.policy,
        policy_text=read_bounded(opened.home.folder / POLICY, _LARGEST_POLICY),
        ledger=opened.ledger,
        names={key: words.operators.get(name, name) for key, name in names.items()},
        now=opened.now,
        words=words,
    )
