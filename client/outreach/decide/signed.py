"""What people's signed acts come to for one proposal. Pure.

Guarantee (test_signed.py): a proposal may be exported only while the last act about it is an approval of exactly this
content, by as many different people as it needed, one of them a clinician; or a standing approval that two people
signed, nobody ended, and that covers it. Time passing approves nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

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
class SignedStanding:
    """A standing approval with who signed it. ended: whether somebody ended it."""

    number: int
    standing: StandingApproval
    people: tuple[str, ...]
    ended: bool = False

    def holds(self, people: People) -> bool:
        """Whether two people signed it, one of them a clinician, and nobody ended it."""
        return not self.ended and enough(self.people, 2, people)


def enough(names: Sequence[str], needed: int, people: People) -> bool:
    """Whether these are so many different people who may decide today, with a clinician among two."""
    deciding = {one.account: one for one in people.with_role(*DECIDING)}
    accounts = {found.account for name in names if (found := people.find(name)) is not None}
    named = [deciding[one] for one in accounts & deciding.keys()]
    return len(named) >= needed and (needed < 2 or any(CLINICIAN in one.roles for one in named))


def standing_approvals(acts: Sequence[OutreachAct]) -> dict[int, SignedStanding]:
    """Give standing approvals by number, which is that of the act that first signed it, counted from 1."""
    found: dict[int, SignedStanding] = {}
    for place, act in enumerate(acts, 1):
        if act.kind == STANDING and act.standing is not None:
            number = act.number or place
            people = (*found[number].people, act.person) if number in found else (act.person,)
            if number not in found or found[number].standing == act.standing:
                ended = number in found and found[number].ended
                found[number] = SignedStanding(number, act.standing, people, ended)
        elif act.kind in (END, STOP):
            ends = (act.number,) if act.kind == END else tuple(found)
            for number in set(ends) & found.keys():
                one = found[number]
                found[number] = SignedStanding(one.number, one.standing, one.people, True)
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
        mine, digest = str(proposal.id), leaf(proposal)
        acts = self.approvals.get(mine, ())
        return tuple(act.person for act in acts if act.kind == APPROVE and act.leaves[mine] == digest)

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
        return bool(needed) and enough(self.signers(proposal), needed[-1], people)


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
