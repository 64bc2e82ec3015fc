"""Contrasts of score bins: one bin moves them by at most 1, they can be undone, and sums are better known than bins."""

import numpy as np
import pytest

from wardround.protocol.terms.contrasts import contrasts

BINS = (1, 2, 3, 4, 7, 8, 10, 64, 1000)


def matrix(bins: int) -> np.ndarray:
    """Which contrasts each bin moves, and by how much: [contrasts, bins]."""
    return contrasts(bins).of(np.eye(bins)).T


@pytest.mark.parametrize("bins", BINS)
def test_no_bin_moves_its_contrasts_by_more_than_one(bins: int) -> None:
    norms = np.linalg.norm(matrix(bins), axis=0)
    assert norms.max() == pytest.approx(1, abs=1e-12)
    if bins & (bins - 1) == 0:  # then no bin pays for another's share of the noise
        assert norms.min() == pytest.approx(1, abs=1e-12)


def test_eight_bins_are_a_sum_halves_quarters_and_pairs() -> None:
    by_hand = np.array(
        [
            [1, 1, 1, 1, 1, 1, 1, 1],
            [1, 1, 1, 1, -1, -1, -1, -1],
            [1, 1, -1, -1, 0, 0, 0, 0],
            [0, 0, 0, 0, 1, 1, -1, -1],
            [1, -1, 0, 0, 0, 0, 0, 0],
            [0, 0, 1, -1, 0, 0, 0, 0],
            [0, 0, 0, 0, 1, -1, 0, 0],
            [0, 0, 0, 0, 0, 0, 1, -1],
        ]
    )
    weights = np.array([1, 1, *([2**-1.5] * 2), *([2**-3] * 4)])
    rows = np.sqrt(weights)[:, None] * by_hand / np.linalg.norm(by_hand, axis=1, keepdims=True)
    np.testing.assert_allclose(matrix(8), rows / np.linalg.norm(rows[:, 0]), atol=1e-12)


@pytest.mark.parametrize("bins", BINS)
def test_they_are_undone_and_their_noise_is_what_is_stated(bins: int) -> None:
    counts = np.random.default_rng(bins).uniform(0, 50, (3, 2, bins))
    mixed, rows = contrasts(bins), matrix(bins)
    np.testing.assert_allclose(mixed.undone(mixed.of(counts)), counts, atol=1e-8)
    np.testing.assert_allclose(rows @ mixed.covariance @ rows.T, np.eye(bins), atol=1e-8)


def test_sums_and_ranks_are_known_better_than_by_noise_in_each_bin_and_single_bins_worse() -> None:
    covariance = contrasts(8).covariance
    half, ranks = np.arange(8) >= 4, np.arange(8) - 3.5
    assert half @ covariance @ half < 0.45 * half.sum()
    assert ranks @ covariance @ ranks < 0.72 * ranks @ ranks
    assert np.diag(covariance) == pytest.approx(2.0, abs=0.02)


def test_of_all_weights_by_depth_these_know_ranks_best() -> None:
    """Σ energy ÷ weight at the same cost, over the depths below the sum; a hundred other weights are worse."""
    rows = np.sign(matrix(8)) / np.linalg.norm(np.sign(matrix(8)), axis=1, keepdims=True)
    depth = np.array([1, 2, 2, 3, 3, 3, 3])
    energy = (rows @ (np.arange(8) - 3.5))[1:] ** 2

    def error(by_depth: np.ndarray) -> float:
        weight = by_depth[depth - 1]
        return float((energy / weight).sum() * weight.sum())

    ours = contrasts(8).weight[[1, 2, 4]]
    others = np.exp(np.random.default_rng(0).normal(size=(100, 3)))
    assert all(error(ours) < error(other) for other in others)
