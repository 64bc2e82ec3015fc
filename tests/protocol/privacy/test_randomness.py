"""Keystream: a known answer, independence, shapes, distribution, and what it must not touch."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wardround.protocol.privacy.randomness import Keystream, derive_key, fresh_keystream, gaussians

KEY = derive_key("test", 1)
part = st.one_of(st.sampled_from(["", "a", "ab", "1"]), st.integers(0, 12), st.binary(max_size=2))
parts = st.lists(part, max_size=3)


def tokens(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 16), dtype=np.uint8)


def test_stream_is_aes_256_in_counter_mode() -> None:
    # NIST's known answer for the zero key and the zero block, which is the first counter.
    assert Keystream(bytes(32)).words(2).hex() == "dc95c078a2408989ad48a21492842087"


@pytest.mark.parametrize("length", [0, 4, 16, 31, 33, 64])
def test_key_must_have_256_bits(length: int) -> None:
    with pytest.raises(ValueError, match="must have 32"):
        Keystream(bytes(length))


def test_same_key_same_numbers_and_fresh_keys_differ() -> None:
    assert np.array_equal(Keystream(KEY).gaussian(101), Keystream(KEY).gaussian(101))
    assert np.array_equal(Keystream(KEY).uniform(7), Keystream(KEY).uniform(7))
    draws = {fresh_keystream().gaussian(4).tobytes() for _ in range(50)}
    assert len(draws) == 50


def test_a_stream_never_repeats_itself() -> None:
    stream = Keystream(KEY)
    drawn = np.concatenate([stream.uniform(1000), stream.uniform(3), stream.uniform(1000)])
    assert len(np.unique(drawn)) == 2003


def test_children_are_independent_of_order_and_use() -> None:
    parent, used = Keystream(KEY), Keystream(KEY)
    used.gaussian(1000)
    assert np.array_equal(parent.child("round", 3).gaussian(9), used.child("round", 3).gaussian(9))
    names = [("round", 3), ("round", 4), ("round3",), ("roun", "d3"), (b"round", 3), ("round", "3"), ()]
    draws = {parent.child(*name).gaussian(9).tobytes() for name in names}
    assert len(draws) == len(names)
    assert abs(np.corrcoef(parent.child(1).gaussian(20_000), parent.child(2).gaussian(20_000))[0, 1]) < 0.04


@settings(max_examples=60)
@given(parts, parts)
def test_derived_keys_are_equal_only_for_equal_parts(first: list, second: list) -> None:
    assert len(derive_key(*first)) == 32
    same = [type(a) for a in first] == [type(b) for b in second] and first == second
    assert (derive_key(*first) == derive_key(*second)) == same


@pytest.mark.parametrize(
    ("first", "second"),
    [(("a", "b"), ("asb",)), ((1, 2), (12,)), ((b"", b""), (b"b",)), (("1",), (1,)), ((), ("",))],
)
def test_no_two_lists_of_parts_run_together(first: tuple, second: tuple) -> None:
    assert derive_key(*first) != derive_key(*second)
    assert Keystream(KEY).child(*first).words(4) != Keystream(KEY).child(*second).words(4)


@pytest.mark.parametrize("part", [1.5, True, None, ("a",)])
def test_key_parts_of_other_types_are_refused(part: object) -> None:
    with pytest.raises(TypeError, match="key part of type"):
        derive_key(part)  # type: ignore[arg-type]


def test_uniforms_fill_the_open_interval() -> None:
    drawn = Keystream(KEY).uniform(200_000)
    assert drawn.dtype == np.float64
    assert drawn.min() > 0
    assert drawn.max() < 1
    assert stats.kstest(drawn, "uniform").pvalue > 1e-4


def test_uniform_reaches_neither_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for word, expected in ((b"\x00", 2.0**-53), (b"\xff", 1 - 2.0**-53)):
        monkeypatch.setattr(Keystream, "words", lambda _, count, word=word: word * 8 * count)
        assert Keystream(KEY).uniform(3).tolist() == [expected] * 3
        assert np.isfinite(Keystream(KEY).gaussian(4)).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 16_383, 16_384, 16_385, 40_001])
def test_gaussian_gives_the_number_asked_for(count: int) -> None:
    drawn = Keystream(KEY).gaussian(count)
    assert drawn.shape == (count,)
    assert np.isfinite(drawn).all()
    assert len(np.unique(drawn)) == count


@pytest.mark.statistical
def test_gaussians_are_standard_normal() -> None:
    """Fixed key, so no chance at run time; levels of 1e-3 at the time the key was chosen."""
    drawn = Keystream(KEY).gaussian(400_000)
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert abs(drawn.mean()) < 4 / 400_000**0.5
    for power, expected, variance in ((2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((drawn**power).mean() - expected) < 4 * (variance / 400_000) ** 0.5
    assert np.sum(np.abs(drawn) > 4) == pytest.approx(400_000 * 2 * stats.norm.sf(4), abs=20)


@pytest.mark.statistical
def test_cosine_and_sine_halves_are_uncorrelated() -> None:
    drawn = Keystream(KEY).gaussian(16_384)
    first, second = drawn[:8192], drawn[8192:]
    for power in (1, 2):
        assert abs(np.corrcoef(first**power, second**power)[0, 1]) < 4 / 8192**0.5


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 900), st.data())
def test_a_row_of_many_streams_equals_the_stream_alone(rows: int, count: int, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, rows - 1))
    together = gaussians([Keystream(derive_key("row", index)) for index in range(rows)], count)
    assert np.array_equal(together[row], Keystream(derive_key("row", row)).gaussian(count))


def test_keyed_uniform_depends_on_key_and_token_alone() -> None:
    stream, given_tokens = Keystream(KEY), tokens(500)
    drawn = stream.keyed_uniform(given_tokens)
    stream.gaussian(100)
    shuffled = np.random.default_rng(1).permutation(500)
    assert np.array_equal(stream.keyed_uniform(given_tokens[shuffled]), drawn[shuffled])
    assert np.array_equal(stream.keyed_uniform(given_tokens[7:8]), drawn[7:8])
    assert not np.any(Keystream(derive_key("other")).keyed_uniform(given_tokens) == drawn)
    assert stream.keyed_uniform(given_tokens[:0]).shape == (0,)
    assert stats.kstest(stream.keyed_uniform(tokens(50_000)), "uniform").pvalue > 1e-3


def test_keyed_uniform_accepts_views_and_refuses_other_shapes() -> None:
    stream, wide = Keystream(KEY), tokens(10)
    assert np.array_equal(stream.keyed_uniform(wide[::2]), stream.keyed_uniform(wide)[::2])
    for wrong in (wide[:, :8], wide.astype(np.int64), wide[0]):
        with pytest.raises(ValueError, match="must be uint8"):
            stream.keyed_uniform(wrong)


def test_keyed_uniform_is_apart_from_the_stream() -> None:
    counters = np.zeros((2, 16), dtype=np.uint8)
    counters[1, -1] = 1
    assert not np.any(np.isin(Keystream(KEY).keyed_uniform(counters), Keystream(KEY).uniform(100)))


def test_key_is_never_shown_nor_carried_away() -> None:
    stream = Keystream(KEY)
    assert repr(stream) == str(stream) == "Keystream(…)"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leave(stream)


def test_global_generators_are_neither_read_nor_moved() -> None:
    code = (
        "import random, sys, numpy as np; from wardround.protocol.privacy.randomness import *\n"
        "np.random.seed(1); random.seed(1); a = fresh_keystream().gaussian(5)\n"
        "moved = np.random.rand(), random.random()\n"
        "np.random.seed(1); random.seed(1); expected = np.random.rand(), random.random()\n"
        "np.random.seed(1); random.seed(1); b = fresh_keystream().gaussian(5)\n"
        "assert (a != b).all() and moved == expected\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
