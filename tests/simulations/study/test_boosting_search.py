"""The search of the bar without privacy ends early, and chooses what a whole one would."""

from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from wardround.client.cohort import Cohort
from wardround.simulations.study import boosting
from wardround.simulations.study.boosting import CANDIDATES, FOLDS


def search(cohort: Cohort, table: np.ndarray) -> tuple[boosting.Candidate, int]:
    mask = np.zeros(table.shape[1], np.bool_)
    return boosting._search(table, cohort, folds_of(cohort), mask, np.random.default_rng(0), 0)


def folds_of(cohort: Cohort) -> np.ndarray:
    return np.random.default_rng(1).integers(0, FOLDS, cohort.patient_count)[cohort.patient_of_event]


@pytest.mark.parametrize(
    ("losses", "leaves", "fits"),
    [
        ([(0.5, 0.5, 0.5), (0.6, 0.6, 0.1), (0.6, 0.1, 0.1), (0.6, 0.1, 0.1)], 4, 3 + 2 + 1 + 1),
        ([(0.5, 0.5, 0.5), (0.5, 0.5, 0.1), (0.5, 0.1, 0.1), (0.5, 0.1, 0.1)], 4, 3 + 2 + 1 + 1),
        ([(0.5, 0.5, 0.5), (0.4, 0.8, 0.4), (0.6, 0.1, 0.1), (0.6, 0.1, 0.1)], 4, 3 + 3 + 1 + 1),
        ([(0.5, 0.5, 0.5), (0.6, 0.4, 0.4), (0.3, 0.5, 0.3), (0.4, 0.6, 0.1)], 15, 3 + 3 + 3 + 2),
        ([(0.5, 0.5, 0.5), (0.6, 0.6, 0.6), (0.4, 0.4, 0.4), (0.5, 0.3, 0.3)], 31, 3 + 2 + 3 + 3),
    ],
    ids=["worse in two folds", "as good", "worse in the mean", "better but for one fold", "late"],
)
def test_a_search_in_a_part_of_the_records_drops_who_is_behind(
    losses: Sequence[Sequence[float]],
    leaves: int,
    fits: int,
    small: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: Counter[boosting.Candidate] = Counter()

    def fitted(candidate: boosting.Candidate, *given: object) -> SimpleNamespace:
        row, fold = CANDIDATES.index(candidate), asked[candidate]
        asked[candidate] += 1
        # Scores are minus the loss of each iteration, and the best one counts.
        scores = np.array([-9.0, -losses[row - 1][fold]])
        return SimpleNamespace(validation_score_=scores, n_iter_=10 * row + fold)

    monkeypatch.setattr(boosting, "_fitted", fitted)
    cohort = small([300], seed=5).cohort
    monkeypatch.setattr(boosting, "SEARCH_EVENTS", cohort.event_count - 1)
    chosen, iterations = search(cohort, cohort.bins.astype(np.float32))
    assert (chosen.leaves, asked.total()) == (leaves, fits)
    assert iterations == 10 * CANDIDATES.index(chosen) + 1  # the mean over its folds


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("part", [True, False])
def test_the_search_chooses_the_candidate_of_least_loss(
    order: int, part: bool, small: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, rng = small([1500], seed=5).cohort, np.random.default_rng(order)
    table = rng.random((cohort.event_count, 6)).astype(np.float32)
    ups = (table > 0.5).astype(int)
    logits = 2.0 * (ups[:, :order].sum(axis=1) % 2) + ups[:, 5] - 1.5
    cohort.labels[:] = rng.random(cohort.event_count) < 1 / (1 + np.exp(-logits))
    monkeypatch.setattr(boosting, "MOST_ITERATIONS", 60)
    monkeypatch.setattr(boosting, "SEARCH_EVENTS", cohort.event_count - part)
    found = search(cohort, table)
    tried = CANDIDATES[1:] if part else CANDIDATES
    losses = [loss_of(candidate, cohort, table) for candidate in tried]
    assert found[0] == tried[int(np.argmin(losses))]
    assert (found[0].leaves <= 4) is (order == 1)


def loss_of(candidate: boosting.Candidate, cohort: Cohort, table: np.ndarray) -> float:
    """Mean log-loss over the folds of the events that `search` reads."""
    share = min(1.0, boosting.SEARCH_EVENTS / cohort.event_count)
    some = (np.random.default_rng(0).random(cohort.patient_count) < share)[cohort.patient_of_event]
    given = (table[some], cohort.labels[some], folds_of(cohort)[some])
    mask = np.zeros(table.shape[1], np.bool_)
    losses, _ = boosting._validated(candidate, mask, 0, *given, [np.inf] * FOLDS, FOLDS)
    return float(np.mean(losses))


def test_where_a_part_of_the_records_bears_nearly_the_most_trees_all_of_them_get_the_most(
    small: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, given = small([1200], seed=5).cohort, []
    real = boosting._fitted

    def fitted(candidate: boosting.Candidate, iterations: int, *rest: object) -> object:
        if len(rest[3]) == cohort.event_count:  # type: ignore[arg-type]
            given.append((iterations, rest[4] is not None))
        return real(candidate, iterations, *rest)

    monkeypatch.setattr(boosting, "_fitted", fitted)
    monkeypatch.setattr(boosting, "MOST_ITERATIONS", 12)
    for nearly, events, expected in (
        (1, cohort.event_count // 2, [(12, False)]),
        (13, cohort.event_count // 2, [(12, True), (12, False)]),
    ):
        monkeypatch.setattr(boosting, "NEARLY_MOST", nearly)
        monkeypatch.setattr(boosting, "SEARCH_EVENTS", events)
        boosting.pooled_boosting(cohort, cohort, [False, True], seed=0)
        assert given == expected
        given.clear()
