"""All evaluations of a study together: numbers known better, intervals that still cover, and no other patients."""

from dataclasses import replace

import numpy as np
import pytest

from wardround.protocol.terms.contrasts import contrasts
from wardround.protocol.terms.evaluation import TableRow
from wardround.server.evaluation import measures
from wardround.server.evaluation.estimates import NoisedTables, difference, estimate
from wardround.server.evaluation.pooled import pooled

EDGES = np.array([-0.8, 0.0, 0.8])
ROWS = (TableRow(), TableRow("sex", "F"), TableRow("sex", "M"))
# The third row is the first less the second: as tables that were made to agree.
AGREE = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
NOISE = 25.0
MIXED = contrasts(4)


def exact(lift: float) -> np.ndarray:
    """Counts of the same patients under a model whose scores tell more with ``lift``: [rows, 2, bins]."""
    shapes = np.array([[1 + lift, 1, 1, 1 - lift], [1 - lift, 1, 1, 1 + lift]])
    of = [np.array([[sizes[0]], [sizes[1]]]) * shapes / 4 for sizes in ((4000, 2500), (2500, 1300))]
    return np.tensordot(AGREE, np.stack(of), axes=1)


def seen(counts: np.ndarray, draw: np.random.Generator, factor: float = 1.0) -> NoisedTables:
    noise = MIXED.undone(np.tensordot(AGREE, factor * NOISE * draw.normal(size=(2, 2, 4)), axes=1))
    return NoisedTables(1, ROWS, counts + noise, NOISE**2 * AGREE @ AGREE.T, MIXED.covariance, EDGES, 5)


def measured(tables: NoisedTables) -> dict[str, object]:
    bins = tables.bins
    return {
        "patients": estimate(tables, measures.patients(bins)),
        "rate": estimate(tables, measures.prevalence(bins), 2),
        "selection": estimate(tables, measures.selection_rate(bins, 2), 1),
        "gap": difference(tables, measures.true_positive_rate(bins, 2), 1, 2),
    }


def truth() -> dict[str, float]:
    found = measured(NoisedTables(1, ROWS, exact(0.6), np.zeros((3, 3)), MIXED.covariance, EDGES, 5))
    return {name: one.value for name, one in found.items()}


def errors(factor: float = 1.0, draws: int = 150, evaluations: int = 3):
    """Give each measure's errors over its stated standard deviations of noise, and those deviations; [draws]."""
    draw, true = np.random.default_rng(11), truth()
    scaled, stated = {name: [] for name in true}, {name: [] for name in true}
    for _ in range(draws):
        earlier = [seen(exact(0.1 * k), draw, factor) for k in range(1, evaluations)]
        found = measured(pooled(seen(exact(0.6), draw, factor), earlier))
        for name, one in found.items():
            scaled[name].append((one.value - true[name]) / one.noise)
            stated[name].append(one.noise)
    return scaled, {name: float(np.mean(found)) for name, found in stated.items()}


@pytest.mark.parametrize(("factor", "fits"), [(1.0, True), (2 / 3, False), (1.5, False)])
def test_the_noise_of_pooled_numbers_is_what_is_stated(factor, fits):
    scaled, _ = errors(factor)
    spreads = {name: float(np.std(found)) for name, found in scaled.items()}
    # Of 150 draws a standard deviation of 1 is within 0.2 but for 1 in 1,500; noise of 1.5 is mostly not pooled.
    assert all(abs(one - 1) < 0.2 for one in spreads.values()) == fits, spreads


def test_three_evaluations_know_numbers_better_and_none_worse():
    _, alone = errors(evaluations=1, draws=20)
    _, together = errors(evaluations=3, draws=20)
    assert together["patients"] / alone["patients"] == pytest.approx(3**-0.5, rel=0.05)
    assert together["rate"] < 0.7 * alone["rate"]
    # A rate near one half learns nothing of how many there are.
    assert all(together[name] < 1.02 * alone[name] for name in alone)


def test_tables_still_agree_and_labels_add_up_to_the_mean():
    draw = np.random.default_rng(3)
    own, earlier = seen(exact(0.6), draw), [seen(exact(0.2), draw)]
    found = pooled(own, earlier)
    np.testing.assert_allclose(found.counts[1] + found.counts[2], found.counts[0])
    mean = (own.counts + earlier[0].counts).sum(axis=2) / 2
    np.testing.assert_allclose(found.counts.sum(axis=2), mean)
    assert (found.evaluations, own.evaluations) == (2, 1)


def test_other_patients_and_other_hospitals_are_not_pooled():
    draw = np.random.default_rng(5)
    own = seen(exact(0.6), draw)
    fewer = seen(exact(0.2), draw)
    assert pooled(own, []) is own
    assert pooled(own, [replace(fewer, covariance=1.2 * fewer.covariance)]) is own
    assert pooled(own, [replace(fewer, counts=0.8 * fewer.counts)]) is own
    assert pooled(own, [fewer]).evaluations == 2
