"""Messages of a secure sum: one spelling each, every part signed, sizes that nobody outside can choose."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.exchange import (
    BroughtDealing,
    BroughtShares,
    Dealing,
    DealtShare,
    GivenShares,
    MaskedIntegers,
    MemberKeys,
    RosterKeys,
    Survivors,
    TakenShares,
)
from wardround.protocol.secure_sum.seal import SEALED_BYTES
from wardround.protocol.secure_sum.sharing import SHARE_BYTES
from wardround.protocol.wire.envelope import (
    SignedSumAnswer,
    decode_answer,
    decode_request,
    encode_answer,
    is_what_was_signed,
    sign_sum_answer,
    sign_sum_request,
    sum_answer_signed_by,
)
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_wire import (
    SumAnswer,
    SumRequest,
    SumStep,
    decode_sum_answer,
    decode_sum_request,
    encode_sum_answer,
    encode_sum_head,
)

MEMBERS, SLOTS, DIMENSION = 3, 2, 5
SHARE = DealtShare(b"s" * SEALED_BYTES, b"d" * 32)
KEYS = MemberKeys(b"k" * 32, (b"1" * 32, b"2" * 32), b"g" * 64)
MASKED = MaskedIntegers(
    np.arange(DIMENSION, dtype=np.uint64) * np.uint64(2**60), b"c" * 32, (SHARE,) * MEMBERS
)
DEALING = Dealing(b"g" * 64, ((SHARE,) * MEMBERS,) * SLOTS)

BODIES: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "keys": (KEYS.to_bytes(), lambda body: MemberKeys.from_bytes(body, SLOTS)),
    "roster": (
        RosterKeys((KEYS,) * MEMBERS).to_bytes(),
        lambda body: RosterKeys.from_bytes(body, MEMBERS, SLOTS),
    ),
    "dealing": (DEALING.to_bytes(), lambda body: Dealing.from_bytes(body, MEMBERS, SLOTS)),
    "brought": (
        BroughtShares((BroughtDealing(b"g" * 64, (SHARE,) * SLOTS),) * MEMBERS).to_bytes(),
        lambda body: BroughtShares.from_bytes(body, MEMBERS, SLOTS),
    ),
    "taken": (TakenShares((1, 3)).to_bytes(), lambda body: TakenShares.from_bytes(body, MEMBERS)),
    "masked": (MASKED.to_bytes(), lambda body: MaskedIntegers.from_bytes(body, MEMBERS, DIMENSION)),
    "survivors": (
        Survivors(b"l" * 32, (1, 3), (SHARE, SHARE)).to_bytes(),
        lambda body: Survivors.from_bytes(body, MEMBERS),
    ),
    "given": (
        GivenShares({1: b"x" * SHARE_BYTES, 3: b"y" * SHARE_BYTES}).to_bytes(),
        lambda body: GivenShares.from_bytes(body, MEMBERS),
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_reads_back_and_has_one_spelling(name: str) -> None:
    body, read = BODIES[name]
    assert read(body).to_bytes() == body  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_cut_or_goes_on_is_refused(name: str) -> None:
    body, read = BODIES[name]
    for wrong in (body[:-1], body + b"\0"):
        with pytest.raises(MessageError):
            read(wrong)


def test_numbers_of_the_whole_ring_arrive() -> None:
    numbers = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    sent = replace(MASKED, masked=numbers)
    found = MaskedIntegers.from_bytes(sent.to_bytes(), MEMBERS, 4)
    assert found.masked.tolist() == numbers.tolist()
    assert found.masked.dtype == np.uint64


@pytest.mark.parametrize("failed", [(0,), (4,), (2, 2), (3, 1)])
def test_indices_are_members_distinct_and_ascending(failed: tuple[int, ...]) -> None:
    with pytest.raises(MessageError, match="from 1 to 3"):
        TakenShares.from_bytes(TakenShares(failed).to_bytes(), MEMBERS)


def test_more_survivors_than_members_are_refused_before_they_are_read() -> None:
    body = b"l" * 32 + (2**32 - 1).to_bytes(4, "little")
    with pytest.raises(MessageError, match="at most 3"):
        Survivors.from_bytes(body, MEMBERS)


def test_given_shares_stand_once_each_in_their_order() -> None:
    twice = GivenShares({1: b"x" * SHARE_BYTES}).to_bytes() * 2
    with pytest.raises(MessageError, match="ascending"):
        GivenShares.from_bytes(twice, MEMBERS)


def test_each_member_gets_its_own_share_of_every_slot() -> None:
    slots = tuple(
        tuple(
            DealtShare(bytes([slot, member]) * (SEALED_BYTES // 2) + b"\0", b"d" * 32) for member in (1, 2, 3)
        )
        for slot in (0, 1)
    )
    own = Dealing(b"g" * 64, slots).share_for(2)
    assert [share.sealed[:2] for share in own] == [bytes([0, 2]), bytes([1, 2])]


def request() -> SumRequest:
    return SumRequest(
        step=SumStep.SURVIVORS,
        study="tea",
        hospital="north",
        terms_fingerprint="ab" * 32,
        round=2,
        roster="cd" * 32,
        ledger_head="ef" * 32,
        body=b"body",
    )


def answer() -> SumAnswer:
    return SumAnswer(
        step=SumStep.MASKED,
        study="tea",
        hospital="north",
        terms_fingerprint="ab" * 32,
        round=2,
        asked="12" * 32,
        roster="cd" * 32,
        ledger_head="ef" * 32,
        body=b"body",
    )


def test_a_request_reads_back_and_is_what_its_operator_signed() -> None:
    key = new_key()
    whole = sign_sum_request(b"terms", request(), datetime(2030, 1, 1, tzinfo=UTC), key)
    found = decode_request(whole)
    assert is_what_was_signed(found)
    assert found.opening.operator == key.public
    assert vars(decode_sum_request(found.plan)) == vars(request())
    changed = decode_request(whole[:-1] + b"x")
    assert not is_what_was_signed(changed)


def test_an_answer_reads_back_and_every_label_and_byte_is_signed() -> None:
    key = new_key()
    signed = decode_answer(encode_answer(sign_sum_answer(answer(), key)))
    assert isinstance(signed, SignedSumAnswer)
    assert vars(signed.answer) == vars(answer())
    assert sum_answer_signed_by(signed, key.public)
    others: dict[str, object] = {
        "step": SumStep.SURVIVORS,
        "study": "coffee",
        "hospital": "south",
        "terms_fingerprint": "00" * 32,
        "round": 3,
        "account": "held_out",
        "asked": "00" * 32,
        "roster": "00" * 32,
        "ledger_head": "",
        "simulation": True,
        "body": b"bodY",
    }
    assert others.keys() == vars(answer()).keys()
    for label, other in others.items():
        forged = replace(signed, answer=replace(signed.answer, **{label: other}))  # type: ignore[arg-type]
        assert not sum_answer_signed_by(forged, key.public), label


def test_labels_out_of_bounds_are_refused_by_name() -> None:
    with pytest.raises(MessageError, match="step must be one of keys, deal, take, survivors"):
        encode_sum_head(replace(request(), step=SumStep.MASKED))
    with pytest.raises(MessageError, match="account must be one of"):
        encode_sum_answer(replace(answer(), account="both"))
    with pytest.raises(MessageError, match="hospital"):
        encode_sum_head(replace(request(), hospital="a\nb"))


def test_a_frame_with_more_or_fewer_bytes_than_it_says_is_refused() -> None:
    for read, payload in (
        (decode_sum_request, encode_sum_head(request()) + b"body"),
        (decode_sum_answer, encode_sum_answer(answer())),
    ):
        for wrong in (payload[:-1], payload + b"\0"):
            with pytest.raises(MessageError):
                read(wrong)
