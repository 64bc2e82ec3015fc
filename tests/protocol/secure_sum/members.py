"""Members of a secure sum as plain values, and a server: what agents and rounds will do, without wire or ledger."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wardround.protocol.errors import MessageError
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.secure_sum.grid import Grid
from wardround.protocol.secure_sum.keys import StudySecret, public_key
from wardround.protocol.secure_sum.label import Slot, SumLabel, seed_label
from wardround.protocol.secure_sum.masks import mask_integers, seed_commitment
from wardround.protocol.secure_sum.roster import Member, Roster
from wardround.protocol.secure_sum.seal import SealContext, ShareKind, open_share, seal_share, share_digest
from wardround.protocol.secure_sum.sharing import deal_shares
from wardround.protocol.secure_sum.survivors import answer_survivors, check_survivors
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.protocol.secure_sum.unmask import MaskedSum

SLOTS = (Slot("training", "update", 0), Slot("training", "update", 1))


@dataclass(frozen=True)
class Dealt:
    """Shares of one secret: sealed, and hashed, for the members in their order."""

    sealed: tuple[bytes, ...]
    digests: tuple[bytes, ...]


@dataclass(frozen=True)
class Sent:
    """What a member sends on trip 1."""

    masked: np.ndarray
    commitment: bytes
    dealt: Dealt


@dataclass
class Agent:
    """One member. ``held``: shares of slot keys, by slot and dealer."""

    index: int
    secret: StudySecret
    stream: Keystream
    roster: Roster | None = None
    held: dict[Slot, dict[int, bytes]] = field(default_factory=dict)

    def member(self) -> Member:
        slot_keys = tuple(public_key(self.secret.slot_key(slot)) for slot in SLOTS)
        sealing_key = public_key(self.secret.sealing_key())
        return Member(f"h{self.index}", f"ed25519:{self.index}", sealing_key, slot_keys)

    def deal(self, secret: bytes, kind: ShareKind, label: bytes) -> Dealt:
        assert self.roster is not None
        numbers = self.roster.thresholds
        return self.send(deal_shares(secret, numbers.threshold, numbers.hospitals, self.stream), kind, label)

    def send(self, shares: Sequence[bytes], kind: ShareKind, label: bytes) -> Dealt:
        assert self.roster is not None
        sealed, digests = [], []
        for receiver, (share, member) in enumerate(zip(shares, self.roster.members, strict=True), 1):
            context = SealContext(self.index, receiver, kind, self.roster.digest, label)
            private = self.secret.sealing_key()
            sealed.append(seal_share(private, member.sealing_key, context, share, self.stream))
            digests.append(share_digest(context, share))
        return Dealt(tuple(sealed), tuple(digests))

    def open(self, dealer: int, dealt: Dealt, kind: ShareKind, label: bytes) -> bytes | None:
        assert self.roster is not None
        context = SealContext(dealer, self.index, kind, self.roster.digest, label)
        sealed, digest = dealt.sealed[self.index - 1], dealt.digests[self.index - 1]
        sender_key = self.roster.members[dealer - 1].sealing_key
        try:
            return open_share(self.secret.sealing_key(), sender_key, context, sealed, digest)
        except MessageError:
            return None

    def trip_one(self, integers: np.ndarray, label: SumLabel) -> Sent:
        assert self.roster is not None
        digest, slot = label.digest(), label.slot
        seed = self.stream.words(4)
        private = self.secret.slot_key(slot)
        masked = mask_integers(integers, self.index, seed, private, self.roster.slot_keys(slot), digest)
        dealt = self.deal(seed, ShareKind.SEED, seed_label(slot, digest))
        return Sent(masked, seed_commitment(seed, self.index, digest), dealt)

    def trip_two(
        self, survivors: Sequence[int], sent: Mapping[int, Sent], label: SumLabel
    ) -> dict[int, bytes]:
        assert self.roster is not None
        checked = check_survivors(survivors, self.roster.thresholds)
        under = seed_label(label.slot, label.digest())
        opened = {j: self.open(j, sent[j].dealt, ShareKind.SEED, under) for j in checked}
        seeds = {j: share for j, share in opened.items() if share is not None}
        return answer_survivors(checked, len(self.roster.members), seeds, self.held[label.slot])


@dataclass
class Study:
    """Agents after set-up, and the hashes of slot keys' shares that they dealt."""

    roster: Roster
    agents: dict[int, Agent]
    slot_key_digests: dict[Slot, dict[int, tuple[bytes, ...]]]

    def label(self, dimension: int, weights: str = "w", number: int = 0) -> SumLabel:
        return SumLabel(
            study="s",
            terms="t",
            roster=self.roster.digest,
            slot=SLOTS[number],
            plan={"round": number},
            weights=weights,
            dimension=dimension,
            grid=Grid(-10, 2**40, 1024),
        )

    def collect(self, label: SumLabel, sent: Mapping[int, Sent], survivors: Iterable[int]) -> MaskedSum:
        fixed = frozenset(survivors)
        return MaskedSum(
            roster=self.roster,
            slot=label.slot,
            label=label.digest(),
            survivors=fixed,
            total=np.add.reduce([sent[j].masked for j in sorted(fixed)]),
            commitments={j: sent[j].commitment for j in fixed},
            seed_digests={j: sent[j].dealt.digests for j in fixed},
            slot_key_digests=self.slot_key_digests[label.slot],
        )


def set_up(thresholds: Thresholds, seed: int = 0) -> Study:
    """Make agents, a roster, and deal every slot key to every member, sealed."""
    everybody = range(1, thresholds.hospitals + 1)
    agents = {
        i: Agent(i, StudySecret(derive_key(seed, "secret", i)), Keystream(derive_key(seed, "stream", i)))
        for i in everybody
    }
    roster = Roster("s", thresholds, SLOTS, tuple(agents[i].member() for i in everybody))
    digests: dict[Slot, dict[int, tuple[bytes, ...]]] = {slot: {} for slot in SLOTS}
    for agent in agents.values():
        agent.roster = roster
        agent.held = {slot: {} for slot in SLOTS}
    for slot in SLOTS:
        for dealer in agents.values():
            hand_out(agents, dealer, slot, digests, dealer.secret.slot_key(slot))
    return Study(roster, agents, digests)


def hand_out(
    agents: Mapping[int, Agent],
    dealer: Agent,
    slot: Slot,
    digests: dict[Slot, dict[int, tuple[bytes, ...]]],
    secret: bytes,
) -> None:
    """Deal one slot key (or, for a bad dealer, something else) to all."""
    dealt = dealer.deal(secret, ShareKind.SLOT_KEY, slot.digest())
    digests[slot][dealer.index] = dealt.digests
    for agent in agents.values():
        share = agent.open(dealer.index, dealt, ShareKind.SLOT_KEY, slot.digest())
        assert share is not None
        agent.held[slot][dealer.index] = share
