"""Trip 2: whom the server calls survivors, and which one share a member then gives for each member.

Never both for one member: the seed of a survivor, the slot key of one who is gone. A member answers for one set of
survivors per slot, ever, under the label of its own trip 1 where it sent one; its ledger sees to that.
"""

from collections.abc import Mapping, Sequence

from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.seal import ShareKind
from wardround.protocol.secure_sum.thresholds import Thresholds


def check_survivors(survivors: Sequence[int], thresholds: Thresholds) -> frozenset[int]:
    """Check the indices of survivors: in ascending order, of members, q of them or more. MessageError otherwise.

    Ascending, so that one set has one spelling and no member stands twice.
    """
    if list(survivors) != sorted(set(survivors)):
        raise MessageError("survivors: must be distinct and in ascending order")
    if survivors and not 1 <= min(survivors) <= max(survivors) <= thresholds.hospitals:
        raise MessageError(f"survivors: must be members, 1 to {thresholds.hospitals}")
    if len(survivors) < thresholds.threshold:
        raise MessageError(f"survivors: {len(survivors)}, must be at least {thresholds.threshold}")
    return frozenset(survivors)


def wanted_kind(member: int, survivors: frozenset[int]) -> ShareKind:
    """Say of what a share is given for this member."""
    return ShareKind.SEED if member in survivors else ShareKind.SLOT_KEY


def answer_survivors(
    survivors: frozenset[int],
    members: int,
    seed_shares: Mapping[int, bytes],
    slot_key_shares: Mapping[int, bytes],
) -> dict[int, bytes]:
    """Choose for each member the one share to give, by its index; left out where that share did not open.

    seed_shares, slot_key_shares: what this member holds, by dealer. A missing share is never replaced by the other
    kind.
    """
    held = {ShareKind.SEED: seed_shares, ShareKind.SLOT_KEY: slot_key_shares}
    chosen = {member: held[wanted_kind(member, survivors)].get(member) for member in range(1, members + 1)}
    return {member: share for member, share in chosen.items() if share is not None}
