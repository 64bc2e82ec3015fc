"""Shares and their seals: what gives a secret back, what tells nothing, what does not open."""

from collections import Counter
from dataclasses import replace
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.secure_sum import oracle
from wardround.protocol.errors import MessageError
from wardround.protocol.privacy.randomness import Keystream, derive_key, fresh_keystream
from wardround.protocol.secure_sum import sharing
from wardround.protocol.secure_sum.keys import new_study_secret, public_key
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.seal import SealContext, ShareKind, open_share, seal_share, share_digest
from wardround.protocol.secure_sum.sharing import PRIME, deal_shares, recover_secret


def stream(*parts: object) -> Keystream:
    return Keystream(derive_key("sharing", *parts))


@settings(max_examples=30)
@given(st.binary(min_size=32, max_size=32), st.integers(2, 9), st.integers(0, 5), st.randoms())
def test_any_k_shares_give_the_secret_back(secret: bytes, threshold: int, more: int, random: object) -> None:
    members = threshold + more
    dealt = list(enumerate(deal_shares(secret, threshold, members, fresh_keystream()), 1))
    chosen = random.sample(dealt, threshold)  # type: ignore[attr-defined]
    assert recover_secret(chosen, threshold) == secret
    assert oracle.recover(dict(chosen)) == int.from_bytes(secret, "big")


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_the_smallest_and_the_largest_secret(secret: bytes) -> None:
    dealt = list(enumerate(deal_shares(secret, 2, 3, stream()), 1))
    assert recover_secret(dealt[1:], 2) == secret


def test_fewer_than_k_shares_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exhaustively in the field of 5: for each secret, k - 1 shares take each value equally often."""
    monkeypatch.setattr(sharing, "PRIME", 5)
    threshold, members = 3, 4
    seen = {}
    for secret in range(5):
        views = {some: Counter() for some in combinations(range(members), threshold - 1)}
        for coefficients in product(range(5), repeat=threshold - 1):
            drawn = iter(coefficients)
            monkeypatch.setattr(sharing, "_element", lambda _, drawn=drawn: next(drawn))
            dealt = deal_shares(secret.to_bytes(32, "big"), threshold, members, stream())
            for some, counts in views.items():
                counts[tuple(dealt[i] for i in some)] += 1
        seen[secret] = views
    assert all(views == seen[0] for views in seen.values())
    assert all(set(counts.values()) == {1} and len(counts) == 25 for counts in seen[0].values())


def test_elements_are_uniform_in_the_field_and_drawn_again_beyond_it() -> None:
    class Fixed:
        def __init__(self, *numbers: int) -> None:
            self.left = list(numbers)

        def words(self, count: int) -> bytes:
            return (self.left.pop(0) << 63).to_bytes(8 * count, "little")

    assert sharing._element(Fixed(PRIME, 2**257 - 1, PRIME - 1)) == PRIME - 1  # type: ignore[arg-type]
    assert sharing._element(Fixed(0)) == 0  # type: ignore[arg-type]
    drawn = [sharing._element(stream()) for _ in range(1)]
    assert drawn[0] < PRIME


def test_the_field_is_the_first_prime_beyond_every_secret() -> None:
    def passes(number: int) -> bool:
        """Miller and Rabin, with the first 40 odd bases."""
        odd, twos = number - 1, 0
        while odd % 2 == 0:
            odd, twos = odd // 2, twos + 1
        for base in range(2, 80, 2):
            x = pow(base + 1, odd, number)
            if x not in (1, number - 1) and all((x := x * x % number) != number - 1 for _ in range(twos - 1)):
                return False
        return True

    assert passes(PRIME)
    assert not any(passes(number) for number in range(2**256 + 1, PRIME, 2))


DEALT = list(enumerate(deal_shares(b"s" * 32, 3, 5, stream("dealt")), 1))


@pytest.mark.parametrize(
    ("shares", "fault"),
    [
        (DEALT[:2], "2 shares: must be 3"),
        (DEALT[:4], "4 shares: must be 3"),
        ([DEALT[0], DEALT[1], DEALT[1]], "distinct"),
        ([DEALT[0], DEALT[1], (0, DEALT[2][1])], "at least 1"),
        ([DEALT[0], DEALT[1], (-1, DEALT[2][1])], "at least 1"),
        ([DEALT[0], DEALT[1], (3, DEALT[2][1][:32])], "33 bytes"),
        ([DEALT[0], DEALT[1], (3, PRIME.to_bytes(33, "big"))], "33 bytes of a number"),
    ],
)
def test_shares_that_cannot_belong_together_are_refused(shares: list, fault: str) -> None:
    with pytest.raises(MessageError, match=fault):
        recover_secret(shares, 3)


def test_a_share_under_another_index_or_of_another_secret_gives_another_secret() -> None:
    other = deal_shares(b"t" * 32, 3, 5, stream("other"))
    for wrong in ([DEALT[0], DEALT[1], (4, DEALT[2][1])], [DEALT[0], DEALT[1], (3, other[2])]):
        try:
            assert recover_secret(wrong, 3) != b"s" * 32
        except MessageError as error:
            assert "do not belong together" in str(error)  # noqa: PT017


def test_a_value_beyond_32_bytes_is_refused() -> None:
    beyond = (2**256 + 5).to_bytes(33, "big")  # a constant polynomial
    with pytest.raises(MessageError, match="do not belong together"):
        recover_secret([(1, beyond), (2, beyond)], 2)


@pytest.mark.parametrize(("length", "threshold", "members"), [(31, 2, 3), (33, 2, 3), (32, 1, 3), (32, 4, 3)])
def test_dealing_what_makes_no_sense_is_refused(length: int, threshold: int, members: int) -> None:
    with pytest.raises(ValueError, match="must be 32 bytes"):
        deal_shares(bytes(length), threshold, members, stream())


PRIVATE = {i: new_study_secret().sealing_key() for i in (1, 2, 3)}
PUBLIC = {i: public_key(private) for i, private in PRIVATE.items()}
CONTEXT = SealContext(1, 2, ShareKind.SEED, b"r" * 32, b"l" * 32)
SHARE = DEALT[0][1]
DIGEST = share_digest(CONTEXT, SHARE)


def sealed(context: SealContext = CONTEXT) -> bytes:
    return seal_share(PRIVATE[1], PUBLIC[2], context, SHARE, fresh_keystream())


def test_a_sealed_share_opens_for_whom_it_is() -> None:
    assert open_share(PRIVATE[2], PUBLIC[1], CONTEXT, sealed(), DIGEST) == SHARE
    assert sealed() != sealed()  # a fresh salt each
    assert SHARE not in sealed()


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": 2, "receiver": 1},  # handed back to its sender
        {"sender": 3},
        {"receiver": 3},
        {"kind": ShareKind.SLOT_KEY},
        {"roster": b"R" * 32},
        {"label": b"L" * 32},
        {"label": Slot("training", "update", 1).digest()},
    ],
)
def test_a_sealed_share_opens_in_no_other_place(changes: dict) -> None:
    wrong = replace(CONTEXT, **changes)
    digest = share_digest(wrong, SHARE)
    for private, public in ((PRIVATE[2], PUBLIC[1]), (PRIVATE[1], PUBLIC[2])):
        with pytest.raises(MessageError, match="does not open"):
            open_share(private, public, wrong, sealed(), digest)


def test_a_sealed_share_opens_with_no_other_keys() -> None:
    for private, public in ((PRIVATE[3], PUBLIC[1]), (PRIVATE[2], PUBLIC[3])):
        with pytest.raises(MessageError, match="does not open"):
            open_share(private, public, CONTEXT, sealed(), DIGEST)


@pytest.mark.parametrize("place", [0, 31, 32, 64, -1])
def test_a_changed_byte_or_a_cut_does_not_open(place: int) -> None:
    text = bytearray(sealed())
    text[place] ^= 1
    for wrong in (bytes(text), sealed()[:place], b""):
        with pytest.raises(MessageError, match="does not open"):
            open_share(PRIVATE[2], PUBLIC[1], CONTEXT, wrong, DIGEST)


def test_a_share_that_is_not_the_one_announced_is_left_to_its_dealer() -> None:
    with pytest.raises(MessageError, match="is not the one whose hash"):
        open_share(PRIVATE[2], PUBLIC[1], CONTEXT, sealed(), share_digest(CONTEXT, DEALT[1][1]))
