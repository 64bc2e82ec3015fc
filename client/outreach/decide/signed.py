"""What people's signed acts come to for one proposal. Pure.

Guarantee (test_signed.py): a proposal may be exported only while the last act about it is an approval of exactly this
content, by as many different people as it needed, one of them a clinician; or a standing approval that two people
signed, nobody ended, and that covers it. Time passing approves nothing. An approval counts if whoever signed it is
enrolled with a role that decides, and had not left; a standing one only while both people are there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from wardround.client.outreach.decide.acts import (
    APPLY,
    APPROVE,
    END,
    EXPORT,
    HOLD,
    REFUSE,
    SENT,
    STANDING,
    STOP,
    UNSENT,
    OutreachAct,
    leaf,
)
from wardround.client.outreach.decide.standing import StandingApproval
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.policy.people import CLINICIAN, DECIDING, People


@dataclass(frozen=True)
class Signature:
    """Who signed, and when."""

    person: str
    time: datetime


@dataclass(frozen=True)
class SignedStanding:
    """A standing approval with who signed it. ended: whether somebody ended it."""

    number: int
    standing: StandingApproval
    signatures: tuple[Signature, ...]
    ended: bool = False

    @property
    def people(self) -> tuple[str, ...]:
        """Who signed it, by name."""
        return tuple(one.person for one in self.signatures)

    def holds(self, people: People) -> bool:
        """Whether two people who are there signed it, one of them a clinician, and nobody ended it.

        It approves anew every day, so both must be there to answer for it.
        """
        there = people.with_role(*DECIDING)
        signed = [one for one in self.signatures if people.find(one.person) in there]
        return not self.ended and enough(signed, 2, people)


def enough(signatures: Sequence[Signature], needed: int, people: People) -> bool:
    """Whether so many different people who may decide signed, before they left; with a clinician among two."""
    signers = (people.signer(one.person, one.time) for one in signatures)
    named = {one.account: one for one in signers if one is not None and set(one.roles) & set(DECIDING)}
    return len(named) >= needed and (needed < 2 or any(CLINICIAN in one.roles for one in named.values()))


def standing_approvals(acts: Sequence[OutreachAct]) -> dict[int, SignedStanding]:
    """Give standing approvals by number, which is that of the act that first signed it, counted from 1."""
    found: dict[int, SignedStanding] = {}
    for place, act in enumerate(acts, 1):
        if act.kind == STANDING and act.standing is not None:
            number = act.number or place
            mine = Signature(act.person, act.time)
            signed = (*found[number].signatures, mine) if number in found else (mine,)
            if number not in found or found[number].standing == act.standing:
                ended = number in found and found[number].ended
                found[number] = SignedStanding(number, act.standing, signed, ended)
        elif act.kind in (END, STOP):
            ends = (act.number,) if act.kind == END else tuple(found)
            for number in set(ends) & found.keys():
                found[number] = replace(found[number], ended=True)
    return found


@dataclass(frozen=True)
class SignedAbout:
    """What was signed about each proposal, by id.

    approvals: since the last word against it. words: of ``EXPORT``, ``SENT`` and ``UNSENT`` the last one, by leaf.
    """

    approvals: Mapping[str, tuple[OutreachAct, ...]] = field(repr=False)
    words: Mapping[str, str] = field(repr=False)
    standing: Mapping[int, SignedStanding] = field(repr=False)

    def signers(self, proposal: OutreachProposal) -> tuple[str, ...]:
        """Give who approved exactly this content, oldest first."""
        return tuple(one.person for one in self._signatures(proposal))

    def _signatures(self, proposal: OutreachProposal) -> tuple[Signature, ...]:
        mine, digest = str(proposal.id), leaf(proposal)
        acts = [one for one in self.approvals.get(mine, ()) if one.kind == APPROVE]
        return tuple(Signature(act.person, act.time) for act in acts if act.leaves[mine] == digest)

    def approved(self, proposal: OutreachProposal, people: People, today: date) -> bool:
        """Whether it may be exported, as far as people's word goes."""
        mine, digest = str(proposal.id), leaf(proposal)
        acts = [act for act in self.approvals.get(mine, ()) if act.leaves[mine] == digest]
        for act in acts:
            if act.kind == APPLY:
                one = self.standing.get(act.number)
                if one and one.holds(people) and one.standing.covers(proposal, today):
                    return True
        needed = [act.needed for act in acts if act.kind == APPROVE]
        return bool(needed) and enough(self._signatures(proposal), needed[-1], people)


def signed_about(acts: Sequence[OutreachAct]) -> SignedAbout:
    """Go through all acts, oldest first."""
    approvals: dict[str, tuple[OutreachAct, ...]] = {}
    words: dict[str, str] = {}
    for act in acts:
        if act.kind == STOP:
            approvals.clear()
        for one in act.leaves:
            if act.kind in (APPROVE, APPLY):
                approvals[one] = (*approvals.get(one, ()), act)
            elif act.kind in (HOLD, REFUSE):
                approvals.pop(one, None)
            elif act.kind in (EXPORT, SENT, UNSENT):
                words[act.leaves[one]] = act.kind
    return SignedAbout(approvals, words, standing_approvals(acts))
