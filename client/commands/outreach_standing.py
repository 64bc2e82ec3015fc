"""``outreach standing``: two people's yes to trigger × module × population, until a date."""

from argparse import Namespace
from dataclasses import replace
from datetime import date

from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.commands.outreach_texts import show_texts
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

_APPLIED = "standing approvals"


def standing(options: Namespace) -> None:
    """Sign one, co-sign one, end one, apply those that hold, or list them."""
    with open_outreach(options) as outreach:
        if options.act != "list":
            role_of(outreach.decider(options).person, outreach.people)
        _ACTS[options.act](outreach, options)


def _begin(outreach: OpenOutreach, options: Namespace) -> None:
    """Sign a new one; it holds when a second person signs it too."""
    decider = outreach.decider(options)
    check_reason(decider.reason)
    module = _module(outreach, options.content_module or "")
    triggers = {one.name: one for one in settings_of(outreach.opened.home.folder).triggers}
    if options.trigger not in triggers or module.id not in triggers[options.trigger].modules:
        raise ConfigurationError(
            f"trigger={options.trigger}: outreach.yaml declares no such trigger for {module.id}; see outreach check"
        )
    made = StandingApproval(
        trigger=options.trigger,
        module=module.name,
        digest=module.digest,
        population=options.population,
        until=_day(options.until),
        per_day=options.per_day,
        in_all=options.in_all,
        sample=options.sample,
    )
    made.check(decider.today)
    _confirm(options, module, made)
    decider.log.add(decider.act(STANDING, standing=made), decider.key)
    _list(outreach, options)


def _sign(outreach: OpenOutreach, options: Namespace) -> None:
    """Sign what somebody else began."""
    decider, one = outreach.decider(options), _named(outreach, options)
    check_reason(decider.reason)
    module = _module(outreach, one.standing.module)
    if module.digest != one.standing.digest:
        raise ConfigurationError(f"{module.name}: changed since {one.people[0]} signed; begin a new one")
    one.standing.check(decider.today)
    mine = Signature(decider.person, decider.now)
    if not replace(one, signatures=(*one.signatures, mine)).holds(decider.people):
        raise ConfigurationError(
            f"person={decider.person}: signed it already, or none of {', '.join(one.people)} and you is a clinician"
        )
    _confirm(options, module, one.standing)
    act = decider.act(STANDING, standing=one.standing, number=one.number)
    decider.log.add(act, decider.key)
    _list(outreach, options)


def _end(outreach: OpenOutreach, options: Namespace) -> None:
    decider, one = outreach.decider(options), _named(outreach, options)
    check_reason(decider.reason)
    decider.log.add(decider.act(END, number=one.number), decider.key)
    _list(outreach, options)


def _apply(outreach: OpenOutreach, options: Namespace) -> None:
    """Approve what the standing approvals cover now; for a timer, after each ``propose``."""
    decider = replace(outreach.decider(options), reason=options.reason or _APPLIED)
    moved = _applied(outreach, decider)
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


def _list(outreach: OpenOutreach, options: Namespace) -> None:
    today = outreach.opened.home.date(outreach.opened.now)
    found = signed_about(outreach.log.read()).standing.values()
    states = {one.number: _state(one, one.holds(outreach.people), today) for one in found}
    if options.json:
        say_json(
            [
                {
                    "number": one.number,
                    "state": states[one.number],
                    "people": one.people,
                    **standing_to_plain(one.standing),
                }
                for one in found
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
            f"{states[one.number]} ({', '.join(one.people)})",
        )
        for one in found
    ]
    columns = ("no.", "trigger", "module", "population", "caps", "until", "state")
    table("Standing approvals", columns, rows, right=("no.",))


def _state(one: SignedStanding, holds: bool, today: date) -> str:
    if one.ended:
        return "ended"
    if today > one.standing.until:
        return "lapsed"
    return "holds" if holds else "waits for a second person"


def _named(outreach: OpenOutreach, options: Namespace) -> SignedStanding:
    found = signed_about(outreach.log.read()).standing.get(options.number or 0)
    if found is None or found.ended:
        raise ConfigurationError(
            f"standing approval {options.number}: there is none that holds; see outreach standing list"
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
        raise ConfigurationError(f"until={text}: must be a date, as in 2027-11-30") from error


_ACTS = {"begin": _begin, "sign": _sign, "end": _end, "apply": _apply, "list": _list}
