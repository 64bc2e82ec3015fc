"""Masks: they cancel and nothing less does; bytes of one hospital are uniform and tell nothing of its integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wardround.protocol.secure_sum import masks
from wardround.protocol.secure_sum.keys import public_key
from wardround.protocol.secure_sum.masks import add_stream, mask_integers, own_mask_key, seed_commitment

LABEL = b"l" * 32
WORDS = masks._CHUNK


def members(count: int) -> tuple[list[bytes], list[bytes], list[bytes]]:
    privates = [bytes([i]) * 32 for i in range(1, count + 1)]
    return (
        privates,
        [public_key(private) for private in privates],
        [bytes([99, i]) * 16 for i in range(count)],
    )


def masked_all(integers: np.ndarray) -> list[np.ndarray]:
    privates, publics, seeds = members(len(integers))
    return [
        mask_integers(row, i, seeds[i - 1], privates[i - 1], publics, LABEL)
        for i, row in enumerate(integers, 1)
    ]


@settings(max_examples=15)
@given(st.integers(3, 7), st.integers(0, 2**32))
def test_pair_masks_cancel_in_the_sum(count: int, seed: int) -> None:
    integers = np.random.default_rng(seed).integers(-(2**62), 2**62, (count, 9))
    total = np.add.reduce(masked_all(integers))
    for index, own in enumerate(members(count)[2], 1):
        add_stream(total, own_mask_key(own, index, LABEL), negative=True)
    assert np.array_equal(total.view(np.int64), integers.sum(axis=0))  # modulo 2^64 on both sides


def test_a_swapped_sign_does_not_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsigned(vector: np.ndarray, key: bytes, *, negative: bool = False) -> None:
        add_stream(vector, key)

    monkeypatch.setattr(masks, "add_stream", unsigned)
    total = np.add.reduce(masked_all(np.zeros((3, 4), np.int64)))
    for index, own in enumerate(members(3)[2], 1):
        add_stream(total, own_mask_key(own, index, LABEL), negative=True)
    assert total.all()


@pytest.mark.parametrize("length", [0, 1, WORDS - 1, WORDS, WORDS + 1, 2 * WORDS + 3])
def test_a_stream_is_one_stream_whatever_the_length(length: int) -> None:
    long, short = np.zeros(3 * WORDS, np.uint64), np.zeros(length, np.uint64)
    add_stream(long, b"k" * 32)
    add_stream(short, b"k" * 32)
    assert np.array_equal(short, long[:length])
    assert len(np.unique(long)) == len(long)
    add_stream(short, b"k" * 32, negative=True)
    assert not short.any()


@pytest.mark.statistical
@pytest.mark.parametrize("value", [0, -1, 2**62])
def test_bytes_of_one_hospital_are_uniform_whatever_its_integers(value: int) -> None:
    """Keys are fixed; level 1e-3 when they were chosen."""
    integers = np.full((3, 20_000), value, np.int64)
    for vector in masked_all(integers):
        for plane in range(8):
            counts = np.bincount((vector >> np.uint64(8 * plane)).astype(np.uint8), minlength=256)
            assert stats.chisquare(counts).pvalue > 1e-4


def test_without_its_own_mask_a_hospital_s_integers_stay_hidden_by_any_one_pair_mask() -> None:
    """All but one of the masks of a hospital are known: what is left is its integers plus one whole stream."""
    privates, publics, seeds = members(3)
    integers = np.arange(6)
    left = mask_integers(integers, 2, seeds[1], privates[1], publics, LABEL)
    add_stream(left, own_mask_key(seeds[1], 2, LABEL), negative=True)
    add_stream(left, masks.pair_mask_key(privates[0], 1, 2, publics, LABEL), negative=True)
    assert not np.array_equal(left.view(np.int64), integers)
    add_stream(left, masks.pair_mask_key(privates[2], 3, 2, publics, LABEL))
    assert np.array_equal(left.view(np.int64), integers)


def test_commitments_differ_by_seed_member_and_label() -> None:
    told = {
        seed_commitment(s, i, label)
        for s in (bytes(32), b"1" * 32)
        for i in (1, 2)
        for label in (LABEL, b"m")
    }
    assert len(told) == 8
