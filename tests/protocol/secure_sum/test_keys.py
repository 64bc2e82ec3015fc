"""Keys, roster and label: what is refused, and that nothing two things have in common can be taken for the other."""

import copy
import pickle
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.secure_sum.test_vectors import label, roster
from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.grid import Grid
from wardround.protocol.secure_sum.keys import (
    KeyUse,
    StudySecret,
    agree,
    check_public_key,
    derive_key32,
    new_study_secret,
    public_key,
)
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.masks import own_mask_key, pair_mask_key
from wardround.protocol.secure_sum.thresholds import Thresholds

P = 2**255 - 19
SLOTS = [Slot(account, kind, number) for account in ("a", "b") for kind in ("u", "v") for number in (0, 1)]


def point(number: int) -> bytes:
    return number.to_bytes(32, "little")


SMALL = [0, 1, P - 1]
SMALL += [
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]


@pytest.mark.parametrize("number", SMALL)
def test_keys_of_small_order_are_refused_and_are_those_that_the_library_refuses(number: int) -> None:
    with pytest.raises(MessageError, match="small order"):
        check_public_key(point(number))
    with pytest.raises(ValueError, match="shared key"):
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(point(number)))


@pytest.mark.parametrize("number", [P, P + 1, P + 9, 2**255 + 9, 2**256 - 1])
def test_a_second_spelling_of_a_key_is_refused(number: int) -> None:
    with pytest.raises(MessageError, match="must be the 32 bytes"):
        check_public_key(point(number))


@pytest.mark.parametrize("public", [b"", bytes(31), bytes([9]) + bytes(32)])
def test_a_key_has_32_bytes(public: bytes) -> None:
    with pytest.raises(MessageError, match="32 bytes"):
        agree(bytes(32), public)


def test_why_spellings_matter() -> None:
    """X25519 takes 9, 9 + 2^255 and p + 9 for one key: two members could hold one key and look distinct."""
    private = X25519PrivateKey.generate()
    agreed = {private.exchange(X25519PublicKey.from_public_bytes(point(n))) for n in (9, 9 + 2**255, P + 9)}
    assert len(agreed) == 1


def test_both_sides_agree() -> None:
    one, two = new_study_secret().sealing_key(), new_study_secret().sealing_key()
    assert agree(one, public_key(two)) == agree(two, public_key(one))


def test_keys_of_uses_slots_and_secrets_are_all_different() -> None:
    secrets = [StudySecret(bytes([i]) * 32) for i in range(3)]
    keys = [secret.sealing_key() for secret in secrets]
    keys += [secret.slot_key(slot) for secret in secrets for slot in SLOTS]
    keys += [derive_key32(b"k" * 32, use) for use in KeyUse]
    assert len(set(keys)) == len(keys)


@given(st.lists(st.binary(max_size=3), max_size=3), st.lists(st.binary(max_size=3), max_size=3))
def test_parts_of_a_derivation_do_not_run_together(one: list[bytes], two: list[bytes]) -> None:
    keys = [derive_key32(bytes(32), KeyUse.SEAL, *parts) for parts in (one, two)]
    assert (keys[0] == keys[1]) == (one == two)


def test_a_secret_shows_nothing_and_is_not_copied() -> None:
    secret = StudySecret(b"\xabsecret of a study, thirty two.."[:32])
    assert repr(secret) == "StudySecret(…)"
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            copier(secret)
    with pytest.raises(ValueError, match="31 bytes"):
        StudySecret(bytes(31))


def member(place: int, **changed: object) -> dict[str, object]:
    members = list(roster().members)
    members[place] = replace(members[place], **changed)
    return {"members": tuple(members)}


FIRST, SECOND = roster().members[:2]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"members": roster().members[:3]}, "3 members, not 4"),
        ({"thresholds": Thresholds(5, 1, 4)}, "4 members, not 5"),
        (member(1, name=FIRST.name), "two names are equal"),
        (member(1, signing_key=FIRST.signing_key), "two signing keys"),
        (member(1, sealing_key=FIRST.sealing_key), f"{FIRST.name} and {SECOND.name} have one key"),
        (member(1, sealing_key=FIRST.slot_keys[0]), f"{FIRST.name} and {SECOND.name} have one key"),
        (member(1, slot_keys=FIRST.slot_keys), f"{FIRST.name} and {SECOND.name} have one key"),
        (member(1, slot_keys=(SECOND.slot_keys[0],) * 2), f"keys of {SECOND.name}: two of them are equal"),
        (member(1, slot_keys=SECOND.slot_keys[:1]), "one key for each slot"),
        (member(1, slot_keys=(SECOND.slot_keys[0], point(1))), f"{SECOND.name}.*small order"),
        (
            member(1, sealing_key=bytes([*FIRST.sealing_key[:31], FIRST.sealing_key[31] | 128])),
            f"{SECOND.name}.*32 bytes",
        ),
        ({"slots": (roster().slots[0],) * 2}, "two slots"),
    ],
)
def test_a_roster_that_is_not_whole_or_has_bad_keys_is_refused(changes: dict, fault: str) -> None:
    with pytest.raises(MessageError, match=fault):
        replace(roster(), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"study": "t"},
        {"thresholds": Thresholds(4, 1, 4)},
        {"slots": roster().slots[::-1]},
        {"members": roster().members[::-1]},
        member(0, name="x"),
        member(0, signing_key="x"),
        member(0, sealing_key=point(9)),
        member(0, slot_keys=(point(9), FIRST.slot_keys[1])),
    ],
)
def test_whatever_changes_in_a_roster_changes_its_digest(changes: dict) -> None:
    assert replace(roster(), **changes).digest != roster().digest


@pytest.mark.parametrize(
    "changes",
    [
        {"study": "t"},
        {"terms": "x"},
        {"roster": bytes(32)},
        *({"slot": slot} for slot in SLOTS),
        {"plan": {}},
        {"plan": {**label().plan, "round": 4}},
        {"plan": {**label().plan, "round": "3"}},
        {"plan": {**label().plan, "last": 0}},
        {"weights": "x"},
        {"dimension": 6},
        {"grid": Grid(-13, 2**60, 4096)},
        {"grid": Grid(-12, 2**60 - 1, 4096)},
    ],
)
def test_whatever_changes_in_a_label_changes_every_mask(changes: dict) -> None:
    changed, digest = replace(label(), **changes).digest(), label().digest()
    assert changed != digest
    assert own_mask_key(bytes(32), 1, changed) != own_mask_key(bytes(32), 1, digest)
    keys = (point(9), public_key(bytes(32)))
    assert pair_mask_key(bytes(32), 2, 1, keys, changed) != pair_mask_key(bytes(32), 2, 1, keys, digest)


def test_the_order_of_a_plan_s_fields_does_not_matter() -> None:
    turned = dict(reversed(label().plan.items()))
    assert replace(label(), plan=turned).digest() == label().digest()


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        ({1: "a"}, "must map text"),  # JSON: the same as {"1": "a"}
        ({"a": 1.0}, "must map text"),  # JSON: another spelling of 1
        ({"a": None}, "must map text"),
        ({"a": ["b"]}, "must map text"),
        ({"hospital": "h1"}, "hospital differ by member"),
        ({"ledger_head": "ab"}, "ledger_head differ by member"),
    ],
)
def test_a_plan_whose_label_had_two_spellings_or_two_values_is_refused(plan: dict, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        replace(label(), plan=plan)


def test_mask_keys_of_pairs_are_one_for_both_and_different_for_all() -> None:
    privates = [bytes([i]) * 32 for i in range(1, 6)]
    publics = [public_key(private) for private in privates]
    keys = {
        (i, j): pair_mask_key(privates[i - 1], i, j, publics, b"l")
        for i in range(1, 6)
        for j in range(1, 6)
        if i != j
    }
    assert all(keys[i, j] == keys[j, i] for i, j in keys)
    assert len(set(keys.values())) == 10


def test_members_whose_keys_differ_by_a_point_of_small_order_have_other_masks() -> None:
    """They agree on one secret; both public keys in the derivation keep their masks apart."""
    mine = bytes([7]) * 32
    theirs = public_key(bytes([8]) * 32)
    u = int.from_bytes(theirs, "little")
    moved = point(pow(u, P - 2, P))  # adding the point of order 2 turns u into 1/u
    assert agree(mine, moved) == agree(mine, theirs)
    masks = [pair_mask_key(mine, 1, 2, [public_key(mine), key], b"l") for key in (theirs, moved)]
    assert masks[0] != masks[1]
