"""``outreach approve``, ``hold``, ``refuse``, ``change`` and ``standing``: signed first, then moved in the journal.

A crash between the two leaves a signature that moved nothing: the proposal still waits, and whoever decides again
decides the same. Nothing is approved by it, and nothing by time passing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl

from wardround.client.outreach.content.module import Module
from wardround.client.outreach.decide.acts import (
    APPLY,
    APPROVE,
    HOLD,
    MOST_AT_ONCE,
    REFUSE,
    OutreachAct,
    OutreachLog,
    leaf,
    leaves_of,
    modules_of,
)
from wardround.client.outreach.decide.rules import (
    Needed,
    check_choice,
    check_reason,
    people_needed,
    role_of,
)
from wardround.client.outreach.decide.signed import signed_about
from wardround.client.outreach.decide.standing import within
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.records import OutreachProposal, as_text
from wardround.client.outreach.journal.schema import HELD_COLUMNS, PROPOSAL_COLUMNS
from wardround.client.outreach.journal.states import APPROVED, HELD, PROPOSED, REFUSED, VOID
from wardround.client.policy.outreach import OutreachPolicy
from wardround.client.policy.people import People, Person
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.signing import SigningKey

WAITING = (PROPOSED, HELD)
_MOVED_TO = {HOLD: HELD, REFUSE: REFUSED}


@dataclass(frozen=True, kw_only=True, eq=False)
class Decider:
    """A person, and what their decisions are kept in. people: everybody who is enrolled."""

    journal: Journal
    log: OutreachLog
    key: SigningKey
    policy: OutreachPolicy
    people: People
    who: Person
    reason: str
    now: datetime
    timezone: str

    @property
    def person(self) -> str:
        """The name that decisions keep."""
        return self.who.name

    def day(self, time: datetime) -> date:
        """Give the day that a time falls on in the hospital's own zone."""
        return time.astimezone(ZoneInfo(self.timezone)).date()

    @property
    def today(self) -> date:
        """The day of the decision."""
        return self.day(self.now)

    def act(self, kind: str, proposals: Sequence[OutreachProposal] = (), **more: object) -> OutreachAct:
        """Make this person's act about proposals."""
        made = OutreachAct(
            kind=kind,
            leaves=leaves_of(proposals),
            modules=modules_of(proposals),
            person=self.person,
            reason=self.reason,
            time=self.now,
        )
        return replace(made, **more)  # type: ignore[arg-type]

    def check(self, proposals: Sequence[OutreachProposal], single: bool) -> None:
        """ConfigurationError where this person may not decide about these. single: they were named one by one."""
        role = role_of(self.person, self.people)
        check_reason(self.reason)
        if len(proposals) > MOST_AT_ONCE:
            raise ConfigurationError(
                f"{len(proposals)} proposals at once, at most {MOST_AT_ONCE}; choose fewer"
            )
        if not proposals:
            raise ConfigurationError("no proposal of these waits for a decision; see outreach queue")
        check_choice(role, single, len(proposals))


@dataclass(frozen=True)
class Approval:
    """What an approval came to. approved: ids that may leave now; waiting: those that wait for another person."""

    approved: tuple[int, ...]
    waiting: tuple[int, ...]
    needed: Needed


def chosen(
    journal: Journal,
    states: Sequence[str],
    ids: Sequence[int] = (),
    trigger: str | None = None,
    module: str | None = None,
) -> list[OutreachProposal]:
    """Give proposals that were named, or those of a trigger and a module."""
    found = journal.proposals(states, ids=tuple(ids) or None)
    return [one for one in found if trigger in (None, one.trigger) and module in (None, one.module)]


def approve(decider: Decider, proposals: Sequence[OutreachProposal], read_seconds: float | None) -> Approval:
    """Sign a yes; what needs another person's waits for it. proposals: also approved ones, by who counts no more.

    read_seconds: how long the texts were shown, if they were.

    ConfigurationError where this person signed all of them before, and another one is needed.
    """
    acts = decider.log.read()
    needed = people_needed(proposals, acts, decider.policy, decider.people, decider.who, decider.now)
    seconds = -1 if read_seconds is None else int(read_seconds)
    act = decider.act(APPROVE, proposals, needed=needed.people, read_seconds=seconds)
    about = signed_about((*acts, act))
    ready = [one for one in proposals if about.approved(one, decider.people, decider.today)]
    before = signed_about(acts)
    if not ready and all(decider.who in map(decider.people.find, before.signers(one)) for one in proposals):
        raise ConfigurationError(
            f"person={decider.person}: approved these already; {needed.why}, so another person must approve them too"
        )
    decider.log.add(act, decider.key)
    people = sorted({name for one in ready for name in about.signers(one)})
    moved = decider.journal.move(
        [one.id for one in ready],
        APPROVED,
        person=" and ".join(people) or decider.person,
        reason=decider.reason,
        at=decider.now,
    )
    again = tuple(one.id for one in ready if one.state == APPROVED)
    return Approval((*again, *moved), tuple(one.id for one in proposals if one not in ready), needed)


def set_aside(decider: Decider, proposals: Sequence[OutreachProposal], kind: str) -> tuple[int, ...]:
    """Hold or refuse proposals; also approved ones, while they have not left. kind: ``HOLD`` or ``REFUSE``."""
    decider.log.add(decider.act(kind, proposals), decider.key)
    return decider.journal.move(
        [one.id for one in proposals],
        _MOVED_TO[kind],
        person=decider.person,
        reason=decider.reason,
        at=decider.now,
    )


def may_replace(module: Module, proposal: OutreachProposal) -> bool:
    """Whether a module is of a message's topic and channel: for others consent and address were not asked."""
    return (module.topic.lower(), module.channel) == (proposal.topic, proposal.channel)


def change(decider: Decider, proposal: OutreachProposal, module: Module) -> int:
    """Propose another module for the same occasion, in the place of this one; give the new proposal's id.

    A crash, or a full disk, leaves the journal as it was. ConfigurationError for a module that may not replace it, and
    where it is leaving, or was decided about by another person, since it was read.
    """
    if not may_replace(module, proposal):
        raise ConfigurationError(
            f"module={module.name}: is about {module.topic} by {module.channel}; must be about {proposal.topic} by "
            f"{proposal.channel}"
        )
    decider.log.add(decider.act(REFUSE, [proposal]), decider.key)
    # A person's choice: the chance that drew the first module says nothing of this one.
    other = replace(
        proposal, module=module.name, module_digest=module.digest, made_at=decider.now, propensity=1.0
    )
    # Both or none: on a disk that is full in between, the patient would get neither message.
    with decider.journal.together():
        _make_void(decider, proposal)
        decider.journal.propose(_row(other), pl.DataFrame(schema=dict.fromkeys(HELD_COLUMNS, pl.String)))
    mine = decider.journal.proposals(WAITING, token=proposal.token)
    return next(
        one.id for one in mine if (one.trigger, one.occasion) == (proposal.trigger, proposal.occasion)
    )


def _make_void(decider: Decider, proposal: OutreachProposal) -> None:
    """Void what another message replaces; ConfigurationError where it does not wait any more."""
    # Not what an export has taken since: the other message would leave beside it.
    moved = decider.journal.move(
        [proposal.id],
        VOID,
        person=decider.person,
        reason=decider.reason,
        at=decider.now,
        among=(*WAITING, APPROVED),
    )
    if not moved:
        raise ConfigurationError(f"id={proposal.id}: does not wait any more; nothing was put in its place")


def _row(proposal: OutreachProposal) -> pl.DataFrame:
    plain = {name: getattr(proposal, name) for name in PROPOSAL_COLUMNS}
    plain |= {name: as_text(plain[name]) for name in ("send_after", "send_before", "made_at")}
    plain["stands_on"] = json.dumps(dict(proposal.stands_on))
    plain["reasons"], plain["options"] = (
        json.dumps(list(proposal.reasons)),
        json.dumps(list(proposal.options)),
    )
    return pl.DataFrame([plain])


def apply_standing(decider: Decider, waiting: Sequence[OutreachProposal]) -> dict[int, tuple[int, ...]]:
    """Approve what standing approvals cover of this, which waits and may be sent today; give ids by number."""
    moved: dict[int, tuple[int, ...]] = {}
    for number, signed in signed_about(decider.log.read()).standing.items():
        if not signed.holds(decider.people):
            continue
        acts = [act for act in decider.log.read() if act.kind == APPLY and act.number == number]
        done = {one for act in acts for one in act.leaves.values()}
        today = {one for act in acts if decider.day(act.time) == decider.today for one in act.leaves.values()}
        fresh = [one for one in waiting if leaf(one) not in done]
        ready = list(within(signed.standing, fresh, decider.today, len(today), len(done)))
        if ready:
            decider.log.add(decider.act(APPLY, ready, number=number), decider.key)
        # Signed before a crash, and not moved.
        ready += [one for one in waiting if leaf(one) in done and signed.standing.covers(one, decider.today)]
        if ready:
            moved[number] = decider.journal.move(
                [one.id for one in ready],
                APPROVED,
                person=" and ".join(signed.people),
                reason=f"standing approval {number}",
                at=decider.now,
            )
            waiting = [one for one in waiting if one not in ready]
    return moved
