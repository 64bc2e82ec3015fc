"""One secure sum at the server, as a frozen state: trip 1 in, the survivors fixed, trip 2 out and in, the sum or none.

    begin → take_masked … → fix ⇒ (durable) ⇒ survivors_for each member → await_shares → take_given … → outcome

Who carries the messages is not known here. Whatever a member sends is checked for what it is about; what does not fit
is refused by name, as ``screen`` refuses releases.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from wardround.protocol.arrays import Integers
from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.exchange import DealtShare, GivenShares, MaskedIntegers, Survivors
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.masks import Ring
from wardround.protocol.secure_sum.roster import Roster
from wardround.protocol.secure_sum.unmask import MaskedSum, VoidSum, is_dealt, unmask
from wardround.protocol.terms.sum_noise import sum_label
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.wire.sum_wire import SumAnswer, SumStep
from wardround.server.algorithm.screen import NoRelease


@dataclass(frozen=True, kw_only=True, eq=False)
class SumAsked:
    """What one sum is about, and every answer with it.

    label: ``SumLabel.digest``. terms: fingerprint. weights: digest of the plan's weights, hex. dimension: d.
    simulation: whether what seeds produced is taken.
    """

    roster: Roster
    slot: Slot
    label: bytes
    terms: str
    weights: str
    dimension: int
    simulation: bool = False

    def index(self, hospital: str) -> int | None:
        """Give a hospital's index in the roster, from 1; None for a stranger."""
        names = (member.name for member in self.roster.members)
        return next((index for index, name in enumerate(names, 1) if name == hospital), None)

    def name(self, index: int) -> str:
        """Give the name of a member."""
        return self.roster.members[index - 1].name


@dataclass(frozen=True)
class SentSeed:
    """What trip 1 of one member holds besides its masked numbers: the commitment to its seed, and the seed's shares."""

    commitment: bytes
    shares: tuple[DealtShare, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class FirstTrip:
    """Trip 1 under way: the sum of what has come, and what opens it later.

    total: Σ y_i, uint64 [d], added to in place: memory is one vector, however many members. sent: by index. heads: by
    hospital, of its ledger. refused: by hospital, why what it sent last does not count.
    """

    asked: SumAsked
    total: Ring = field(repr=False)
    sent: Mapping[int, SentSeed] = field(default_factory=dict)
    heads: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def accepted(self) -> tuple[str, ...]:
        """Name whose release is in the sum."""
        return tuple(self.asked.name(index) for index in sorted(self.sent))


@dataclass(frozen=True, eq=False)
class FixedSum:
    """The survivors of one slot, once and for all: durable before trip 2 leaves.

    A server that forgot them could name others; hospitals answer for one set per slot, and the sum would be lost.
    """

    asked: SumAsked
    total: Ring = field(repr=False)
    sent: Mapping[int, SentSeed]
    heads: Mapping[str, str]
    refused: Mapping[str, str]

    @property
    def survivors(self) -> tuple[int, ...]:
        """Give the survivors' indices, ascending."""
        return tuple(sorted(self.sent))

    @property
    def accepted(self) -> tuple[str, ...]:
        """Name the survivors."""
        return tuple(self.asked.name(index) for index in self.survivors)


@dataclass(frozen=True, eq=False)
class SecondTrip:
    """Trip 2 under way. given: shares by answerer, then member. right: of how many answerers each member's share fits.

    wrong: answerers who gave a share that is not the one dealt to them. refused: as in ``FirstTrip``.
    """

    asked: SumAsked
    masked: MaskedSum
    given: Mapping[int, Mapping[int, bytes]] = field(default_factory=dict, repr=False)
    right: Mapping[int, int] = field(default_factory=dict)
    wrong: tuple[int, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def answered(self) -> tuple[str, ...]:
        """Name who gave shares."""
        return tuple(self.asked.name(index) for index in sorted(self.given))

    @property
    def complete(self) -> bool:
        """Whether q right shares of each member's secret are there: more answers would not change the sum."""
        members, threshold = self.masked.roster.members, self.masked.roster.thresholds.threshold
        return all(self.right.get(index, 0) >= threshold for index in range(1, len(members) + 1))


@dataclass(frozen=True, eq=False)
class ClosedSum:
    """What came of one secure sum. total: int64 [d], exact; None where the sum is void, and void says why.

    accepted: names of the survivors. heads: of their ledgers. refused: as in ``FirstTrip``.
    """

    total: Integers | None = field(repr=False)
    accepted: tuple[str, ...]
    heads: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    void: str = ""


def sum_asked(terms: Terms, roster: Roster, plan: RoundPlan) -> SumAsked:
    """Say what the sum of a plan is about. plan: of any of its hospitals, as they were sent it."""
    label = sum_label(plan, roster.digest, terms)
    return SumAsked(
        roster=roster,
        slot=label.slot,
        label=label.digest(),
        terms=terms.fingerprint,
        weights=plan.weights_digest,
        dimension=label.dimension,
        simulation=terms.simulation,
    )


def begin(asked: SumAsked) -> FirstTrip:
    """Begin a sum of nothing."""
    return FirstTrip(asked, np.zeros(asked.dimension, np.uint64))


def take_masked(trip: FirstTrip, answer: SumAnswer | NoRelease) -> FirstTrip:
    """Take in one member's trip 1, or say by name why it does not count."""
    hospital, index = answer.hospital, trip.asked.index(answer.hospital)
    if isinstance(answer, NoRelease):
        return _refuse(trip, hospital, answer.reason)
    reason = _wrong_label(trip.asked, answer, SumStep.MASKED, trip.asked.weights)
    if reason or index is None:
        return _refuse(trip, hospital, reason)
    if index in trip.sent:
        return _refuse(trip, hospital, "repeated")
    asked = trip.asked
    try:
        masked = MaskedIntegers.from_bytes(answer.body, len(asked.roster.members), asked.dimension)
    except MessageError:
        return _refuse(trip, hospital, "malformed")
    np.add(trip.total, masked.masked, out=trip.total)
    return replace(
        trip,
        sent={**trip.sent, index: SentSeed(masked.commitment, masked.seed_shares)},
        heads={**trip.heads, hospital: answer.ledger_head},
        refused={name: why for name, why in trip.refused.items() if name != hospital},
    )


def may_fix(trip: FirstTrip, quorum: int) -> bool:
    """Whether enough have come: q of the roster, and as many as the operator wants."""
    return len(trip.sent) >= max(trip.asked.roster.thresholds.threshold, quorum)


def fix(trip: FirstTrip) -> FixedSum:
    """Fix the survivors: whoever has come. ValueError below q, where no sum could exist."""
    if not may_fix(trip, 0):
        raise ValueError(f"{len(trip.sent)} survivors: fewer than the threshold")
    return FixedSum(trip.asked, trip.total, trip.sent, trip.heads, trip.refused)


def survivors_for(fixed: FixedSum, index: int) -> Survivors:
    """Write trip 2 for one member, in the sum or not: who survives, and the shares of their seeds that are for it."""
    shares = tuple(fixed.sent[survivor].shares[index - 1] for survivor in fixed.survivors)
    return Survivors(fixed.asked.label, fixed.survivors, shares)


def await_shares(fixed: FixedSum, slot_key_digests: Mapping[int, tuple[bytes, ...]]) -> SecondTrip:
    """Begin trip 2. slot_key_digests: by dealer, of this slot's key, as set-up kept them."""
    masked = MaskedSum(
        roster=fixed.asked.roster,
        slot=fixed.asked.slot,
        label=fixed.asked.label,
        survivors=frozenset(fixed.survivors),
        total=fixed.total,
        commitments={index: one.commitment for index, one in fixed.sent.items()},
        seed_digests={index: tuple(s.digest for s in one.shares) for index, one in fixed.sent.items()},
        slot_key_digests=slot_key_digests,
    )
    return SecondTrip(fixed.asked, masked)


def take_given(trip: SecondTrip, answer: SumAnswer | NoRelease, asked_digest: str) -> SecondTrip:
    """Take in one member's shares, each compared with the hash that its dealer sent.

    asked_digest: of the request's body that this member was sent, hex. A member's first answer stands.
    """
    hospital, index = answer.hospital, trip.asked.index(answer.hospital)
    if isinstance(answer, NoRelease):
        return replace(trip, refused={**trip.refused, hospital: answer.reason})
    reason = _wrong_label(trip.asked, answer, SumStep.SURVIVORS, asked_digest)
    if reason or index is None:
        return replace(trip, refused={**trip.refused, hospital: reason})
    if index in trip.given:
        return trip
    try:
        shares = GivenShares.from_bytes(answer.body, len(trip.asked.roster.members)).shares
    except MessageError:
        return replace(trip, refused={**trip.refused, hospital: "malformed"})
    right = {dealer for dealer, share in shares.items() if is_dealt(trip.masked, dealer, index, share)}
    counts = {dealer: trip.right.get(dealer, 0) + (dealer in right) for dealer in shares}
    return replace(
        trip,
        given={**trip.given, index: shares},
        right={**trip.right, **counts},
        wrong=(*trip.wrong, index) if len(right) < len(shares) else trip.wrong,
        refused={name: why for name, why in trip.refused.items() if name != hospital},
    )


def outcome(trip: SecondTrip) -> Integers | VoidSum | None:
    """Give the exact sum of the survivors' integers, int64 [d]; or why there is none; None while shares are missing.

    Unmasking, whose cost grows with every survivor and every member gone, is tried once, when it can be done.
    """
    return unmask(trip.masked, trip.given) if trip.complete else None


def give_up(trip: SecondTrip) -> VoidSum:
    """Say of whose secrets too few right shares came, where nobody waits for more."""
    found = unmask(trip.masked, trip.given)
    # A complete trip has a sum, and is never given up.
    return found if isinstance(found, VoidSum) else VoidSum("too few shares")


def _refuse(trip: FirstTrip, hospital: str, reason: str) -> FirstTrip:
    # A later, worse message does not take out what a hospital has sent before.
    if trip.asked.index(hospital) in trip.sent:
        return trip
    return replace(trip, refused={**trip.refused, hospital: reason})


def _wrong_label(asked: SumAsked, answer: SumAnswer, step: SumStep, digest: str) -> str:
    """Say what an answer is about instead; empty where it is about this sum."""
    checks = (
        (answer.step is step, "wrong step"),
        (answer.study == asked.roster.study, "wrong study"),
        (asked.index(answer.hospital) is not None, "unknown hospital"),
        (answer.round == asked.slot.number, "wrong round"),
        (answer.terms_fingerprint == asked.terms, "wrong terms"),
        (answer.account == asked.slot.account, "wrong account"),
        (answer.asked == digest, "wrong weights" if step is SumStep.MASKED else "wrong survivors"),
        (answer.roster == asked.roster.digest.hex(), "wrong roster"),
        (asked.simulation or not answer.simulation, "simulated"),
    )
    return next((reason for holds, reason in checks if not holds), "")


def closed(fixed: FixedSum, found: Integers | VoidSum) -> ClosedSum:
    """Close a slot with its sum, or without one; a void one says of whom too little or something wrong came."""
    if isinstance(found, VoidSum):
        return ClosedSum(None, fixed.accepted, fixed.heads, fixed.refused, void_words(fixed.asked, found))
    return ClosedSum(found, fixed.accepted, fixed.heads, fixed.refused)


def void_words(asked: SumAsked, found: VoidSum) -> str:
    """Say why there is no sum, with names."""
    named = {"of": found.missing, "by": found.dealers, "wrong shares given by": found.answerers}
    parts = [
        f"{word} {', '.join(asked.name(one) for one in indices)}"
        for word, indices in named.items()
        if indices
    ]
    return f"{found.reason} {'; '.join(parts)}".strip()
