"""The bar without privacy: scikit-learn's histogram gradient boosting on every record, tuned on training patients.

It gets what an ordinary data scientist would give it: each column as fine as the tables allow, the hospital as a
column of its own, and settings found by cross-validation over patients. Held-out patients choose nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import ge
from typing import Any

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Booleans, Floats, Floats32, Integers
from wardround.simulations.measures.one_thread import one_thread

CATEGORY_LIMIT = 255
"""Bins that scikit-learn's histogram boosting can treat as categories."""
FOLDS = 3
SEARCH_EVENTS = 30_000
"""Events that the cross-validation reads, of so many whole patients; what it chooses is then fitted to all."""
MOST_ITERATIONS = 400
NEARLY_MOST = 300
"""Where the search's part of the records bears so many trees, all of them get the most without a fit to count them."""
PRIOR_EVENTS = 20.0
"""Events at the overall rate that a word's own rate begins with, where words are too many for categories."""


@dataclass(frozen=True)
class Candidate:
    """One setting of the search."""

    leaves: int
    least_events: int
    ridge: float


CANDIDATES = (
    Candidate(2, 20, 10.0),
    Candidate(4, 20, 1.0),
    Candidate(8, 40, 1.0),
    Candidate(15, 40, 1.0),
    Candidate(31, 80, 10.0),
)
"""From the smallest trees to the largest."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Codes and numbers that boosting reads beside each other.

    categories: int64 [events, unordered columns]; sizes: how many codes each may have. ordered: float32 [events,
    others], NaN where nothing is known.
    """

    categories: Integers
    sizes: tuple[int, ...]
    ordered: Floats32


def pooled_boosting(
    training: Cohort,
    heldout: Cohort,
    categorical: Sequence[bool],
    seed: int,
    raw: tuple[Floats32, Floats32] | None = None,
) -> Floats:
    """Probabilities for the held-out events by boosting on all records, tuned by cross-validation.

    categorical: whether each column of ``bins`` is unordered. raw: finer columns of the same training and held-out
    events, float32 [events, columns], which stand for the ordered bins. Constant where the labels have one class.
    """
    if training.labels.min() == training.labels.max():
        return np.full(heldout.event_count, training.labels[0])
    rng = np.random.default_rng(seed)
    folds = rng.integers(0, FOLDS, training.patient_count)[training.patient_of_event]
    known, asked = (
        _columns(cohort, categorical, None if raw is None else raw[index])
        for index, cohort in enumerate((training, heldout))
    )
    table, target, mask = _tables(known, asked, training.labels, folds)
    chosen, iterations = _search(table, training, folds, mask, rng, seed)
    stops = rng.random(training.patient_count)[training.patient_of_event] < 0.1
    # On all records more trees earn their place than on the search's part of them. Where the search saw them all, its
    # folds know better than one tenth.
    if training.event_count > SEARCH_EVENTS and iterations >= NEARLY_MOST:
        iterations = MOST_ITERATIONS
    elif training.event_count > SEARCH_EVENTS and _both_classes(training.labels, stops):
        iterations = _fitted(chosen, MOST_ITERATIONS, mask, seed, table, training.labels, stops).n_iter_
    model = _fitted(chosen, max(1, iterations), mask, seed, table, training.labels, None)
    with one_thread("openmp"):
        probabilities: Floats = model.predict_proba(target)[:, 1]
    return probabilities


def _columns(cohort: Cohort, categorical: Sequence[bool], raw: Floats32 | None) -> Columns:
    """Take a cohort's columns apart; the hospital is one more category."""
    unordered = np.asarray(categorical, np.bool_)
    hospital = cohort.hospital_of_patient[cohort.patient_of_event]
    categories = np.column_stack([cohort.bins[:, unordered].astype(np.int64), hospital])
    sizes = (*(int(s) + 1 for s in cohort.bins[:, unordered].max(axis=0, initial=0)), cohort.hospital_count)
    ordered = cohort.bins[:, ~unordered].astype(np.float32) if raw is None else raw
    return Columns(categories, sizes, np.hstack([ordered, cohort.values]))


def _tables(
    known: Columns, asked: Columns, labels: Floats, folds: Integers
) -> tuple[Floats32, Floats32, Booleans]:
    """Give training and held-out tables and which columns are categories; many words become their rates."""
    sizes = [max(pair) for pair in zip(known.sizes, asked.sizes, strict=True)]
    parts, targets, mask = [], [], []
    for index, size in enumerate(sizes):
        codes, wanted = known.categories[:, index], asked.categories[:, index]
        few = size < CATEGORY_LIMIT
        mask.append(few)
        parts.append(codes.astype(np.float32) if few else rates_out_of_fold(codes, labels, folds, size))
        targets.append(wanted.astype(np.float32) if few else _rates(codes, labels, size)[wanted])
    mask += [False] * known.ordered.shape[1]
    return (
        np.column_stack([*parts, known.ordered]).astype(np.float32),
        np.column_stack([*targets, asked.ordered]).astype(np.float32),
        np.asarray(mask, np.bool_),
    )


def rates_out_of_fold(codes: Integers, labels: Floats, folds: Integers, size: int) -> Floats32:
    """Rate of each event's word among the patients of other folds: float32 [events]."""
    found = np.empty(len(codes), np.float32)
    for fold in range(FOLDS):
        # A word's own events would tell their labels.
        others = folds != fold
        found[~others] = _rates(codes[others], labels[others], size)[codes[~others]]
    return found


def _rates(codes: Integers, labels: Floats, size: int) -> Floats32:
    mean = labels.mean() if len(labels) else 0.5
    engaged = np.bincount(codes, labels, minlength=size) + PRIOR_EVENTS * mean
    rates: Floats32 = (engaged / (np.bincount(codes, minlength=size) + PRIOR_EVENTS)).astype(np.float32)
    return rates


def _search(
    table: Floats32, training: Cohort, folds: Integers, mask: Booleans, rng: np.random.Generator, seed: int
) -> tuple[Candidate, int]:
    """Find the candidate of least log-loss over the folds, and its iterations; a small one if none can be told.

    Where it reads a part of the records, a candidate is dropped once two folds are no better than the best one's so
    far, and after one that was dropped already at the first such fold.
    """
    share = min(1.0, SEARCH_EVENTS / training.event_count)
    some = (rng.random(training.patient_count) < share)[training.patient_of_event]
    rows, labels, parts = table[some], training.labels[some], folds[some]
    if not all(_both_classes(labels, parts == fold) for fold in range(FOLDS)):
        return CANDIDATES[1], 60
    # A part of the records favours smaller trees than all of them do: stumps are for tables that are small.
    chosen, least, iterations = CANDIDATES[1], [np.inf] * FOLDS, 60
    spare = FOLDS
    for candidate in CANDIDATES if share == 1 else CANDIDATES[1:]:
        losses, needed = _validated(candidate, mask, seed, rows, labels, parts, least, spare)
        if better := bool(np.mean(losses) < np.mean(least)):
            chosen, least, iterations = candidate, losses, needed
        # On small tables, whose fits are quick, folds differ too much to drop anyone early.
        spare = FOLDS if share == 1 else int(better)
    return chosen, iterations


def _validated(
    candidate: Candidate,
    mask: Booleans,
    seed: int,
    table: Floats32,
    labels: Floats,
    folds: Integers,
    least: Sequence[float],
    spare: int,
) -> tuple[list[float], int]:
    """Log-loss of each fold by a fit to the others, and the mean number of trees of these fits.

    Infinite once more than ``spare`` folds are no better than ``least``: the others are not asked.
    """
    losses: list[float] = []
    trees: list[int] = []
    for fold in range(FOLDS):
        model = _fitted(candidate, MOST_ITERATIONS, mask, seed, table, labels, folds == fold)
        # Scores are minus the log-loss of the fold left out, one for each iteration.
        losses.append(float(-model.validation_score_.max()))
        trees.append(model.n_iter_)
        if sum(map(ge, losses, least)) > spare:
            return [np.inf] * FOLDS, 0
    return losses, int(np.mean(trees))


def _both_classes(labels: Floats, apart: Booleans) -> bool:
    return all(len(np.unique(part)) == 2 for part in (labels[apart], labels[~apart]))


def _fitted(
    candidate: Candidate,
    iterations: int,
    mask: Booleans,
    seed: int,
    table: Floats32,
    labels: Floats,
    apart: Any,
) -> Any:
    """Fit one model; ``apart`` are events by whose log-loss it stops, None for a fixed number of iterations."""
    # Slow to import, and only needed here.
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=0.1,
        max_iter=iterations,
        max_leaf_nodes=candidate.leaves,
        min_samples_leaf=candidate.least_events,
        l2_regularization=candidate.ridge,
        categorical_features=mask if mask.any() else None,
        early_stopping=apart is not None,
        n_iter_no_change=10,
        random_state=seed,
    )
    with one_thread("openmp"):
        if apart is None:
            return model.fit(table, labels)
        return model.fit(table[~apart], labels[~apart], X_val=table[apart], y_val=labels[apart])
