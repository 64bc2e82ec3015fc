"""``outreach queue``: what waits for a decision, as the person's role may see it."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from wardround.client.commands.outreach_opened import OpenOutreach, open_outreach
from wardround.client.commands.outreach_texts import show_texts
from wardround.client.commands.signing import signer
from wardround.client.commands.terminal import say, table
from wardround.client.outreach.decide.decisions import chosen
from wardround.client.outreach.decide.queue import (
    HeldBack,
    for_clinicians,
    for_communications,
    held_back,
)
from wardround.client.outreach.decide.rules import role_of
from wardround.client.outreach.decide.signed import signed_about
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.states import APPROVED, HELD, PROPOSED, STATES, VOID
from wardround.client.policy.people import CLINICIAN
from wardround.protocol.text.say import say_json

_MOST_LINES = 100


def queue(options: Namespace) -> None:
    """Show it; nothing is changed."""
    with open_outreach(options) as outreach:
        role = role_of(signer(options), outreach.people)
        states = (PROPOSED, HELD, APPROVED)
        found = chosen(outreach.journal, states, trigger=options.trigger, module=options.content_module)
        waiting = outreach.seen(found)
        if role == CLINICIAN:
            _for_clinicians(outreach, waiting, options)
        else:
            _for_communications(outreach, waiting, options)


def _for_clinicians(outreach: OpenOutreach, waiting: Sequence[OutreachProposal], options: Namespace) -> None:
    lines = for_clinicians(waiting, outreach.patients(), signed_about(outreach.log.read()))
    held = _held(outreach, options, all_counts=True)
    if options.json:
        told = [asdict(one) for one in held]
        say_json({"role": CLINICIAN, "waiting": [asdict(line) for line in lines], "held_back": told})
        return
    rows = [
        (
            str(line.id),
            f"{line.patient}: {line.module} by {line.channel}, {line.state}, until {line.send_before[:16]} UTC",
            "; ".join((*line.reasons, *(f"approved by {name}" for name in line.signed))),
        )
        for line in lines[:_MOST_LINES]
    ]
    table(f"{len(lines):,} messages", ("id", "message", "why"), rows, right=("id",))
    if len(lines) > _MOST_LINES:
        say(f"The first {_MOST_LINES}; --trigger or --module chooses, --json has all.")
    _show_held(held)


def _for_communications(
    outreach: OpenOutreach, waiting: Sequence[OutreachProposal], options: Namespace
) -> None:
    groups = for_communications(waiting)
    held = _held(outreach, options, all_counts=False)
    modules = {one.name: one for one in outreach.content().modules}
    texts = [modules[name] for name in sorted({one.module for one in groups} & modules.keys())]
    if options.json:
        said = {one.name: {"subject": one.subject, "text": one.text} for one in texts}
        told = [asdict(one) for one in held]
        waiting_ = [asdict(one) for one in groups]
        say_json({"role": "communications", "waiting": waiting_, "held_back": told, "texts": said})
        return
    rows = [(one.trigger, one.module, one.channel, one.state, one.shown) for one in groups]
    table("What waits", ("trigger", "module", "channel", "state", "messages"), rows, right=("messages",))
    _show_held(held)
    show_texts(texts)


def _held(outreach: OpenOutreach, options: Namespace, all_counts: bool) -> list[HeldBack]:
    journal = outreach.journal
    states = [one for one in STATES if one != VOID]
    found = held_back(
        journal.held(), journal.frame(("token", "trigger", "occasion"), states), all_counts=all_counts
    )
    return [one for one in found if options.trigger in (None, one.trigger)]


def _show_held(held: Sequence[HeldBack]) -> None:
    if held:
        rows = [(one.trigger, one.rule, one.why, one.seen[:10], one.shown) for one in held]
        columns = ("trigger", "rule", "why", "on", "patients")
        table("May not go to", columns, rows, right=("patients",), fixed=("on",))
