"""Trees are those that a library grows, go on from any logits, stay with their hospital, add up exactly."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from wardround.client.personal.trees import Growth, TreeEvents, grow, tree_contributions, tree_logits

GROWTH = Growth(trees=12, depth=3, rate=0.3, ridge=4.0, least_curvature=1e-3)
BINS = 9


def drawn(counts: tuple[int, ...] = (700, 400), seed: int = 0) -> tuple[TreeEvents, np.ndarray]:
    """Events of hospitals whose labels follow two columns together and a third alone."""
    rng = np.random.default_rng(seed)
    hospital = np.repeat(np.arange(len(counts)), counts)
    codes = rng.integers(0, BINS, (len(hospital), 5)).astype(np.int16)
    truth = np.where((codes[:, 0] > 4) == (codes[:, 1] > 2 + hospital), 1.2, -1.2) + 0.2 * (codes[:, 2] - 4)
    labels = (rng.random(len(hospital)) < 1 / (1 + np.exp(-truth))).astype(np.float64)
    return TreeEvents(codes, hospital, len(counts), BINS), labels


def of_hospital(events: TreeEvents, hospital: int) -> TreeEvents:
    own = events.of(events.hospital == hospital)
    return TreeEvents(own.codes, np.zeros(len(own.hospital), np.int64), 1, BINS)


@pytest.mark.parametrize("ridge", [1.0, 20.0])
@pytest.mark.parametrize("depth", [1, 3])
def test_trees_are_those_of_scikit_learn(ridge: float, depth: int) -> None:
    events, labels = drawn((900,))
    weights = np.random.default_rng(1).uniform(0.2, 1, len(labels))
    library = HistGradientBoostingClassifier(
        learning_rate=GROWTH.rate, max_iter=GROWTH.trees, max_depth=depth, max_leaf_nodes=None, min_samples_leaf=1,
        l2_regularization=ridge, early_stopping=False,
    ).fit(events.codes, labels, weights)  # fmt: skip
    mean = np.average(labels, weights=weights)
    # A library begins at the mean; these begin where they are told to.
    start = np.full(len(labels), np.log(mean / (1 - mean)))
    trees = grow(events, labels, start, weights, replace(GROWTH, ridge=ridge, depth=depth))
    other, _ = drawn((5000,), seed=2)
    expected = library.decision_function(other.codes)
    # The library's slopes are float32.
    np.testing.assert_allclose(start[0] + tree_logits(trees, other), expected, atol=2e-5)
    assert np.ptp(expected) > 1


def test_trees_go_on_from_the_logits_that_they_are_given() -> None:
    events, labels = drawn()
    start, weights = np.random.default_rng(3).normal(size=len(labels)), np.ones(len(labels))
    whole = grow(events, labels, start, weights, GROWTH)
    first = grow(events, labels, start, weights, replace(GROWTH, trees=5))
    rest = grow(events, labels, start + tree_logits(first, events), weights, replace(GROWTH, trees=7))
    together = tree_logits(first, events) + tree_logits(rest, events)
    np.testing.assert_allclose(together, tree_logits(whole, events), atol=1e-12)


def test_a_hospitals_trees_are_those_that_it_grows_alone() -> None:
    events, labels = drawn((700, 0, 400))
    weights, start = np.full(len(labels), 0.7), np.zeros(len(labels))
    together = tree_logits(grow(events, labels, start, weights, GROWTH), events)
    for hospital in (0, 2):
        own, alone = events.hospital == hospital, of_hospital(events, hospital)
        trees = grow(alone, labels[own], start[own], weights[own], GROWTH)
        np.testing.assert_allclose(together[own], tree_logits(trees, alone), atol=1e-12)


def test_no_side_of_a_split_has_less_than_the_least_curvature() -> None:
    events, labels = drawn((300,))
    start, weights = np.zeros(300), np.ones(300)
    # At logit 0 each event's curvature is ¼: 80 events make 20.
    for least, fewest in ((20.0, 80), (5.0, 20)):
        trees = grow(events, labels, start, weights, replace(GROWTH, trees=1, least_curvature=least))
        leaves = np.unique(tree_logits(trees, events), return_counts=True)[1]
        assert leaves.min() >= fewest
    assert leaves.min() < 80
    one = grow(events, labels, start, weights, replace(GROWTH, trees=1, least_curvature=40.0))
    assert len(np.unique(tree_logits(one, events))) == 1


def test_a_weight_of_nothing_leaves_an_event_out() -> None:
    events, labels = drawn((600,))
    kept = np.random.default_rng(4).random(600) < 0.7
    start = np.zeros(600)
    weighed = grow(events, labels, start, kept.astype(np.float64), GROWTH)
    few = grow(events.of(kept), labels[kept], start[kept], np.ones(int(kept.sum())), GROWTH)
    np.testing.assert_allclose(tree_logits(weighed, events), tree_logits(few, events), atol=1e-12)


def test_contributions_and_the_roots_are_the_trees_logits() -> None:
    events, labels = drawn()
    trees = grow(events, labels, np.zeros(len(labels)), np.ones(len(labels)), GROWTH)
    each, rest = tree_contributions(trees, events)
    np.testing.assert_allclose(each.sum(axis=1) + rest, tree_logits(trees, events), atol=1e-12)
    # Nothing is given to columns that no split reads, and most to those that the labels follow.
    weight = np.abs(each).mean(axis=0)
    assert weight[:3].min() > 2 * weight[3:].max()
    assert len(np.unique(rest)) == 2


def test_nothing_of_the_events_is_shown() -> None:
    assert repr(drawn((3,))[0]) == "TreeEvents(hospitals=1, bins=9)"
