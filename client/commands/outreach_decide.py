"""``outreach approve``, ``hold``, ``refuse`` and ``change``: a named person decides about proposals."""

import time
from argparse import Namespace
from collections.abc import Sequence

from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.commands.outreach_texts import show_texts
from wardround.client.commands.signing import person, signer
from wardround.client.commands.terminal import say
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.decide.acts import HOLD, REFUSE
from wardround.client.outreach.decide.decisions import (
    WAITING,
    Approval,
    Decider,
    change,
    chosen,
    may_replace,
    set_aside,
)
from wardround.client.outreach.decide.decisions import approve as sign_approval
from wardround.client.outreach.decide.rules import reading_seconds, too_fast
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.states import APPROVED, EXPORTED, EXPORTING
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.answer import types
from wardround.protocol.text.say import say_json


def approve(options: Namespace) -> None:
    """Show the texts, have the person say yes, sign it, and say what still waits for another person."""
    with open_outreach(options) as outreach:
        decider, proposals = _decided(outreach, options, signer(options), approving=True)
        modules = sendable_modules(outreach, proposals)
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
        decider, proposals = _decided(outreach, options, signer(options))
        if len(proposals) != 1:
            raise ConfigurationError("change: name one proposal by its id, as outreach queue shows it")
        module = outreach.content().find(options.to)
        new = put_in_place(outreach, decider, proposals[0], module.name)
    if options.json:
        say_json({"void": proposals[0].id, "proposed": new, "module": module.name})
        return
    say(f"{proposals[0].id} is void. {new} says {module.name} in its place, and waits for approval.")


def replacements(outreach: OpenOutreach, proposal: OutreachProposal) -> list[Module]:
    """Give the modules that may stand in a message's place today: approved, of its topic and channel."""
    content = outreach.content()
    standings = outreach.standings(content)
    return [
        one
        for one in content.modules
        if one.name != proposal.module and standings[one.name].may_be_sent and may_replace(one, proposal)
    ]


def put_in_place(outreach: OpenOutreach, decider: Decider, proposal: OutreachProposal, name: str) -> int:
    """Put another module in a message's place; give the new one's id. ConfigurationError where it may not be."""
    _refuse_recalled(outreach, [proposal])
    content = outreach.content()
    module = content.find(name)
    standing = outreach.standings(content)[module.name]
    if not standing.may_be_sent:
        raise ConfigurationError(f"module={module.name}: {standing.state}; nothing was changed")
    return change(decider, proposal, module)


def _decided(
    outreach: OpenOutreach, options: Namespace, who: str, approving: bool = False
) -> tuple[Decider, list[OutreachProposal]]:
    """Give the person and what they decide about; ConfigurationError where they may not."""
    trigger, module = getattr(options, "trigger", None), getattr(options, "content_module", None)
    if bool(options.ids) == bool(trigger or module):
        raise ConfigurationError("name proposals by their ids, or choose them by --trigger or --module")
    proposals = chosen(outreach.journal, (*WAITING, APPROVED), options.ids, trigger, module)
    proposals = outreach.unapproved(proposals) if approving else proposals
    missing = sorted(set(options.ids) - {one.id for one in proposals})
    if missing:
        raise ConfigurationError(
            f"{_why_not(outreach, missing)}; nothing was decided: see outreach queue, and leave these out"
        )
    exported = 0 if proposals else _exported(outreach, options)
    if exported:
        raise ConfigurationError(
            f"nothing of this waits, and {exported:,} were exported already: they cannot be called back"
        )
    decider = outreach.decider(who, options.reason)
    decider.check(proposals, single=bool(options.ids))
    return decider, proposals


def sendable_modules(outreach: OpenOutreach, proposals: Sequence[OutreachProposal]) -> list[Module]:
    """Give the modules of these proposals; ConfigurationError where one may not be sent as it is proposed.

    No proposal is named: communications decide about groups, and see no patient.
    """
    _refuse_recalled(outreach, proposals)
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


def _refuse_recalled(outreach: OpenOutreach, proposals: Sequence[OutreachProposal]) -> None:
    recalled = outreach.recalled
    modules = sorted({one.module for one in proposals if recalled.chose(one)})
    if modules:
        raise ConfigurationError(
            f"{', '.join(modules)}: some of these were chosen by a model that its operator recalled; nothing was "
            "decided: outreach propose makes them void, and proposes anew what is due"
        )


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
        decider, proposals = _decided(outreach, options, person(options.person))
        moved = set_aside(decider, proposals, kind)
        # An export, or another person, may have been first since they were read.
        missed = sorted({one.id for one in proposals} - set(moved))
        late = _why_not(outreach, missed, accepted=word) if missed else ""
        exported = _exported(outreach, options)
    if options.json:
        say_json({word: list(moved), "exported_already": exported})
    else:
        say(f"{len(moved):,} {word}. They do not leave.")
        if exported:
            say(f"{exported:,} of this trigger or module were exported before, and cannot be called back.")
    if late:
        raise ConfigurationError(f"{late}; {len(moved):,} others are {word}")


def _exported(outreach: OpenOutreach, options: Namespace) -> int:
    """Count what has left, of a trigger or a module that was chosen."""
    if options.ids:
        return 0
    left = (EXPORTING, EXPORTED)
    return len(chosen(outreach.journal, left, (), options.trigger, options.content_module))


def _why_not(outreach: OpenOutreach, ids: Sequence[int], accepted: str = "") -> str:
    """Say what became of proposals about which nobody can decide any more. accepted: a state that is no fault."""
    by_state: dict[str, list[int]] = {}
    states = {one.id: one.state for one in outreach.journal.proposals(ids=ids)}
    for one in ids:
        by_state.setdefault(states.get(one, "no such proposal"), []).append(one)
    by_state.pop(accepted, None)
    ends = {EXPORTED: "exported already, and cannot be called back", EXPORTING: "leaving at this moment"}
    return "; ".join(
        f"id={', '.join(map(str, mine))}: {ends.get(state, state)}" for state, mine in by_state.items()
    )


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
