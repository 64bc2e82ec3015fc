"""Members in memory answering a server's secure sums: ``tests.protocol.secure_sum.members`` behind the wire's types."""

import hashlib
from dataclasses import replace

import numpy as np

from tests.protocol.secure_sum.members import Agent, Dealt, Sent, Study, set_up
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.secure_sum.exchange import (
    BroughtShares,
    Dealing,
    DealtShare,
    GivenShares,
    MaskedIntegers,
    RosterKeys,
    Survivors,
    TakenShares,
)
from wardround.protocol.secure_sum.keys import StudySecret
from wardround.protocol.secure_sum.label import SumLabel, seed_label
from wardround.protocol.secure_sum.roster import Roster
from wardround.protocol.secure_sum.seal import ShareKind
from wardround.protocol.secure_sum.survivors import answer_survivors, check_survivors
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.protocol.terms.sum_label import label_of, slot_of
from wardround.protocol.terms.sum_noise import sum_noise
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.wire.signing import SigningKey, new_key
from wardround.protocol.wire.sum_roster import join_roster, roster_signed_by, sign_member_keys, sign_roster
from wardround.protocol.wire.sum_wire import SumAnswer, SumRequest, SumStep
from wardround.server.algorithm.sum_setup import SumStudy
from wardround.server.algorithm.sum_trips import SumAsked

TERMS, WEIGHTS, DIMENSION = "ab" * 32, "cd" * 32, 5


class MemoryStudy:
    """A study of members in memory, and one slot of it."""

    def __init__(self, thresholds: Thresholds, seed: int = 0, number: int = 0) -> None:
        self.study: Study = set_up(thresholds, seed)
        self.label: SumLabel = self.study.label(DIMENSION, number=number)
        self.asked = SumAsked(
            roster=self.study.roster,
            slot=self.label.slot,
            label=self.label.digest(),
            terms=TERMS,
            weights=WEIGHTS,
            dimension=DIMENSION,
            simulation=True,
        )

    @property
    def digests(self):
        return self.study.slot_key_digests[self.label.slot]

    def sent(self, index: int, integers: np.ndarray) -> SumAnswer:
        """A member's answer to trip 1."""
        return self.answer(index, SumStep.MASKED, WEIGHTS, masked_bytes(self.trip_one(index, integers)))

    def trip_one(self, index: int, integers: np.ndarray) -> Sent:
        return self.study.agents[index].trip_one(integers, self.label)

    def given(self, index: int, asked: Survivors) -> SumAnswer:
        """A member's answer to trip 2, read off the server's own bytes."""
        body = asked.to_bytes()
        shares = self.trip_two(index, Survivors.from_bytes(body, len(self.study.agents)))
        return self.answer(index, SumStep.SURVIVORS, digest(body), GivenShares(shares).to_bytes())

    def trip_two(self, index: int, asked: Survivors) -> dict[int, bytes]:
        agent = self.study.agents[index]
        survivors = check_survivors(asked.survivors, self.study.roster.thresholds)
        assert asked.label == self.label.digest()
        seeds = {}
        for dealer, share in zip(asked.survivors, asked.shares, strict=True):
            under = seed_label(self.label.slot, asked.label)
            opened = agent.open(dealer, column(index, share), ShareKind.SEED, under)
            if opened is not None:
                seeds[dealer] = opened
        return answer_survivors(survivors, len(self.study.agents), seeds, agent.held[self.label.slot])

    def answer(self, index: int, step: SumStep, asked: str, body: bytes, **changes) -> SumAnswer:
        answer = SumAnswer(
            step=step,
            study=self.study.roster.study,
            hospital=f"h{index}",
            terms_fingerprint=TERMS,
            round=self.label.slot.number,
            account=self.label.slot.account,
            asked=asked,
            roster=self.study.roster.digest.hex(),
            ledger_head=f"{index:064x}",
            simulation=True,
            body=body,
        )
        return replace(answer, **changes)


def masked_bytes(sent: Sent) -> bytes:
    pairs = zip(sent.dealt.sealed, sent.dealt.digests, strict=True)
    return MaskedIntegers(sent.masked, sent.commitment, tuple(DealtShare(*pair) for pair in pairs)).to_bytes()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def column(index: int, share: DealtShare):
    """One share where ``members.Agent.open`` looks for it."""
    return Dealt((share.sealed,) * index, (share.digest,) * index)


class SetUpMember:
    """One member through set-up, with a signing key: what its agent answers to KEYS, DEAL and TAKE."""

    def __init__(self, name: str, key: SigningKey | None = None) -> None:
        self.name, self.key = name, key or new_key()
        self.secret = StudySecret(derive_key("set-up", name))
        self.agent: Agent | None = None
        self.study: SumStudy | None = None
        self.stored: dict[object, SumAnswer] = {}
        self.survivors: dict[object, tuple[int, ...]] = {}

    def keys(self, study: SumStudy) -> bytes:
        self.study = study
        signed = sign_member_keys(
            self.secret, study.slots, terms=study.terms, hospital=self.name, key=self.key
        )
        return signed.to_bytes()

    def deal(self, body: bytes) -> bytes:
        study = self.study
        keys = RosterKeys.from_bytes(body, len(study.members), len(study.slots))
        roster = join_roster(
            study.study, study.terms, study.thresholds, study.slots, study.signing_keys, keys
        )
        index, stream = study.members.index(self.name) + 1, Keystream(derive_key("deal", self.name))
        self.agent = Agent(index, self.secret, stream, roster, {slot: {} for slot in study.slots})
        slots = []
        for slot in study.slots:
            dealt = self.agent.deal(self.secret.slot_key(slot), ShareKind.SLOT_KEY, slot.digest())
            slots.append(tuple(DealtShare(*pair) for pair in zip(dealt.sealed, dealt.digests, strict=True)))
        return Dealing(sign_roster(roster, study.terms, self.key), tuple(slots)).to_bytes()

    def take(self, body: bytes) -> bytes:
        study, agent = self.study, self.agent
        brought = BroughtShares.from_bytes(body, len(study.members), len(study.slots))
        failed = [i for i, one in enumerate(brought.dealers, 1) if not self._takes(agent.roster, i, one)]
        return TakenShares(tuple(failed)).to_bytes()

    def answer(self, request: SumRequest) -> SumAnswer:
        """What its agent answers to a request of set-up or trip 2: the same each time."""
        if request.body_digest not in self.stored:
            self.stored[request.body_digest] = self._answered(request)
        return self.stored[request.body_digest]

    def _answered(self, request: SumRequest) -> SumAnswer:
        steps = {
            SumStep.KEYS: lambda body: self.keys(self.study),
            SumStep.DEAL: self.deal,
            SumStep.TAKE: self.take,
            SumStep.SURVIVORS: lambda body: self.give(request),
        }
        body = steps[request.step](request.body)
        return SumAnswer(
            step=request.step,
            study=request.study,
            hospital=self.name,
            terms_fingerprint=request.terms_fingerprint,
            round=request.round,
            account=request.account,
            asked=request.body_digest,
            roster=request.roster,
            ledger_head=derive_key(self.name, request.body_digest).hex(),
            body=body,
        )

    def give(self, request: SumRequest) -> bytes:
        """Trip 2: one set of survivors per slot, ever."""
        slot, agent = slot_of(request.account, request.round), self.agent
        asked = Survivors.from_bytes(request.body, len(self.study.members))
        assert self.survivors.setdefault(slot, asked.survivors) == asked.survivors, "another set for one slot"
        seeds = {}
        for dealer, share in zip(asked.survivors, asked.shares, strict=True):
            under = seed_label(slot, asked.label)
            opened = agent.open(dealer, column(agent.index, share), ShareKind.SEED, under)
            if opened is not None:
                seeds[dealer] = opened
        survivors = check_survivors(asked.survivors, agent.roster.thresholds)
        return GivenShares(
            answer_survivors(survivors, len(self.study.members), seeds, agent.held[slot])
        ).to_bytes()

    def masked(self, plan: RoundPlan, terms: Terms, integers: np.ndarray) -> SumAnswer:
        """Trip 1, the same each time."""
        noise, roster = sum_noise(terms, plan), self.agent.roster
        label = label_of(plan, roster.digest, noise.dimension, noise.grid)
        place = ("plan", plan.account, plan.round, plan.weights_digest)
        if place not in self.stored:
            assert label.slot not in self.survivors, "trip 1 after trip 2"
            sent = self.agent.trip_one(integers, label)
            self.stored[place] = SumAnswer(
                step=SumStep.MASKED,
                study=plan.study,
                hospital=self.name,
                terms_fingerprint=plan.terms_fingerprint,
                round=plan.round,
                account=plan.account,
                asked=plan.weights_digest,
                roster=plan.roster,
                ledger_head=derive_key(self.name, plan.round).hex(),
                body=masked_bytes(sent),
            )
        return self.stored[place]

    def _takes(self, roster: Roster, dealer: int, one) -> bool:
        public = roster.members[dealer - 1].signing_key
        if not roster_signed_by(roster, self.study.terms, one.signature, public):
            return False
        for slot, share in zip(roster.slots, one.shares, strict=True):
            column_of = column(self.agent.index, share)
            opened = self.agent.open(dealer, column_of, ShareKind.SLOT_KEY, slot.digest())
            if opened is None:
                return False
            self.agent.held[slot][dealer] = opened
        return True
