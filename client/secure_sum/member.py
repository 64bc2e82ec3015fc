"""The steps of one member of a secure sum, as pure functions, in their order.

    deal → take ⇒ (once for each study)      mask ⇒ give (once for each slot)

Keys and roster come before them (``protocol.wire.sum_roster``). Nothing here remembers: that a roster is signed once,
and a slot answered once, is the ledger's to see to (``client.ledger.sum_entries``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wardround.protocol.arrays import Integers
from wardround.protocol.errors import MessageError
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum.exchange import (
    BroughtDealing,
    BroughtShares,
    Dealing,
    DealtShare,
    GivenShares,
    MaskedIntegers,
    Survivors,
)
from wardround.protocol.secure_sum.keys import StudySecret, public_key
from wardround.protocol.secure_sum.label import Slot, seed_label
from wardround.protocol.secure_sum.masks import mask_integers, seed_commitment
from wardround.protocol.secure_sum.roster import Roster
from wardround.protocol.secure_sum.seal import SealContext, ShareKind, open_share, seal_share, share_digest
from wardround.protocol.secure_sum.sharing import deal_shares
from wardround.protocol.secure_sum.survivors import answer_survivors, check_survivors
from wardround.protocol.wire.signing import SigningKey
from wardround.protocol.wire.sum_roster import roster_signed_by, sign_roster

_SEED_WORDS = 4  # 256 bits

Opened = tuple[tuple[bytes, ...], ...]
"""Shares of slot keys that a member opened: by dealer in the roster's order, slot by slot."""


@dataclass(frozen=True, eq=False)
class SumMember:
    """One hospital within a roster. index: its own, from 1. terms: fingerprint of the study's terms."""

    roster: Roster
    index: int
    terms: str
    secret: StudySecret = field(repr=False)


def member_of(roster: Roster, hospital: str, terms: str, secret: StudySecret) -> SumMember:
    """Find a hospital in a roster; MessageError unless it stands there with the keys of this very secret."""
    names = [member.name for member in roster.members]
    if hospital not in names:
        raise MessageError(f"roster: does not name {hospital}")
    index = names.index(hospital) + 1
    listed = roster.members[index - 1]
    own = tuple(public_key(secret.slot_key(slot)) for slot in roster.slots)
    if (listed.sealing_key, listed.slot_keys) != (public_key(secret.sealing_key()), own):
        raise MessageError(f"roster: holds other keys of {hospital} than it made for this study")
    return SumMember(roster, index, terms, secret)


def deal(member: SumMember, key: SigningKey) -> Dealing:
    """Share every slot key among all members, sealed, and sign the roster: the same bytes each time.

    key: the hospital's signing key. Guarantee: fewer than the threshold's shares tell nothing of a slot key.
    """
    stream = member.secret.dealing_stream(member.roster.digest)
    dealt = []
    for slot in member.roster.slots:
        secret = member.secret.slot_key(slot)
        dealt.append(_share_out(member, secret, ShareKind.SLOT_KEY, slot.digest(), stream))
    return Dealing(sign_roster(member.roster, member.terms, key), tuple(dealt))


def take(member: SumMember, brought: BroughtShares) -> tuple[tuple[int, ...], Opened]:
    """Open what every dealer dealt to this member: whose roster signature or shares are no good, and the shares.

    Guarantee: where nobody is named, every member signed this very roster, and each share is the one whose hash its
    dealer sent openly. The shares are empty where somebody is named.
    """
    failed, opened = [], []
    for dealer, one in enumerate(brought.dealers, 1):
        shares = _taken(member, dealer, one)
        opened.append(shares or ())
        if shares is None:
            failed.append(dealer)
    return tuple(failed), () if failed else tuple(opened)


def mask(
    member: SumMember, integers: Integers, label: bytes, slot: Slot, stream: Keystream
) -> MaskedIntegers:
    """Trip 1: hide a hospital's noised integers [d], and share what opens them among all members.

    The stream must be fresh, and the result stored before it leaves: one seed masks one vector.
    """
    seed = stream.words(_SEED_WORDS)
    private, public = member.secret.slot_key(slot), member.roster.slot_keys(slot)
    masked = mask_integers(integers, member.index, seed, private, public, label)
    shares = _share_out(member, seed, ShareKind.SEED, seed_label(slot, label), stream)
    return MaskedIntegers(masked, seed_commitment(seed, member.index, label), shares)


def give(member: SumMember, asked: Survivors, slot: Slot, opened: Opened) -> GivenShares:
    """Trip 2: for each member one share, of a survivor's seed or of the slot key of one who is gone; never both.

    A share that does not open is left out. MessageError for survivors that are no set of members, or too few.
    """
    survivors = check_survivors(asked.survivors, member.roster.thresholds)
    place = member.roster.slots.index(slot)
    slot_keys = {dealer: shares[place] for dealer, shares in enumerate(opened, 1)}
    seeds = _opened_seeds(member, asked, slot)
    return GivenShares(answer_survivors(survivors, len(member.roster.members), seeds, slot_keys))


def _share_out(
    member: SumMember, secret: bytes, kind: ShareKind, label: bytes, stream: Keystream
) -> tuple[DealtShare, ...]:
    """Share a secret among all members, this one among them."""
    thresholds = member.roster.thresholds
    shares = deal_shares(secret, thresholds.threshold, thresholds.hospitals, stream)
    private, dealt = member.secret.sealing_key(), []
    for receiver, share in enumerate(shares, 1):
        context = SealContext(member.index, receiver, kind, member.roster.digest, label)
        receiver_key = member.roster.members[receiver - 1].sealing_key
        sealed = seal_share(private, receiver_key, context, share, stream)
        dealt.append(DealtShare(sealed, share_digest(context, share)))
    return tuple(dealt)


def _taken(member: SumMember, dealer: int, dealing: BroughtDealing) -> tuple[bytes, ...] | None:
    signing_key = member.roster.members[dealer - 1].signing_key
    # Who signed another roster holds other keys, and would be neither in nor out of this one's sums.
    if not roster_signed_by(member.roster, member.terms, dealing.signature, signing_key):
        return None
    shares = [
        _opened(member, dealer, dealt, ShareKind.SLOT_KEY, slot.digest())
        for slot, dealt in zip(member.roster.slots, dealing.shares, strict=True)
    ]
    whole = tuple(share for share in shares if share is not None)
    return whole if len(whole) == len(shares) else None


def _opened_seeds(member: SumMember, asked: Survivors, slot: Slot) -> Mapping[int, bytes]:
    label = seed_label(slot, asked.label)
    opened = {
        dealer: _opened(member, dealer, dealt, ShareKind.SEED, label)
        for dealer, dealt in zip(asked.survivors, asked.shares, strict=True)
    }
    return {dealer: share for dealer, share in opened.items() if share is not None}


def _opened(member: SumMember, dealer: int, dealt: DealtShare, kind: ShareKind, label: bytes) -> bytes | None:
    context = SealContext(dealer, member.index, kind, member.roster.digest, label)
    sender_key = member.roster.members[dealer - 1].sealing_key
    private = member.secret.sealing_key()
    try:
        return open_share(private, sender_key, context, dealt.sealed, dealt.digest)
    except MessageError:
        return None
