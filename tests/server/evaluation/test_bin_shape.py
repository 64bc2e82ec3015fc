"""How scores lie within bins: right for scores of any usual shape, bounded by the slack, finite for any table."""

import numpy as np
import pytest
from scipy.special import expit

from wardround.server.evaluation.bin_shape import ORDER_SLACK, SPREAD_SLACK, bin_shape
from wardround.server.evaluation.estimates import biased_quantile

EDGES = np.array([-1.35, -0.8, -0.35, 0.0, 0.35, 0.8, 1.35])
COUNT = 400_000


def drawn(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds and labels; scores that are normal, skewed, of two humps, or flat, and nearly calibrated."""
    draw = np.random.default_rng(5)
    logits = {
        "normal": lambda: draw.normal(0.1, 1.0, COUNT),
        "narrow": lambda: draw.normal(0.1, 0.4, COUNT),
        "skewed": lambda: draw.gamma(2.0, 0.6, COUNT) - 1.4,
        "two humps": lambda: draw.normal(np.where(draw.random(COUNT) < 0.35, 1.9, -0.4), 0.4),
        "flat": lambda: draw.uniform(-1.8, 1.8, COUNT),
    }[kind]()
    return logits, draw.random(COUNT) < expit(0.8 * logits - 0.1)


def table(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    counts = np.zeros((2, len(EDGES) + 1))
    np.add.at(counts, (labels.astype(int), np.searchsorted(EDGES, logits)), 1)
    return counts


@pytest.mark.parametrize("kind", ["normal", "narrow", "skewed", "two humps", "flat"])
def test_what_lies_within_bins_is_found_to_within_the_slack(kind: str) -> None:
    logits, labels = drawn(kind)
    counts = table(logits, labels)
    shape = bin_shape(counts, 0.0, EDGES)
    shares = counts / counts.sum(axis=1, keepdims=True)
    ties = shares[0] * shares[1]
    bins = np.searchsorted(EDGES, logits)
    right = np.zeros(len(ties))
    for b in range(len(ties)):
        zeros, ones = np.sort(logits[(bins == b) & ~labels]), logits[(bins == b) & labels]
        right[b] = np.searchsorted(zeros, ones).mean() / len(zeros)
    assert abs(float(ties @ (shape.order - right))) <= ORDER_SLACK * ties.sum()
    # Ties by half are off by more than the model is.
    assert abs(float(ties @ (0.5 - right))) > 1.5 * abs(float(ties @ (shape.order - right)))
    mean = float((counts * shape.prediction).sum()) / COUNT
    spread = float((counts * shape.prediction_spread).sum()) / COUNT
    assert mean == pytest.approx(expit(logits).mean(), abs=SPREAD_SLACK * spread)
    losses = np.logaddexp(0, np.where(labels, -logits, logits))
    spread = float((counts * shape.loss_spread).sum()) / COUNT
    assert float((counts * shape.loss).sum()) / COUNT == pytest.approx(
        losses.mean(), abs=SPREAD_SLACK * spread
    )


@pytest.mark.parametrize(
    "counts",
    [
        np.zeros((2, 8)),
        np.full((2, 8), np.nan),
        np.full((2, 8), -1e6),
        np.eye(2, 8) * 1e9,
        np.random.default_rng(0).normal(0, 1e4, (2, 8)),
    ],
    ids=["nobody", "nan", "negative", "outermost", "noise"],
)
def test_any_table_has_a_finite_shape(counts: np.ndarray) -> None:
    shape = bin_shape(counts, 100.0, EDGES)
    for name in ("order", "prediction", "prediction_spread", "loss", "loss_spread", "middle"):
        assert np.isfinite(getattr(shape, name)).all(), name
    assert (np.diff(shape.middle) > 0).all()
    assert ((shape.order > 0) & (shape.order < 1)).all()


@pytest.mark.parametrize("bias", [0.0, 0.5, 2.0, 6.0])
def test_an_interval_with_a_bias_covers_at_its_level_and_no_more(bias: float) -> None:
    draws = np.random.default_rng(1).normal(bias, 1.0, 400_000)
    reach = biased_quantile(0.95, bias, 1.0)
    assert (abs(draws) <= reach).mean() == pytest.approx(0.95, abs=0.002)
    # The usual interval, which knows of no bias, does not.
    assert bias == 0 or (abs(draws) <= biased_quantile(0.95, 0.0, 1.0)).mean() < 0.93


def test_without_any_error_the_bias_is_all() -> None:
    assert biased_quantile(0.95, 0.3, 0.0) == 0.3
    assert np.isnan(biased_quantile(0.95, 0.0, np.nan))
