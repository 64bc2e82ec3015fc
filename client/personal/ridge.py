"""Additive models fitted at many hospitals at once, without privacy, around logits that stay fixed.

Used by a hospital for its personal part (never released) and by simulations for the baselines alone and
pooled. Every hospital is a problem of its own; they share only the loop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from wardround.client.cohort import Cohort
from wardround.client.personal.joined_rows import JoinedRows, joined_rows
from wardround.protocol.arrays import Floats, Floats32, Integers32
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import active_columns, active_entries, sparse_rows

RIDGE = 10.0
"""Prior of an effect: mean 0, standard deviation 1/√10 = 0.32 in log-odds; a public number, not fitted."""
INTERCEPT_RIDGE = 1.0


def fit_effects(
    layout: Layout,
    cohort: Cohort,
    fixed_logits: Floats | None = None,
    ridge: float = RIDGE,
    events_at_once: int = 200_000,
    iterations: int = 150,
    tolerance: float = 1e-4,
) -> Floats:
    """Effects float64 [H, D], in log-odds per (unscaled) column of the design, of each hospital.

    Minimises Σ_patients mean loss(fixed + design · effects) + ½ ridge ‖effects‖² per hospital. fixed_logits:
    float64 [events], zero by default. Hospitals are solved together, as many at a time as have
    ``events_at_once`` events, so that memory does not grow with the federation. An empty hospital's effects
    are zero; fixed logits that are not finite count as zero. Fewer iterations stop nearer to zero effects; earlier
    than that it stops where no effect moves by more than ``tolerance``.
    """
    start = Start(fixed_logits, ridge)
    return fit_effects_each(layout, cohort, [start], events_at_once, iterations, tolerance)[0]


@dataclass(frozen=True, eq=False)
class Start:
    """What one fit begins at: logits float64 [events] that stay fixed, zero by default, and its ridge."""

    fixed_logits: Floats | None = None
    ridge: float = RIDGE

    def of(self, events: slice) -> Floats:
        """Give the fixed logits of these events; what is not finite counts as zero."""
        if self.fixed_logits is None:
            return np.zeros(events.stop - events.start)
        return np.nan_to_num(self.fixed_logits[events], posinf=0, neginf=0)


def fit_effects_each(
    layout: Layout,
    cohort: Cohort,
    starts: Sequence[Start],
    events_at_once: int = 200_000,
    iterations: int = 150,
    tolerance: float = 1e-4,
) -> list[Floats]:
    """Give ``fit_effects`` of the same events for each start, in order; their design is built once for all."""
    effects = [np.zeros((cohort.hospital_count, layout.width)) for _ in starts]
    for first, stop in _groups(cohort, events_at_once):
        design = _design(layout, cohort, first, stop)
        for start, found in zip(starts, effects, strict=True):
            found[first:stop] = _minimise(_problem(design, start), iterations, tolerance)
    return effects


def _groups(cohort: Cohort, events_at_once: int) -> Iterator[tuple[int, int]]:
    """Consecutive hospitals with about ``events_at_once`` events together; at least one each."""
    ends = cohort.events_from[cohort.patients_from[1:]]
    first, start = 0, 0
    while first < cohort.hospital_count:
        stop = max(first + 1, int(np.searchsorted(ends, start + events_at_once, side="right")))
        yield first, stop
        first, start = stop, int(ends[stop - 1])


@dataclass(frozen=True, eq=False)
class _Design:
    """What all problems of the same events have in common: a block of rows for each hospital, and labels."""

    events: slice
    rows: JoinedRows
    labels: Floats
    event_weights: Floats
    bound: Floats  # [H, D], a diagonal that bounds each Hessian of the losses from above


@dataclass(frozen=True, eq=False)
class _Problem:
    """Independent ridge problems, one of each hospital."""

    design: _Design
    fixed: Floats
    ridge: Floats  # [D]
    curvature: Floats  # [H, D], a diagonal that bounds each Hessian from above


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
    bins: Integers32
    values: Floats32


def _design(layout: Layout, cohort: Cohort, first: int, stop: int) -> _Design:
    start, end = (int(place) for place in cohort.events_from[cohort.patients_from[[first, stop]]])
    rows = joined_rows(layout, cohort, first, stop)
    event_weights = cohort.event_shares[start:end]
    # |x_j||x_k| summed over k bounds the Hessian's row j (Gershgorin), and p(1 − p) ≤ ¼.
    bound = 0.25 * rows.add_up_sizes(event_weights)
    return _Design(
        events=slice(start, end),
        rows=rows,
        labels=cohort.labels[start:end],
        event_weights=event_weights,
        bound=bound.reshape(stop - first, layout.width),
    )


def _problem(design: _Design, start: Start) -> _Problem:
    ridge = ridge_of(design.bound.shape[1], start.ridge)
    return _Problem(design, start.of(design.events), ridge, design.bound + ridge)


def ridge_of(width: int, ridge: float) -> Floats:
    """Give the ridge of each effect, float64 [width]: the intercept's is smaller."""
    found = np.full(width, ridge)
    found[0] = min(INTERCEPT_RIDGE, ridge)
    return found


def _minimise(problem: _Problem, iterations: int, tolerance: float) -> Floats:
    """Accelerated descent in the metric of ``curvature`` (O'Donoghue, Candès 2015)."""
    design, shape = problem.design, problem.curvature.shape
    weights, ahead = np.zeros(shape), np.zeros(shape)
    age = np.ones(shape[0])
    for _ in range(iterations):
        # ±50: within 2e-22 of 0 or 1 already; exp overflows beyond 709.
        probability = 1 / (1 + np.exp(-np.clip(problem.fixed + design.rows.dot(ahead.ravel()), -50, 50)))
        residual = design.event_weights * (probability - design.labels)
        gradient = design.rows.add_up(residual).reshape(shape) + problem.ridge * ahead
        moved = ahead - gradient / problem.curvature
        step = moved - weights
        # Momentum that goes uphill is dropped, hospital by hospital: they share the loop only.
        restart = np.einsum("hd,hd->h", gradient, step) > 0
        # Nesterov's t ← (1 + √(1 + 4t²))/2, begun anew where momentum is dropped.
        older = np.where(restart, 1.0, (1 + np.sqrt(1 + 4 * age**2)) / 2)
        ahead = moved + ((age - 1) / older * ~restart)[:, None] * step
        weights, age = moved, older
        if np.abs(step, out=step).max(initial=0.0) < tolerance:
            break
    return weights
