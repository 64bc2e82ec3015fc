"""Second moments from mean rows: exact where they can be, consistent where noise came in."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.protocol.contract.layout import Cross, Field, Layout
from wardround.protocol.model.design import dense_rows
from wardround.protocol.model.prior import BERNOULLI_VARIANCE, RANGED_SPREAD
from wardround.server.algorithm.fisher import (
    bin_shares,
    fisher_information,
    fit_margins,
    second_moments,
)

FEATURES = (Field("age", tuple("abc")), Field("sms", tuple("ab")), Field("day", tuple("abcd")))
LAYOUT = Layout(
    FEATURES,
    (
        Cross(FEATURES[0], FEATURES[1]),
        Cross(FEATURES[1], FEATURES[2]),
    ),
    (),
)
CHAIN = Layout(
    (Field("a", tuple("abc")), Field("b", tuple("ab")), Field("c", tuple("abc"))),
    (
        Cross(Field("a", tuple("abc")), Field("b", tuple("ab"))),
        Cross(Field("b", tuple("ab")), Field("c", tuple("abc"))),
    ),
    (),
)
seeds = st.integers(0, 10_000)


def rows_of(layout, bins, ranged=0):
    bins = np.asarray(bins, np.int32)
    return dense_rows(layout, SimpleNamespace(bins=bins, values=np.zeros((len(bins), ranged), np.float32)))


def repeated(layout, weights):
    """Every combination of bins, as often as ``weights`` says for it."""
    sizes = [range(field.size) for field in layout.features]
    return [bins for bins in product(*sizes) for _ in range(weights(*bins))]


def reconstructed(layout, rows, noise_stddev=0.0):
    return second_moments(layout, bin_shares(layout, rows.mean(axis=0), noise_stddev))


def test_independent_features_give_the_empirical_second_moments() -> None:
    rows = rows_of(
        LAYOUT, repeated(LAYOUT, lambda age, sms, day: (1, 2, 4)[age] * (3, 1)[sms] * (1, 1, 2, 5)[day])
    )
    np.testing.assert_allclose(reconstructed(LAYOUT, rows), rows.T @ rows / len(rows), atol=1e-12)


def test_a_dependence_that_the_crosses_carry_is_found() -> None:
    """Markov chain a – b – c: a and c depend on each other through b, and both links are crossed."""
    first, second = ((5, 1), (2, 2), (1, 6)), ((4, 1, 1), (1, 3, 7))
    rows = rows_of(CHAIN, repeated(CHAIN, lambda a, b, c: first[a][b] * second[b][c]))
    truth, found = rows.T @ rows / len(rows), reconstructed(CHAIN, rows)
    apart = np.zeros_like(truth, bool)
    apart[1:4, 6:9] = apart[6:9, 1:4] = True  # a and c themselves: no cross names them, so independent
    np.testing.assert_allclose(found[~apart], truth[~apart], atol=1e-12)
    assert np.abs(found - truth)[apart].max() > 0.01


def test_bins_that_nobody_has_do_no_harm() -> None:
    rows = rows_of(LAYOUT, [(0, 1, 2), (0, 1, 3), (2, 1, 3)])
    found = reconstructed(LAYOUT, rows)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.diag(found), rows.mean(axis=0), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([1e-4, 0.02, 1.0, 50.0]))
def test_noised_shares_are_made_consistent(seed: int, noise: float) -> None:
    generator = np.random.default_rng(seed)
    rows = rows_of(LAYOUT, np.stack([generator.integers(0, f.size, 200) for f in FEATURES], axis=1))
    shares = bin_shares(LAYOUT, rows.mean(axis=0) + noise * generator.normal(size=LAYOUT.width), noise)
    offsets = dict(zip([f.name for f in LAYOUT.fields], LAYOUT.offsets, strict=True))
    own = {f.name: shares[offsets[f.name] : offsets[f.name] + f.size] for f in LAYOUT.fields}
    assert shares[0] == 1
    for part in own.values():
        assert part.min() >= 0
        assert part.sum() == pytest.approx(1, abs=1e-9)
    for cross in LAYOUT.crosses:
        first, second = (own[name] for name in cross.parents)
        joint = own[cross.name].reshape(len(first), len(second))
        np.testing.assert_allclose(joint.sum(axis=1), first, atol=1e-6)
        np.testing.assert_allclose(joint.sum(axis=0), second, atol=1e-6)
    moments = second_moments(LAYOUT, shares)
    np.testing.assert_allclose(moments, moments.T, atol=1e-15)
    assert np.abs(moments).max() <= 1 + 1e-12


def test_missing_hospitals_cancel_out() -> None:
    rows = rows_of(LAYOUT, repeated(LAYOUT, lambda age, sms, day: 1 + age))
    whole, half = (bin_shares(LAYOUT, part * rows.mean(axis=0), 0.0) for part in (1.0, 0.5))
    np.testing.assert_allclose(half, whole, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 6), st.integers(1, 6))
def test_fitted_joints_have_the_margins_and_keep_the_odds(seed: int, rows: int, columns: int) -> None:
    generator = np.random.default_rng(seed)
    joint = generator.uniform(0.1, 1, (rows, columns))
    first, second = generator.dirichlet(np.ones(rows) * 5), generator.dirichlet(np.ones(columns) * 5)
    fitted = fit_margins(joint, first, second)
    np.testing.assert_allclose(fitted.sum(axis=1), first, atol=1e-6)
    np.testing.assert_allclose(fitted.sum(axis=0), second, atol=1e-6)
    odds = [t[0, 0] * t[-1, -1] / (t[0, -1] * t[-1, 0]) for t in (joint, fitted)]
    assert odds[0] == pytest.approx(odds[1])


def test_a_joint_without_a_row_that_its_margin_has_starts_even() -> None:
    first, second = np.array([0.5, 0.5]), np.array([0.2, 0.8])
    fitted = fit_margins(np.array([[0.2, 0.8], [0.0, 0.0]]), first, second)
    np.testing.assert_allclose(fitted, np.outer(first, second))


def test_where_nothing_came_shares_are_even() -> None:
    shares = bin_shares(LAYOUT, np.zeros(LAYOUT.width), 0.0)
    np.testing.assert_allclose(shares[1:4], 1 / 3)
    np.testing.assert_allclose(shares[LAYOUT.offsets[3] : LAYOUT.offsets[4]], 1 / 6, atol=1e-15)


def test_ranged_values_have_a_public_spread() -> None:
    layout = Layout(FEATURES[:1], (), ("rate",))
    shares = bin_shares(layout, np.array([1, 0.2, 0.3, 0.5, 0.6]), 0.0)
    moments = second_moments(layout, shares)
    assert moments[-1, -1] == pytest.approx(0.36 + RANGED_SPREAD * 0.64)
    assert moments[-1, 0] == pytest.approx(0.6)
    assert bin_shares(layout, np.array([1, 0.2, 0.3, 0.5, 7.0]), 0.0)[-1] == 1


def test_fisher_information_is_scaled_and_positive() -> None:
    rows = rows_of(LAYOUT, repeated(LAYOUT, lambda age, sms, day: 1 + day))
    scale = np.linspace(0.1, 0.4, LAYOUT.width)
    found = fisher_information(reconstructed(LAYOUT, rows), scale)
    np.testing.assert_allclose(
        found, BERNOULLI_VARIANCE * (rows * scale).T @ (rows * scale) / len(rows), atol=1e-12
    )
    impossible = np.array([[1.0, 2.0], [2.0, 1.0]])
    assert np.linalg.eigvalsh(fisher_information(impossible, np.ones(2))).min() >= -1e-12
