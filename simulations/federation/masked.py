"""A simulated study's secure sums with everything that a real one has but the wire: keys, shares, masks, both trips.

Masks cancel, so that a study's figures are bit for bit those without them; what they cost can be seen here. The
members are the hospitals' own steps (``client.secure_sum.member``), the server its own (``server.algorithm``).
"""

from collections.abc import Iterable, Sequence

from wardround.client.secure_sum.member import Opened, SumMember, deal, give, mask, member_of, take
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.secure_sum.exchange import BroughtShares, RosterKeys, dealt_bytes
from wardround.protocol.secure_sum.grid import decode
from wardround.protocol.secure_sum.keys import StudySecret
from wardround.protocol.terms.sum_noise import slots_of
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_roster import join_roster, roster_order, sign_member_keys
from wardround.protocol.wire.sum_wire import SumAnswer, SumStep
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import RoundState, RoundSummary
from wardround.server.algorithm.screen import NoRelease
from wardround.server.algorithm.sum_setup import brought_to, dealt_digests
from wardround.server.algorithm.sum_trips import (
    ClosedSum,
    SumAsked,
    await_shares,
    begin,
    closed,
    fix,
    give_up,
    may_fix,
    outcome,
    sum_asked,
    survivors_for,
    take_given,
    take_masked,
)
from wardround.server.evaluation.assess import Ask, Measure
from wardround.server.evaluation.evaluation import TableSum, tables_of


class MaskedSums:
    """The members of one simulated study, set up once; all of it follows from the seed."""

    def __init__(self, terms: Terms, seed: int) -> None:
        """Set up: every member deals every slot key to every member, and opens what all dealt to it."""
        self._terms, self._seed = terms, seed
        names, slots = roster_order(terms.hospitals), slots_of(terms)
        secrets = {name: StudySecret(derive_key("sum secret", seed, name)) for name in names}
        signers = {name: new_key() for name in names}
        keys = tuple(
            sign_member_keys(secrets[name], slots, terms=terms.fingerprint, hospital=name, key=signers[name])
            for name in names
        )
        identities = {name: key.public for name, key in signers.items()}
        self._roster = join_roster(
            terms.study, terms.fingerprint, terms.thresholds, slots, identities, RosterKeys(keys)
        )
        self._members = {
            name: member_of(self._roster, name, terms.fingerprint, secrets[name]) for name in names
        }
        dealings = [deal(member, signers[name]) for name, member in self._members.items()]
        self._digests = {
            slot: {
                index: dealt_digests(dealt_bytes(one.slots[place])) for index, one in enumerate(dealings, 1)
            }
            for place, slot in enumerate(slots)
        }
        written = [one.to_bytes() for one in dealings]
        self._opened = {
            name: self._taken(member, brought_to(member.index, written, len(names), len(slots)))
            for name, member in self._members.items()
        }

    def close(
        self,
        state: RoundState,
        terms: Terms,
        plans: Sequence[RoundPlan],
        answers: Iterable[Release | NoRelease],
    ) -> tuple[RoundState, RoundSummary]:
        """Close a round as ``rounds.apply`` does, by both trips."""
        found = self._sum(plans, answers)
        rejected = tuple(NoRelease(name, reason) for name, reason in found.refused.items())
        result = found.void if found.total is None else found.total
        return rounds.close_sum(state, terms, found.heads, rejected, result)

    def measuring(self, ask: Ask) -> Measure:
        """Measure as ``assess.measuring`` does, by both trips."""
        return lambda plans: tables_of(self._terms, self._tables(plans, ask(plans)))

    def _tables(self, plans: Sequence[RoundPlan], answers: Iterable[Release | NoRelease]) -> TableSum:
        found = self._sum(plans, answers)
        if found.total is None:
            raise ConfigurationError(f"evaluation after round {plans[0].round}: no sum ({found.void})")
        return TableSum(
            round=plans[0].round,
            weights_digest=plans[0].weights_digest,
            planned=len(plans),
            total=decode(found.total, self._terms.table_noise.grid),
            accepted=found.accepted,
        )

    def _taken(self, member: SumMember, brought: bytes) -> Opened:
        slots, members = len(self._roster.slots), len(self._roster.members)
        failed, opened = take(member, BroughtShares.from_bytes(brought, members, slots))
        if failed:
            raise ConfigurationError(f"secure sum: shares of members {list(failed)} do not open")
        return opened

    def _sum(self, plans: Sequence[RoundPlan], answers: Iterable[Release | NoRelease]) -> ClosedSum:
        asked = sum_asked(self._terms, self._roster, plans[0])
        trip = begin(asked)
        for answer in answers:
            masked = answer if isinstance(answer, NoRelease) else self._masked(asked, answer)
            trip = take_masked(trip, masked)
        if not may_fix(trip, 0):
            few = f"{len(trip.sent)} of the {self._roster.thresholds.threshold} releases that a sum needs"
            return ClosedSum(None, trip.accepted, trip.heads, trip.refused, few)
        fixed = fix(trip)
        second = await_shares(fixed, self._digests[asked.slot])
        for name, member in self._members.items():
            survivors = survivors_for(fixed, member.index)
            body = give(member, survivors, asked.slot, self._opened[name]).to_bytes()
            second = take_given(second, self._answer(asked, name, SumStep.SURVIVORS, "", body), "")
        found = outcome(second)
        return closed(fixed, give_up(second) if found is None else found)

    def _masked(self, asked: SumAsked, release: Release) -> SumAnswer:
        name, slot = release.hospital, asked.slot
        stream = Keystream(derive_key("masks", self._seed, name, slot.account, slot.number))
        body = mask(self._members[name], release.vector, asked.label, slot, stream).to_bytes()
        return self._answer(
            asked, name, SumStep.MASKED, release.weights_digest, body, ledger_head=release.ledger_head
        )

    def _answer(
        self, asked: SumAsked, name: str, step: SumStep, digest: str, body: bytes, ledger_head: str = ""
    ) -> SumAnswer:
        return SumAnswer(
            step=step,
            study=self._terms.study,
            hospital=name,
            terms_fingerprint=asked.terms,
            round=asked.slot.number,
            account=asked.slot.account,
            asked=digest,
            roster=self._roster.digest.hex(),
            ledger_head=ledger_head,
            simulation=True,
            body=body,
        )
