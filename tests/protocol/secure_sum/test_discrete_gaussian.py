"""Exact noise: the law by chi-squared (and what must be rejected), the fast path beside the exact one, the bracket."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.protocol.secure_sum import oracle
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.secure_sum import discrete_gaussian as sampler
from wardround.protocol.secure_sum.discrete_gaussian import block_width, discrete_gaussian
from wardround.protocol.secure_sum.exponential import exponential_bracket


def stream(*parts: object) -> Keystream:
    return Keystream(derive_key("discrete gaussian", *parts))


def law(variance: int) -> tuple[np.ndarray, np.ndarray]:
    reach = int(12 * variance**0.5) + 2
    values = np.arange(-reach, reach + 1)
    chances = np.exp(-(values**2) / (2 * variance))
    return values, chances / chances.sum()


def fit(drawn: np.ndarray, variance: int) -> float:
    """p of a chi-squared test, in cells of about equal chance (at most 200) of N_Z(0, variance)."""
    values, chances = law(variance)
    below = np.cumsum(chances)
    cells = min(200, len(drawn) // 50)
    edges = np.unique(np.searchsorted(below, np.arange(1, cells) / cells))
    expected = np.diff(np.concatenate([[0], below[edges], [1]]))
    observed = np.bincount(np.searchsorted(values[edges], drawn), minlength=len(expected))
    kept = expected > 0
    return float(stats.chisquare(observed[kept], expected[kept] * len(drawn)).pvalue)


@pytest.mark.statistical
@pytest.mark.parametrize("stddev", [1, 2, 5, 64, 100, 1000])
def test_the_law_is_accepted_and_two_thirds_and_three_halves_of_it_are_not(stddev: int) -> None:
    """Fixed keys, so no chance at run time; level 1e-3 when they were chosen."""
    drawn = discrete_gaussian(stream(stddev), stddev**2, 200_000)
    assert drawn.dtype == np.int64
    assert fit(drawn, stddev**2) > 1e-3
    for factor in (4 / 9, 9 / 4):
        wrong = max(1, round(stddev**2 * factor))
        if wrong != stddev**2:
            assert fit(discrete_gaussian(stream(stddev), wrong, 20_000), stddev**2) < 1e-6


@pytest.mark.statistical
@pytest.mark.parametrize("variance", [1, 2, 3])
def test_rounded_continuous_noise_is_not_the_law(variance: int) -> None:
    """Its variance is larger by 1/12; at s = 64 no test could tell, so the law is checked where one can."""
    rounded = np.rint(stream("r", variance).gaussian(200_000) * variance**0.5).astype(np.int64)
    assert fit(rounded, variance) < 1e-6
    assert fit(discrete_gaussian(stream("e", variance), variance, 200_000), variance) > 1e-3


@pytest.mark.statistical
def test_a_sampler_that_keeps_minus_zero_is_not_the_law() -> None:
    drawn = discrete_gaussian(stream("z"), 4, 100_000)
    doubled = np.concatenate([drawn, drawn[drawn == 0]])
    assert fit(doubled, 4) < 1e-6


@pytest.mark.statistical
@pytest.mark.slow
@pytest.mark.parametrize("stddev", [1, 64, 1500])
def test_the_law_is_accepted_over_twenty_million_numbers(stddev: int) -> None:
    assert fit(discrete_gaussian(stream("long", stddev), stddev**2, 20_000_000), stddev**2) > 1e-3


@pytest.mark.parametrize("variance", [1, 2, 3, 7, 64**2, 64**2 + 1, 999_983, 10**9, 2**60])
def test_numbers_are_those_that_exact_decisions_give(variance: int) -> None:
    key = derive_key("same", variance)
    slow = oracle.discrete_gaussian(oracle.words(key), variance, 60)
    assert discrete_gaussian(Keystream(key), variance, 60).tolist() == slow


@pytest.mark.parametrize("variance", [1, 5, 64**2, 2**41])
def test_deciding_everything_exactly_gives_the_same_numbers(
    variance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a band of 2 no float decides anything."""
    monkeypatch.setattr(sampler, "_BLOCK", 1024)
    fast = discrete_gaussian(stream("all", variance), variance, 1000)
    calls = []
    exactly = sampler._accepts_exactly
    monkeypatch.setattr(sampler, "_accepts_exactly", lambda *some: calls.append(1) or exactly(*some))
    monkeypatch.setattr(sampler, "_BAND", 2.0)
    assert np.array_equal(discrete_gaussian(stream("all", variance), variance, 1000), fast)
    assert len(calls) > 1000


def test_chances_in_floating_point_lie_within_the_band() -> None:
    """The claimed 2^-44, beside 50 digits; a quarter of it is left."""
    rng = np.random.default_rng(1)
    for variance in (1, 64**2, 10**6 + 3, 2**60 - 1):
        zeros = rng.geometric(0.5, 400) - 1
        magnitude = zeros * block_width(variance) + rng.integers(0, block_width(variance), 400)
        chance = sampler._chance(magnitude, zeros, variance)
        with localcontext() as context:
            context.prec = 50
            for z, v, p in zip(magnitude.tolist(), zeros.tolist(), chance.tolist(), strict=True):
                true = (-Decimal(z * z) / (2 * variance)).exp() * 2**v * Decimal("0.625")
                assert true < 1
                assert abs(Decimal(p) - true) < Decimal(2) ** -44


def test_no_float_accepts_what_is_too_far_out() -> None:
    """Where zeros never end, the number of them grows, and the chance must not."""
    zeros = np.array([0, 12, 31, 31])
    magnitude = zeros * block_width(64**2) + 40
    assert sampler._chance(magnitude, zeros, 64**2)[1:].max() < 2.0**-40
    assert sampler._chance(np.array([64 * 12]), np.array([0]), 64**2)[0] == 0.0  # exponent 72


class Words:
    """A stream of given words."""

    def __init__(self, *words: int) -> None:
        self.left = list(words)

    def words(self, count: int) -> bytes:
        taken, self.left = self.left[:count], self.left[count:]
        return b"".join(word.to_bytes(8, "little") for word in taken)


@pytest.mark.parametrize(("last", "accepted"), [(0, True), (2**64 - 1, False)])
def test_more_bits_are_drawn_where_64_do_not_decide(last: int, accepted: bool) -> None:
    low, high = exponential_bracket(25, 2 * 100, 200)
    uniform = 5 * low // 8 >> 136  # the first 64 bits of the chance itself
    assert uniform == 5 * high // 8 >> 136
    words = Words(last)
    assert sampler._accepts_exactly(words, uniform, 5, 0, 100) is accepted  # type: ignore[arg-type]
    assert words.left == []


def test_zeros_are_counted_on_where_all_bits_were_zero() -> None:
    assert sampler._more_zeros(Words(2**63)) == 0  # type: ignore[arg-type]
    assert sampler._more_zeros(Words(1)) == 63  # type: ignore[arg-type]
    assert sampler._more_zeros(Words(0, 0, 2**62)) == 129  # type: ignore[arg-type]


def test_a_proposal_of_zeros_alone_is_decided_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in 2**31; what follows is counted on, and only a uniform number of almost nothing is looked at."""
    monkeypatch.setattr(sampler, "_BLOCK", 2)
    asked = []
    monkeypatch.setattr(sampler, "_accepts_exactly", lambda *some: asked.append(some[2:]) or True)
    words = Words(5 << 32, 0, 1 << 30, 2**63, 2**60)
    drawn = sampler._accepted(words, 10**8, sampler._BLOCK)  # type: ignore[arg-type]
    width = block_width(10**8)
    assert asked == [((31 + 3) * width, 34, 10**8)]
    assert drawn.tolist()[0] == 34 * width
    assert words.left == []


@given(st.integers(0, 5000), st.integers(1, 10**9), st.integers(1, 200))
def test_bracket_holds_the_exponential(numerator: int, denominator: int, bits: int) -> None:
    low, high = exponential_bracket(numerator, denominator, bits)
    with localcontext() as context:
        context.prec = 150
        exact = (-Decimal(numerator) / Decimal(denominator)).exp() * 2**bits
    assert low <= exact <= high
    assert high - low <= 2


@given(st.integers(1, 500), st.integers(1, 100))
def test_bracket_is_right_by_its_slack_and_not_by_spare_bits_alone(numerator: int, denominator: int) -> None:
    with pytest.MonkeyPatch.context() as patch, localcontext() as context:
        patch.setattr("wardround.protocol.secure_sum.exponential._GUARD_BITS", 0)
        low, high = exponential_bracket(numerator, denominator, 100)
        context.prec = 150
        assert low <= (-Decimal(numerator) / Decimal(denominator)).exp() * 2**100 <= high


@given(st.integers(1, 2**60))
def test_width_is_the_least_that_keeps_chances_below_one(variance: int) -> None:
    width = block_width(variance)
    assert (25 * width) ** 2 >= 289 * variance
    assert width == 1 or (25 * (width - 1)) ** 2 < 289 * variance


@pytest.mark.parametrize("variance", [0, -1, 2**60 + 1, 2.5, 4096.0, True])
def test_a_variance_must_be_a_whole_number_in_range(variance: object) -> None:
    with pytest.raises(ConfigurationError, match="variance of noise"):
        discrete_gaussian(stream(), variance, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 1, 8192, 10_000])
def test_as_many_as_asked_for_and_never_the_same_again(count: int) -> None:
    one = stream("count")
    first, second = discrete_gaussian(one, 2**40, count), discrete_gaussian(one, 2**40, count)
    assert len(first) == len(second) == count
    assert count == 0 or not np.array_equal(first, second)
