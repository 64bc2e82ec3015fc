"""The steps of a hospital's member as pure functions: any number of members, drop-outs in both trips, the plain sum."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.client.secure_sum.member import Opened, SumMember, deal, give, mask, member_of, take
from wardround.protocol.errors import MessageError
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.secure_sum.exchange import BroughtDealing, BroughtShares, RosterKeys, Survivors
from wardround.protocol.secure_sum.keys import StudySecret
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.roster import Roster
from wardround.protocol.secure_sum.seal import SealContext, ShareKind, share_digest
from wardround.protocol.secure_sum.thresholds import default_thresholds
from wardround.protocol.secure_sum.unmask import MaskedSum, unmask
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_roster import join_roster, sign_member_keys

SLOTS, TERMS, LABEL = (Slot("training", "round", 1), Slot("training", "round", 2)), "ab" * 32, b"l" * 32
D = 5


@lru_cache(maxsize=8)
def set_up(count: int) -> tuple[Roster, tuple[SumMember, ...], tuple[Any, ...], tuple[Opened, ...]]:
    """Seat, deal and take for so many members."""
    names = [f"h{number:02d}" for number in range(1, count + 1)]
    signers = {name: new_key() for name in names}
    secrets = {name: StudySecret(derive_key("member", count, name)) for name in names}
    keys = RosterKeys(
        tuple(
            sign_member_keys(secrets[name], SLOTS, terms=TERMS, hospital=name, key=signers[name])
            for name in names
        )
    )
    identities = {name: key.public for name, key in signers.items()}
    roster = join_roster("tea", TERMS, default_thresholds(count), SLOTS, identities, keys)
    members = tuple(member_of(roster, name, TERMS, secrets[name]) for name in names)
    dealings = tuple(deal(member, signers[name]) for member, name in zip(members, names, strict=True))
    opened = []
    for member in members:
        brought = BroughtShares(
            tuple(BroughtDealing(one.signature, one.share_for(member.index)) for one in dealings)
        )
        failed, shares = take(member, brought)
        assert failed == ()
        opened.append(shares)
    return roster, members, dealings, tuple(opened)


@given(st.data(), st.integers(3, 12))
@settings(max_examples=12, deadline=None)
def test_the_sum_of_the_survivors_is_their_plain_sum(data: st.DataObject, count: int) -> None:
    roster, members, dealings, opened = set_up(count)
    threshold, slot = roster.thresholds.threshold, data.draw(st.sampled_from(SLOTS))
    everybody = list(range(1, count + 1))
    survivors = sorted(data.draw(st.sets(st.sampled_from(everybody), min_size=threshold)))
    answerers = sorted(data.draw(st.sets(st.sampled_from(everybody), min_size=threshold)))
    seed = data.draw(st.integers(0, 2**32))
    integers = np.random.default_rng(seed).integers(-(2**40), 2**40, (count, D))
    place = SLOTS.index(slot)
    sent = {
        i: mask(members[i - 1], integers[i - 1], LABEL, slot, Keystream(derive_key("mask", seed, i)))
        for i in survivors
    }
    answers = {}
    for i in answerers:
        shares = tuple(sent[j].seed_shares[i - 1] for j in survivors)
        given_shares = give(members[i - 1], Survivors(LABEL, tuple(survivors), shares), slot, opened[i - 1])
        assert set(given_shares.shares) == set(everybody)
        answers[i] = given_shares.shares
    masked = MaskedSum(
        roster=roster,
        slot=slot,
        label=LABEL,
        survivors=frozenset(survivors),
        total=np.add.reduce([one.masked for one in sent.values()]),
        commitments={i: one.commitment for i, one in sent.items()},
        seed_digests={i: tuple(share.digest for share in one.seed_shares) for i, one in sent.items()},
        slot_key_digests={
            i: tuple(share.digest for share in dealings[i - 1].slots[place]) for i in everybody
        },
    )
    total = unmask(masked, answers)
    assert isinstance(total, np.ndarray)
    assert (total == integers[[i - 1 for i in survivors]].sum(axis=0)).all()


def test_a_dealing_has_the_same_bytes_each_time_and_other_ones_for_another_roster() -> None:
    _, members, dealings, _ = set_up(4)
    signer = new_key()
    again = deal(members[0], signer)
    assert again.slots == dealings[0].slots
    assert deal(members[0], signer).to_bytes() == again.to_bytes()
    other = SumMember(set_up(5)[0], 1, TERMS, members[0].secret)
    assert deal(other, signer).slots[0][0].sealed != again.slots[0][0].sealed


def test_each_member_holds_what_its_dealers_announced() -> None:
    roster, _, dealings, opened = set_up(4)
    for index, held in enumerate(opened, 1):
        for dealer, shares in enumerate(held, 1):
            for slot, share, dealt in zip(SLOTS, shares, dealings[dealer - 1].slots, strict=True):
                context = SealContext(dealer, index, ShareKind.SLOT_KEY, roster.digest, slot.digest())
                assert share_digest(context, share) == dealt[index - 1].digest


def test_a_member_is_seated_with_its_own_keys_alone() -> None:
    roster, members, _, _ = set_up(4)
    with pytest.raises(MessageError, match="other keys of h01"):
        member_of(roster, "h01", TERMS, members[1].secret)
    with pytest.raises(MessageError, match="does not name h99"):
        member_of(roster, "h99", TERMS, members[0].secret)


def test_masks_need_a_fresh_seed_each_time_and_show_nothing_of_equal_integers() -> None:
    _, members, _, _ = set_up(4)
    integers = np.zeros(2**14, np.int64)
    one, other = (mask(members[0], integers, LABEL, SLOTS[0], Keystream(derive_key(i))) for i in (1, 2))
    assert (one.masked != other.masked).all()
    counts = np.bincount(one.masked.view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    # χ² with 255 degrees of freedom: 1e-9 on either side.
    assert 135 < ((counts - expected) ** 2 / expected).sum() < 420
