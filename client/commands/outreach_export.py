"""``outreach export``: what was approved leaves once, to a recipient that the policy names."""

from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.commands.outreach_page import hear_page_first
from wardround.client.commands.outreach_propose import proposed_at
from wardround.client.commands.signing import signer
from wardround.client.commands.terminal import say
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.outreach.by_page.keys import load_page_keys
from wardround.client.outreach.by_page.settings import page_links, page_settings
from wardround.client.outreach.by_page.unheard import Unheard
from wardround.client.outreach.decide.export import export, settle
from wardround.client.outreach.decide.ground import tables_now
from wardround.client.outreach.decide.lately import SaidLately
from wardround.client.outreach.decide.outbox import ExportReport, Outbox
from wardround.client.outreach.decide.rules import check_reason
from wardround.client.outreach.decide.sendable import LATELY, WAITS, Sendable, parted
from wardround.client.outreach.decide.senders.messenger import secret_of
from wardround.client.outreach.decide.signed import signed_about
from wardround.client.outreach.journal.records import as_time
from wardround.client.outreach.journal.states import EXPORTED
from wardround.client.outreach.triggers.settings_file import settings_of
from wardround.client.policy.outreach import Recipient
from wardround.client.policy.people import DECIDING
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say_json
from wardround.protocol.text.section import shown


def export_approved(options: Namespace) -> None:
    """Send, or settle what is in doubt; consent, veto, trigger, caps, address and approval are looked at again."""
    with open_outreach(options) as outreach:
        recipient = _recipient(outreach, options.recipient)
        hear_page_first(outreach)
        outbox = _outbox(outreach, recipient, signer(options), options.as_of)
        if options.settle:
            check_reason(options.reason or "")
            settled = settle(outbox, options.settle == "sent", options.reason)
            _settled(options, settled)
            return
        report = export(outbox, secret_of(recipient, outreach.opened.home.folder))
    _show(report, options)


@dataclass(frozen=True, kw_only=True)
class WouldLeave:
    """What an export to one recipient would come to now. waits, void: counts by the rule that keeps them."""

    recipient: Recipient
    messages: int
    waits: Mapping[str, int]
    void: Mapping[str, int]


def would_leave(outreach: OpenOutreach, name: str, who: str) -> WouldLeave:
    """Look at all that an export looks at; nothing leaves, and nothing is written. who: of those who decide."""
    recipient = _recipient(outreach, name)
    outbox = _outbox(outreach, recipient, who)
    messages, held = parted(outbox.approved(), outbox.sendable)
    rules = Counter(one.rule for one in held.values())
    return WouldLeave(
        recipient=recipient,
        messages=len(messages),
        waits={rule: count for rule, count in sorted(rules.items()) if rule in WAITS},
        void={rule: count for rule, count in sorted(rules.items()) if rule not in WAITS},
    )


def _recipient(outreach: OpenOutreach, name: str) -> Recipient:
    recipients = outreach.opened.policy.outreach.recipients
    if name not in recipients:
        known = ", ".join(recipients) or "none"
        raise ConfigurationError(
            f"recipient={shown(name)}: policy.yaml names no such one (outreach: recipients); there is {known}"
        )
    return recipients[name]


def _outbox(outreach: OpenOutreach, recipient: Recipient, who: str, as_of: str | None = None) -> Outbox:
    home, policy = outreach.opened.home, outreach.opened.policy.outreach
    sender = outreach.people.acting(who, *DECIDING)
    now = proposed_at(outreach.opened, as_of)
    content, settings, withdrawn = outreach.content(), settings_of(home.folder), home.withdrawals.standing()
    ground = tables_now(
        home.source,
        settings,
        policy,
        settings.all_sensitive(content.guidelines),
        withdrawn,
        _sent(outreach),
        home.patients_key,
        now,
    )
    signed = signed_about(outreach.log.read())
    words = dict(signed.words)
    sendable = Sendable(
        content=content,
        standings=outreach.standings(content),
        signed=signed,
        people=outreach.people,
        ground=ground,
        words=words,
        links=page_links(home.folder),
        now=now,
        today=home.date(now),
        recalled=outreach.recalled,
        lately=_lately(outreach, withdrawn, ground.patients).tokens,
    )
    return Outbox(
        home=home.folder,
        journal=outreach.journal,
        log=outreach.log,
        key=home.key,
        recipient=recipient,
        sendable=sendable,
        words=words,
        person=sender.name,
        now=now,
    )


def _lately(outreach: OpenOutreach, known: Sequence[Withdrawal], patients: Mapping[str, str]) -> SaidLately:
    """Give who says something from now on; whatever lies in the spool already is of those, until it is heard."""
    home = outreach.opened.home
    page = page_settings(home.folder)
    unheard = None if page is None else Unheard(page.spool, load_page_keys(home.folder))
    form = home.source.place("messages").patient.form
    return SaidLately(home.withdrawals, known, patients, form, unheard)


def _sent(outreach: OpenOutreach) -> dict[str, list[date]]:
    """Give the days, in the hospital's calendar, of what was exported to each token."""
    exports = outreach.journal.exports()
    times = dict(zip(exports["proposal"].to_list(), exports["at"].to_list(), strict=True))
    days: dict[str, list[date]] = {}
    for one in outreach.journal.proposals((EXPORTED,)):
        if one.id in times:
            day = outreach.opened.home.date(as_time(times[one.id]))
            days.setdefault(one.token, []).append(day)
    return days


def _settled(options: Namespace, count: int) -> None:
    if options.json:
        say_json({"settled": count, "as": options.settle})
        return
    say(f"{count:,} in doubt are kept as {options.settle}.")


def _show(report: ExportReport, options: Namespace) -> None:
    facts = {
        "sent": report.sent,
        "files": report.files,
        "kept": +report.kept,
        "void": dict(report.void),
        "in_doubt": report.doubt,
    }
    if options.json:
        say_json(facts)
    else:
        say(f"{report.sent:,} sent. {' '.join(report.files)}".strip())
        say(*(f"Void: {count:,} ({rule})" for rule, count in sorted(report.void.items())))
        say(*(f"Waits: {count:,} ({rule})" for rule, count in sorted(report.kept.items())))
        if report.kept[LATELY]:
            say("Patients said something while this ran: export again, so that it counts for the others too.")
        if report.kept["again"]:
            say("The sender took long: export again, so that consents, vetoes and hours are looked at anew.")
    if report.doubt:
        raise ConfigurationError(
            f"{report.doubt} messages may have been taken: ask the recipient, then outreach export "
            f"{options.recipient} --settle sent|unsent"
        )
    if report.kept["journal"]:
        raise ConfigurationError(
            f"{report.kept['journal']} approved messages were exported before, by the signed log: the journal was put "
            "back; refuse them"
        )
