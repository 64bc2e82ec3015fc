"""``outreach approve``, ``hold``, ``refuse`` and ``change``: a named person decides about proposals."""

import time
from argparse import Namespace
from collections.abc import Sequence

from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.commands.outreach_texts import show_texts
from wardround.client.commands.terminal import say
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.decide.acts import HOLD, REFUSE
from wardround.client.outreach.decide.decisions import (
    WAITING,
    Approval,
    Decider,
    change,
    chosen,
    set_aside,
)
from wardround.client.outreach.decide.decisions import approve as sign_approval
from wardround.client.outreach.decide.rules import reading_seconds, too_fast
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.states import APPROVED
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.answer import types
from wardround.protocol.text.say import say_json


def approve(options: Namespace) -> None:
    """Show the texts, have the person say yes, sign it, and say what still waits for another person."""
    with open_outreach(options) as outreach:
        decider, proposals = _decided(outreach, options, WAITING)
        modules = _sendable(outreach, proposals)
        if not options.json:
            show_texts(modules)
        seconds = None if options.yes else _ask(len(proposals))
        done = sign_approval(decider, proposals, seconds)
        warning = too_fast(seconds, reading_seconds(modules, decider.policy))
    _answer(options, done, warning)


def hold(options: Namespace) -> None:
    """Keep proposals from leaving until somebody decides again."""
    _aside(options, HOLD, "held")


def refuse(options: Namespace) -> None:
    """Say no for good."""
    _aside(options, REFUSE, "refused")


def change_module(options: Namespace) -> None:
    """Propose another module in the place of one; it waits for approval."""
    with open_outreach(options) as outreach:
        decider, proposals = _decided(outreach, options, (*WAITING, APPROVED))
        if len(proposals) != 1:
            raise ConfigurationError("change: name one proposal by its id, as outreach queue shows it")
        content = outreach.content()
        module = content.find(options.to)
        standing = outreach.standings(content)[module.name]
        if not standing.may_be_sent:
            raise ConfigurationError(f"module={module.name}: {standing.state}; nothing was changed")
        new = change(decider, proposals[0], module)
    if options.json:
        say_json({"void": proposals[0].id, "proposed": new, "module": module.name})
        return
    say(f"{proposals[0].id} is void. {new} says {module.name} in its place, and waits for approval.")


def _decided(
    outreach: OpenOutreach, options: Namespace, states: Sequence[str]
) -> tuple[Decider, list[OutreachProposal]]:
    """Give the person and what they decide about; ConfigurationError where they may not."""
    trigger, module = getattr(options, "trigger", None), getattr(options, "content_module", None)
    if bool(options.ids) == bool(trigger or module):
        raise ConfigurationError("name proposals by their ids, or choose them by --trigger or --module")
    proposals = chosen(outreach.journal, states, options.ids, trigger, module)
    missing = sorted(set(options.ids) - {one.id for one in proposals})
    if missing:
        raise ConfigurationError(
            f"id={', '.join(map(str, missing))}: no such proposal waits; see outreach queue"
        )
    decider = outreach.decider(options)
    decider.check(proposals, single=bool(options.ids))
    return decider, proposals


def _sendable(outreach: OpenOutreach, proposals: Sequence[OutreachProposal]) -> list[Module]:
    """Give the modules of these proposals; ConfigurationError where one may not be sent as it is proposed."""
    content = outreach.content()
    standings = outreach.standings(content)
    by_name = {module.name: module for module in content.modules}
    found = {}
    for one in proposals:
        module = by_name.get(one.module)
        if module is None or module.digest != one.module_digest:
            raise ConfigurationError(
                f"{one.module}: changed since it was proposed; nothing was approved: propose again"
            )
        if not standings[module.name].may_be_sent:
            raise ConfigurationError(f"{one.module}: {standings[module.name].state}; nothing was approved")
        found[module.name] = module
    return list(found.values())


def _ask(count: int) -> float:
    """Have a person say yes; give how long the texts were before them."""
    begun = time.monotonic()
    answer = f"yes {count}"
    approved = types(
        answer,
        "",
        f"May these {count} messages be sent, as they stand? Type '{answer}' to say so:",
        unattended="outreach approve: nobody is at the terminal to answer; give --yes to answer in advance",
    )
    if not approved:
        raise ConfigurationError("outreach approve: not approved; nothing was recorded")
    return time.monotonic() - begun


def _aside(options: Namespace, kind: str, word: str) -> None:
    with open_outreach(options) as outreach:
        decider, proposals = _decided(outreach, options, (*WAITING, APPROVED))
        moved = set_aside(decider, proposals, kind)
    if options.json:
        say_json({word: list(moved)})
        return
    say(f"{len(moved):,} {word}. They do not leave.")


def _answer(options: Namespace, done: Approval, warning: str) -> None:
    if options.json:
        facts = {"approved": list(done.approved), "wait_for_another_person": list(done.waiting)}
        say_json({**facts, "people_needed": done.needed.people, "why": done.needed.why, "warning": warning})
        return
    say(f"{len(done.approved):,} approved. outreach export sends them.")
    if done.waiting:
        say(f"{len(done.waiting):,} wait for another person: {done.needed.why}.")
    if warning:
        say(warning)
