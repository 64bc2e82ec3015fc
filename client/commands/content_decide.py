"""``content approve``, ``retire`` and ``list``: what people decided about modules, and what of it holds today."""

from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from datetime import date

from wardround.client.commands.content_contract import contract_of_home
from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.signing import person, signer
from wardround.client.commands.terminal import say, table
from wardround.client.outreach.content.approvals import ContentDecision, Standing
from wardround.client.outreach.content.approvals_file import ContentApprovals
from wardround.client.outreach.content.check import CheckedModule, check_one, sms_parts
from wardround.client.outreach.content.deciding import approval, retirement
from wardround.client.outreach.content.folder import ContentFolder, read_folder
from wardround.client.outreach.content.module import PARTS, VOICE, Module
from wardround.client.outreach.content.standing_today import standings_today
from wardround.client.policy.people_file import people_of
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.answer import types
from wardround.protocol.text.say import say_json


def approve(options: Namespace) -> None:
    """Show a module whole, have a person say yes, and sign it."""
    with open_home(options.home) as opened:
        content = read_folder(opened.home.content_folder)
        module, contract = content.find(options.name), contract_of_home(opened, options)
        checked = check_one(module, content.modules, content.guidelines, contract)
        decision = approval(
            content,
            checked,
            people=people_of(opened.home.folder),
            person=signer(options),
            reason=options.reason,
            until=_day(options.until),
            now=opened.now,
            today=opened.home.date(opened.now),
        )
        if not options.json:
            _show(checked)
        if not options.yes:
            _ask(module)
        _approvals(opened).add(decision, opened.home.key)
        standing = _standings(opened, content)[module.name]
    _answer(options, decision, standing)


def retire(options: Namespace) -> None:
    """Stop a module from being sent, from now on."""
    with open_home(options.home) as opened:
        approvals = _approvals(opened)
        known = {one.name: one.digest for one in approvals.read()}
        # A folder that cannot be read must keep nobody from stopping what was approved.
        with suppress(ConfigurationError):
            known |= {one.name: one.digest for one in read_folder(opened.home.content_folder).modules}
        decision = retirement(
            options.name,
            known,
            person=person(options.person),
            reason=options.reason,
            now=opened.now,
        )
        approvals.add(decision, opened.home.key)
    _answer(options, decision, Standing("retired", decision))


def list_modules(options: Namespace) -> None:
    """Say how each module stands today; modules that were approved and whose file is gone are named too."""
    with open_home(options.home) as opened:
        content = read_folder(opened.home.content_folder)
        found = _standings(opened, content)
        gone = sorted({one.name for one in _approvals(opened).read()} - found.keys())
    if options.json:
        modules = [_plain(name, one) for name, one in found.items()]
        say_json(
            {"modules": modules, "gone": gone, "faults": list(content.faults), "drafts": list(content.drafts)}
        )
        return
    rows = [(name, one.state, *_who(one.decision)) for name, one in found.items()]
    table(f"Modules in {content.folder}", ("module", "today", "decided by", "until"), rows, fixed=("module",))
    say(*(f"FAULT: {fault}" for fault in content.faults))
    say(*(f"{name}: was decided about, and its file is gone" for name in gone))
    if content.drafts:
        say(f"Drafts, which are never sent: {', '.join(content.drafts)}")


def _standings(opened: OpenHome, content: ContentFolder) -> Mapping[str, Standing]:
    return standings_today(
        opened.home, content, people_of(opened.home.folder, opened.home.timezone), opened.now
    )


def _approvals(opened: OpenHome) -> ContentApprovals:
    return ContentApprovals(opened.home.approvals_folder, opened.home.key.public)


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"until={text}: must be a date, as in 2027-11-30") from error


def _show(checked: CheckedModule) -> None:
    """Write all that would be sent, as it stands in the file that is about to be signed, and what was not checked."""
    module = checked.module
    facts = {
        "class": module.message_class,
        "paid by": f"{module.paid_by} ({module.payment})" if module.paid_by else "nobody else",
        "channel": module.channel,
        "author": module.author,
        "translated by": module.translator,
        "drafted with": module.drafted_with,
        "clinical fact": module.clinical_fact,
        "subject": module.subject,
        "link": module.link,
        "valid": f"{module.valid_from} to {module.valid_until}",
        "sms parts": sms_parts(checked),
        "not checked": ", ".join(checked.unchecked),
    }
    table(module.name, ("", ""), [(name, text) for name, text in facts.items() if text])
    for part in PARTS:
        if part in module.parts:
            say("", f"[{part}]", *module.parts[part].split("\n"))
    if module.voice:
        say("", f"[{VOICE}]", *module.voice.split("\n"))


def _ask(module: Module) -> None:
    approved = types(
        module.name,
        "",
        f"May this be sent to patients, word for word? Type {module.name} to say yes:",
        unattended="content approve: nobody is at the terminal to answer; give --yes to answer in advance",
    )
    if not approved:
        raise ConfigurationError(f"content approve: {module.name} was not approved; nothing was recorded")


def _answer(options: Namespace, decision: ContentDecision, standing: Standing) -> None:
    if options.json:
        say_json(_plain(decision.name, standing))
        return
    until = "" if decision.until is None else f" until {decision.until}"
    say(f"{decision.name} is {decision.kind} by {decision.person}{until}.")
    if decision.until is not None and not standing.may_be_sent:
        say(f"It may not be sent yet: {standing.state}.")


def _who(decision: ContentDecision | None) -> tuple[str, str]:
    if decision is None:
        return "", ""
    return decision.person, "" if decision.until is None else str(decision.until)


def _plain(name: str, standing: Standing) -> dict[str, object]:
    decision = standing.decision
    return {
        "module": name,
        "today": standing.state,
        "may_be_sent": standing.may_be_sent,
        "decision": None
        if decision is None
        else {key: _text(value) for key, value in vars(decision).items()},
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
