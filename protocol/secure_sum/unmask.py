"""The server after trip 2: shares to seeds and slot keys, those to masks, and the masks out of the sum.

Everything is checked before it is used: each share against the hash that its dealer sent openly, each seed against
its commitment, each slot key against the roster. What fails makes the sum void, and says whose fault it is where
that is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from wardround.protocol.arrays import Integers
from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.keys import public_key
from wardround.protocol.secure_sum.label import Slot, seed_label
from wardround.protocol.secure_sum.masks import Ring, add_stream, own_mask_key, pair_mask_key, seed_commitment
from wardround.protocol.secure_sum.roster import Roster
from wardround.protocol.secure_sum.seal import SealContext, ShareKind, share_digest
from wardround.protocol.secure_sum.sharing import recover_secret
from wardround.protocol.secure_sum.survivors import wanted_kind

Digests = Mapping[int, tuple[bytes, ...]]
Answers = Mapping[int, Mapping[int, bytes]]
"""By the index of who answers, then of the member whose share it is."""


@dataclass(frozen=True)
class MaskedSum:
    """What the server holds of one slot once the survivors are fixed.

    total: Σ y_i over the survivors, uint64 [d]. commitments: to the survivors' seeds. seed_digests and
    slot_key_digests: by dealer, the hashes of the shares that it dealt to members 1 … H.
    """

    roster: Roster
    slot: Slot
    label: bytes
    survivors: frozenset[int]
    total: Ring
    commitments: Mapping[int, bytes]
    seed_digests: Digests
    slot_key_digests: Digests

    def __post_init__(self) -> None:
        """Check that nothing is missing; ValueError otherwise (who sent too little is no survivor)."""
        everybody = range(1, len(self.roster.members) + 1)
        whole = self.survivors <= set(everybody) and self.survivors <= set(self.commitments)
        for member in everybody if whole else ():
            digests = self.seed_digests if member in self.survivors else self.slot_key_digests
            whole = whole and len(digests.get(member, ())) == len(everybody)
        if not whole:
            raise ValueError("masked sum: a commitment or the hashes of a member's shares are missing")
        # Below q no two sets of answers need meet in an honest member, and m is not what it says.
        if len(self.survivors) < self.roster.thresholds.threshold:
            raise ValueError("masked sum: fewer survivors than the threshold")


@dataclass(frozen=True)
class VoidSum:
    """No sum: why, in a fixed word, and the indices of those who are to blame for it.

    missing: the members of whose secret fewer than q right shares came.
    """

    reason: str
    missing: tuple[int, ...] = ()
    dealers: tuple[int, ...] = ()
    answerers: tuple[int, ...] = ()


def unmask(masked: MaskedSum, answers: Answers) -> Integers | VoidSum:
    """Take the masks out: int64 [d], the sum of the survivors' integers modulo 2⁶⁴, as numbers within ±2⁶³.

    ``too few shares`` names answerers whose shares are not those dealt (more answers may still come, and those of the
    named do not count); ``bad dealer`` names members whose own secret, from q right shares, is not the one they stood
    by. A wrong answerer beside q right ones does no harm.
    """
    good, liars = _right_shares(masked, answers)
    threshold = masked.roster.thresholds.threshold
    if missing := tuple(member for member, shares in good.items() if len(shares) < threshold):
        return VoidSum("too few shares", missing, answerers=liars)
    secrets = {member: _recovered(shares[:threshold], threshold) for member, shares in good.items()}
    dealers = tuple(member for member, secret in secrets.items() if not _stands(masked, member, secret))
    if dealers:
        return VoidSum("bad dealer", dealers=dealers, answerers=liars)
    total = masked.total.copy()
    for member, secret in secrets.items():
        if secret is not None:
            _remove(masked, total, member, secret)
    return total.view("<i8")


def share_context(masked: MaskedSum, dealer: int, receiver: int) -> SealContext:
    """Say what the share is that ``receiver`` gives of this dealer's, now that the survivors are fixed."""
    kind = wanted_kind(dealer, masked.survivors)
    seed = kind is ShareKind.SEED
    label = seed_label(masked.slot, masked.label) if seed else masked.slot.digest()
    return SealContext(dealer, receiver, kind, masked.roster.digest, label)


def _right_shares(
    masked: MaskedSum, answers: Answers
) -> tuple[dict[int, list[tuple[int, bytes]]], tuple[int, ...]]:
    """Sort shares by member, dropping those that are not what was dealt; and say who gave these."""
    good: dict[int, list[tuple[int, bytes]]] = {m: [] for m in range(1, len(masked.roster.members) + 1)}
    liars = set()
    for answerer, shares in sorted(answers.items()):
        for member, share in shares.items():
            if is_dealt(masked, member, answerer, share):
                good[member].append((answerer, share))
            else:
                liars.add(answerer)
    return good, tuple(sorted(liars))


def is_dealt(masked: MaskedSum, dealer: int, answerer: int, share: bytes) -> bool:
    """Say whether a share is the one that this dealer dealt to who gives it now, by the hash that the dealer sent."""
    members = len(masked.roster.members)
    if not (1 <= dealer <= members and 1 <= answerer <= members):
        return False
    digests = masked.seed_digests if dealer in masked.survivors else masked.slot_key_digests
    return digests[dealer][answerer - 1] == share_digest(share_context(masked, dealer, answerer), share)


def _recovered(shares: list[tuple[int, bytes]], threshold: int) -> bytes | None:
    try:
        return recover_secret(shares, threshold)
    except MessageError:
        return None


def _stands(masked: MaskedSum, member: int, secret: bytes | None) -> bool:
    """Say whether a secret is the one that its owner committed to, or whose public half is in the roster."""
    if secret is None:
        return False
    if member in masked.survivors:
        return seed_commitment(secret, member, masked.label) == masked.commitments[member]
    return public_key(secret) == masked.roster.slot_keys(masked.slot)[member - 1]


def _remove(masked: MaskedSum, total: Ring, member: int, secret: bytes) -> None:
    """Take out a survivor's own mask, or what the survivors' vectors hold of one who is gone."""
    if member in masked.survivors:
        add_stream(total, own_mask_key(secret, member, masked.label), negative=True)
        return
    slot_keys = masked.roster.slot_keys(masked.slot)
    for survivor in masked.survivors:
        key = pair_mask_key(secret, member, survivor, slot_keys, masked.label)
        add_stream(total, key, negative=member < survivor)
