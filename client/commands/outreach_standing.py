"""``outreach standing``: two people's yes to trigger × module × population, until a date."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.commands.outreach_texts import show_texts
from wardround.client.commands.signing import person, signer
from wardround.client.commands.terminal import say, table
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.decide.acts import END, STANDING
from wardround.client.outreach.decide.decisions import Decider, apply_standing
from wardround.client.outreach.decide.rules import check_reason, role_of
from wardround.client.outreach.decide.signed import Signature, SignedStanding, signed_about
from wardround.client.outreach.decide.standing import StandingApproval, standing_to_plain
from wardround.client.outreach.journal.states import PROPOSED
from wardround.client.outreach.triggers.settings_file import settings_of
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.answer import types
from wardround.protocol.text.say import say_json
from wardround.protocol.text.section import shown

_APPLIED = "standing approvals"
HOLDS, WAITS = "holds", "waits for a second person"
"""How one stands that nobody ended and that has not lapsed."""


def standing(options: Namespace) -> None:
    """Sign one, co-sign one, end one, apply those that hold, or list them."""
    with open_outreach(options) as outreach:
        if options.act == "list":
            _list(outreach, options)
            return
        # To end one, and to apply what two signed already, nobody needs a password.
        who = signer(options) if options.act in ("begin", "sign") else person(options.person)
        decider = outreach.decider(who, options.reason)
        role_of(decider.person, outreach.people)
        _ACTS[options.act](outreach, options, decider)


def _begin(outreach: OpenOutreach, options: Namespace, decider: Decider) -> None:
    """Sign a new one; it holds when a second person signs it too."""
    terms = {name: getattr(options, name) for name in ("population", "until", "per_day", "in_all", "sample")}
    module, made = new_standing(outreach, decider, options.trigger, options.content_module or "", terms)
    _confirm(options, module, made)
    sign_standing(decider, made)
    _list(outreach, options)


def _sign(outreach: OpenOutreach, options: Namespace, decider: Decider) -> None:
    """Sign what somebody else began."""
    module, one = second_signature(outreach, decider, options.number or 0)
    _confirm(options, module, one.standing)
    sign_standing(decider, one.standing, one.number)
    _list(outreach, options)


def _end(outreach: OpenOutreach, options: Namespace, decider: Decider) -> None:
    end_standing(outreach, decider, options.number or 0)
    _list(outreach, options)


def new_standing(
    outreach: OpenOutreach, decider: Decider, trigger: str, module_name: str, terms: Mapping[str, Any]
) -> tuple[Module, StandingApproval]:
    """Give the module, and what is to be signed; ConfigurationError where this person may not sign it today.

    terms: population, until (a date as text), per_day, in_all and sample.
    """
    check_reason(decider.reason)
    module = _module(outreach, module_name)
    triggers = {one.name: one for one in settings_of(outreach.opened.home.folder).triggers}
    if trigger not in triggers or module.id not in triggers[trigger].modules:
        raise ConfigurationError(
            f"trigger={shown(trigger)}: outreach.yaml declares no such trigger for {module.id}; see outreach check"
        )
    until = _day(terms["until"])
    made = StandingApproval(
        **{**terms, "trigger": trigger, "module": module.name, "digest": module.digest, "until": until}
    )
    made.check(decider.today)
    return module, made


def second_signature(outreach: OpenOutreach, decider: Decider, number: int) -> tuple[Module, SignedStanding]:
    """Give what somebody else began, for this person to sign; ConfigurationError where they may not."""
    check_reason(decider.reason)
    one = _named(outreach, number)
    module = _module(outreach, one.standing.module)
    if module.digest != one.standing.digest:
        raise ConfigurationError(f"{module.name}: changed since {one.people[0]} signed; begin a new one")
    one.standing.check(decider.today)
    mine = Signature(decider.person, decider.now)
    if not replace(one, signatures=(*one.signatures, mine)).holds(decider.people):
        raise ConfigurationError(
            f"person={decider.person}: signed it already, or none of {', '.join(one.people)} and you is a clinician"
        )
    return module, one


def sign_standing(decider: Decider, made: StandingApproval, number: int = 0) -> None:
    """Sign it, durably. number: of one that somebody began; 0 for a new one."""
    decider.log.add(decider.act(STANDING, standing=made, number=number), decider.key)


def end_standing(outreach: OpenOutreach, decider: Decider, number: int) -> None:
    """End one, for good; whoever decides about messages may."""
    check_reason(decider.reason)
    one = _named(outreach, number)
    decider.log.add(decider.act(END, number=one.number), decider.key)


def _apply(outreach: OpenOutreach, options: Namespace, decider: Decider) -> None:
    """Approve what the standing approvals cover now; for a timer, after each ``propose``."""
    moved = _applied(outreach, replace(decider, reason=options.reason or _APPLIED))
    if options.json:
        say_json({str(number): list(ids) for number, ids in moved.items()})
        return
    say(*(f"Standing approval {number}: {len(ids):,} approved." for number, ids in moved.items()))
    if not moved:
        say("No standing approval covers what waits.")


def applied_by_program(outreach: OpenOutreach, program: str) -> dict[int, tuple[int, ...]]:
    """Approve what the standing approvals cover now, without a person at hand: two signed each; ids by number."""
    return _applied(outreach, outreach.program(program, _APPLIED))


def _applied(outreach: OpenOutreach, decider: Decider) -> dict[int, tuple[int, ...]]:
    sendable = [name for name, one in outreach.standings(outreach.content()).items() if one.may_be_sent]
    waiting = [one for one in outreach.journal.proposals((PROPOSED,)) if one.module in sendable]
    return apply_standing(decider, [one for one in waiting if not outreach.recalled.chose(one)])


def standing_states(outreach: OpenOutreach) -> list[tuple[SignedStanding, str]]:
    """Give all that were ever signed, with how each stands today."""
    today = outreach.opened.home.date(outreach.opened.now)
    found = signed_about(outreach.log.read()).standing.values()
    return [(one, _state(one, one.holds(outreach.people), today)) for one in found]


def _list(outreach: OpenOutreach, options: Namespace) -> None:
    states = standing_states(outreach)
    if options.json:
        say_json(
            [
                {
                    "number": one.number,
                    "state": state,
                    "people": one.people,
                    **standing_to_plain(one.standing),
                }
                for one, state in states
            ]
        )
        return
    rows = [
        (
            str(one.number),
            one.standing.trigger,
            one.standing.module,
            one.standing.population,
            f"{one.standing.per_day} a day, {one.standing.in_all} in all, {one.standing.sample} % read first",
            str(one.standing.until),
            f"{state} ({', '.join(one.people)})",
        )
        for one, state in states
    ]
    columns = ("no.", "trigger", "module", "population", "caps", "until", "state")
    table("Standing approvals", columns, rows, right=("no.",))


def _state(one: SignedStanding, holds: bool, today: date) -> str:
    if one.ended:
        return "ended"
    if today > one.standing.until:
        return "lapsed"
    return HOLDS if holds else WAITS


def _named(outreach: OpenOutreach, number: int) -> SignedStanding:
    found = signed_about(outreach.log.read()).standing.get(number)
    if found is None or found.ended:
        raise ConfigurationError(
            f"standing approval {number}: there is none that holds; see outreach standing list"
        )
    return found


def _module(outreach: OpenOutreach, name: str) -> Module:
    content = outreach.content()
    module = content.find(name)
    state = outreach.standings(content)[module.name]
    if not state.may_be_sent:
        raise ConfigurationError(f"module={module.name}: {state.state}; nothing was signed")
    return module


def _confirm(options: Namespace, module: Module, made: StandingApproval) -> None:
    if not options.json:
        show_texts([module])
    if options.yes:
        return
    signed = types(
        module.name,
        "",
        f"Up to {made.per_day} a day and {made.in_all} in all leave without a person's look until {made.until}. Type "
        f"{module.name} to sign:",
        unattended="outreach standing: nobody is at the terminal to answer; give --yes to answer in advance",
    )
    if not signed:
        raise ConfigurationError("outreach standing: not signed; nothing was recorded")


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text or "")
    except ValueError as error:
        raise ConfigurationError(f"until={shown(text or '')}: must be a date, as in 2027-11-30") from error


_ACTS = {"begin": _begin, "sign": _sign, "end": _end, "apply": _apply}
