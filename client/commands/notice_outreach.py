"""``notice --outreach``: the page that tells patients of messages, from the settings in force."""

import hashlib
from argparse import Namespace
from pathlib import Path

from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.outreach_protocol import signed_protocols
from wardround.client.commands.terminal import say
from wardround.client.notice.hospital_words import hospital_words
from wardround.client.notice.words import plain
from wardround.client.outreach.by_page.settings import page_settings
from wardround.client.outreach.content.folder import read_folder
from wardround.client.outreach.notice.facts import OutreachFacts
from wardround.client.outreach.notice.page import outreach_notice_html
from wardround.client.outreach.triggers.settings import OUTREACH
from wardround.client.outreach.triggers.settings_file import settings_of
from wardround.client.policy.people_file import people_of
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.terms.limits import expiry_of
from wardround.protocol.text.plain import LARGEST_YAML
from wardround.protocol.text.say import say_json


def write_outreach_notice(options: Namespace) -> None:
    """Write the page; never overwrites."""
    out: Path = options.out or Path("messages.html")
    language = options.language or "en"
    with open_home(options.home) as opened:
        page = outreach_notice_html(_facts(opened, options), language)
    write_new(out, page.encode(), 0o644)
    if options.json:
        say_json({"out": str(out), "language": language})
        return
    say(f"Written to {out}, in the language {language}")


def _facts(opened: OpenHome, options: Namespace) -> OutreachFacts:
    home, today = opened.home, opened.home.date(opened.now)
    words, settings, content = (
        hospital_words(home.folder),
        settings_of(home.folder),
        read_folder(home.content_folder),
    )
    contact = options.contact or words.contact
    if not contact:
        raise ConfigurationError("notice --outreach: says whom patients ask; give --contact TEXT")
    return OutreachFacts(
        hospital=options.name or words.name or plain(home.hospital),
        contact=contact,
        today=today,
        settings=settings,
        policy=opened.policy.outreach,
        people=people_of(home.folder),
        guidelines=content.guidelines,
        modules=content.modules,
        purposes=_purposes(opened),
        preferences=home.source.has("preferences"),
        page=page_settings(home.folder) is not None,
        protocol=signed_protocols(opened).running(today),
        topics=words.topics,
        digest=hashlib.sha256(read_bounded(home.folder / OUTREACH, LARGEST_YAML)).hexdigest(),
    )


def _purposes(opened: OpenHome) -> tuple[str, ...]:
    """Name the purposes of the studies that may learn today."""
    running = (
        signed.terms.contract.purpose
        for signed in opened.known()
        if opened.ledger.decision(signed.terms.fingerprint, signed.operator) == "approved"
        and (expiry_of(signed.terms) or opened.now) > opened.now
    )
    return tuple(dict.fromkeys(running))
