"""What the private federation is compared with, each given its honest best.

Pooled boosting and pooled ridge see every record; a hospital alone sees its own. Strength of the ridge,
learning rates and rounds are fixed public numbers or come from training patients; held-out patients
choose nothing. Without privacy, in simulations only.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from client.cohort import Cohort
from protocol.design import active_columns, active_entries, sparse_rows
from protocol.layout import Layout
from protocol.settings import TrainingSettings
from server import optimize
from server.optimize import OptimizerState, TailAverage

Floats = NDArray[np.float64]
Step = Callable[[Floats], Floats]
"""One step's gradient sums, float64 [H, D], at the weights [H, D]: with or without clip and noise."""

RIDGE = 10.0
"""Prior of the ridge: each effect has a standard deviation of 1/√10 = 0.32 in log-odds."""
INTERCEPT_RIDGE = 1.0
CATEGORY_LIMIT = 255
"""Bins that scikit-learn's histogram boosting can treat as categories."""


def pooled_boosting(
    training: Cohort, heldout: Cohort, categorical: Sequence[bool], seed: int, iterations: int = 400
) -> Floats:
    """Probabilities for the held-out events by scikit-learn's histogram gradient boosting on all records.

    categorical: whether each column of ``bins`` is unordered. A tenth of the training *patients* stops it
    early, so that a patient's events never stand on both sides. Constant where the labels have one class.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import, and only needed here

    if training.labels.min() == training.labels.max():
        return np.full(heldout.event_count, training.labels[0])
    patient_stops = np.random.default_rng(seed).random(training.patient_count) < 0.1
    stops = patient_stops[training.patient_of_event]
    if len(np.unique(training.labels[stops])) < 2 or len(np.unique(training.labels[~stops])) < 2:
        stops = np.zeros_like(stops)
    sizes = training.bins.max(axis=0) + 1
    unordered = [bool(c) and size < CATEGORY_LIMIT for c, size in zip(categorical, sizes, strict=True)]
    mask = np.array(unordered + [False] * training.values.shape[1])
    model = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=iterations if stops.any() else 60,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        l2_regularization=1.0,
        categorical_features=mask if mask.any() else None,
        early_stopping=bool(stops.any()),
        n_iter_no_change=15,
        random_state=seed,
    )
    table = _table(training)
    validation = {"X_val": table[stops], "y_val": training.labels[stops]} if stops.any() else {}
    model.fit(table[~stops], training.labels[~stops], **validation)
    probabilities: Floats = model.predict_proba(_table(heldout))[:, 1]
    return probabilities


def _table(cohort: Cohort) -> NDArray[np.float32]:
    table: NDArray[np.float32] = np.hstack([cohort.bins.astype(np.float32), cohort.values])
    return table


def pooled_ridge(layout: Layout, scale: Floats, training: Cohort) -> Floats:
    """Weights float64 [D] of the additive model on all records, per-patient mean loss, without privacy."""
    weights: Floats = alone_ridge(layout, scale, training.pooled())[0]
    return weights


def alone_ridge(layout: Layout, scale: Floats, training: Cohort, events_at_once: int = 200_000) -> Floats:
    """Weights float64 [H, D] of the additive model fitted at each hospital alone, without privacy.

    Minimises Σ_patients mean loss + ½ ridge ‖effects‖² per hospital; effects are weights times ``scale``,
    the model's public column scale [D]. Hospitals are solved together, as many at a time as have
    ``events_at_once`` events, so memory does not grow with the federation. An empty hospital keeps zero.
    """
    effects = np.zeros((training.hospital_count, layout.width))
    for first, stop in _groups(training, events_at_once):
        effects[first:stop] = _minimise(_problem(layout, training, first, stop))
    return effects / scale


def descend(step: Step, initial: Floats, denominators: Floats, training: TrainingSettings) -> Floats:
    """Each hospital's own descent, all at once, by the server's optimiser and tail average.

    step: gradient sums [H, D] at weights [H, D] (clipped and noised: each alone with privacy). initial:
    float64 [H, D]. denominators: float64 [H], public patients. Returns float64 [H, D].
    """
    second = np.zeros_like(initial) if training.optimizer == "adam" else np.zeros(0)
    state = OptimizerState(first_moment=np.zeros_like(initial), second_moment=second, steps=0)
    weights, tail = initial, TailAverage(mean=np.zeros_like(initial), count=0)
    for round_number in range(1, training.rounds + 1):
        gradient = step(weights) / denominators[:, None]
        state, weights = optimize.apply(state, training, weights, gradient)
        tail = optimize.extend_tail(tail, training, round_number, weights)
    return tail.mean if tail.count else weights


def descend_together(step: Step, initial: Floats, denominator: float, training: TrainingSettings) -> Floats:
    """One model [D] over all hospitals: the sum of the step's sums [H, D], by the same optimiser.

    With ``step`` neither clipped nor noised this is the federation without privacy, and, given enough
    rounds, the pooled model of those kinds that have no convex solver.
    """

    def total(weights: Floats) -> Floats:
        sums: Floats = step(weights).sum(axis=0, keepdims=True)
        return sums

    weights: Floats = descend(total, initial[None], np.array([denominator]), training)[0]
    return weights


def _groups(cohort: Cohort, events_at_once: int) -> Iterator[tuple[int, int]]:
    """Consecutive hospitals with about ``events_at_once`` events together; at least one each."""
    ends = cohort.events_from[cohort.patients_from[1:]]
    first, start = 0, 0
    while first < cohort.hospital_count:
        stop = max(first + 1, int(np.searchsorted(ends, start + events_at_once, side="right")))
        yield first, stop
        first, start = stop, int(ends[stop - 1])


@dataclass(frozen=True, eq=False)
class _Problem:
    """Independent ridge problems, one block of the design [events, H·D] per hospital."""

    design: csr_matrix
    transposed: csr_matrix
    labels: Floats
    event_weights: Floats
    curvature: Floats  # [H, D], a diagonal that bounds each Hessian from above
    ridge: Floats  # [D]


def design_matrix(layout: Layout, cohort: Cohort, first: int, stop: int) -> csr_matrix:
    """Block-diagonal, unscaled design of hospitals first:stop, float64 [events, (stop − first)·D]."""
    start, end = cohort.events_from[cohort.patients_from[[first, stop]]]
    events = _Events(cohort.bins[start:end], cohort.values[start:end])
    columns = active_columns(layout, events)
    entries = active_entries(columns, events.values, np.ones(layout.width))
    hospital = cohort.hospital_of_patient[cohort.patient_of_event[start:end]] - first
    blocks = columns + (hospital * layout.width)[:, None]
    return sparse_rows(blocks, entries, (stop - first) * layout.width)


@dataclass(frozen=True, eq=False)
class _Events:
    bins: NDArray[np.int32]
    values: NDArray[np.float32]


def _problem(layout: Layout, cohort: Cohort, first: int, stop: int) -> _Problem:
    start, end = cohort.events_from[cohort.patients_from[[first, stop]]]
    design = design_matrix(layout, cohort, first, stop)
    transposed = design.T.tocsr()
    event_weights = (1.0 / cohort.events_per_patient)[cohort.patient_of_event[start:end]]
    ridge = np.full(layout.width, RIDGE)
    ridge[0] = INTERCEPT_RIDGE
    # |x_j||x_k| summed over k bounds the Hessian's row j (Gershgorin), and p(1 − p) ≤ ¼.
    row_sums = np.abs(design) @ np.ones(design.shape[1])
    bound = 0.25 * (np.abs(transposed) @ (event_weights * row_sums))
    curvature = bound.reshape(stop - first, layout.width) + ridge
    return _Problem(design, transposed, cohort.labels[start:end], event_weights, curvature, ridge)


def _minimise(problem: _Problem, iterations: int = 400, tolerance: float = 1e-5) -> Floats:
    """Accelerated descent in the metric of ``curvature`` (O'Donoghue, Candès 2015)."""
    shape = problem.curvature.shape
    weights, ahead = np.zeros(shape), np.zeros(shape)
    age = np.ones(shape[0])
    for _ in range(iterations):
        probability = 1 / (1 + np.exp(-np.clip(problem.design @ ahead.ravel(), -50, 50)))
        residual = problem.event_weights * (probability - problem.labels)
        gradient = (problem.transposed @ residual).reshape(shape) + problem.ridge * ahead
        moved = ahead - gradient / problem.curvature
        restart = (gradient * (moved - weights)).sum(axis=1) > 0
        older = np.where(restart, 1.0, (1 + np.sqrt(1 + 4 * age**2)) / 2)
        ahead = moved + ((age - 1) / older * ~restart)[:, None] * (moved - weights)
        change = np.abs(moved - weights).max(initial=0.0)
        weights, age = moved, older
        if change < tolerance:
            break
    return weights
