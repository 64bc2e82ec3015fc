"""What a cohort's design fixes once for all rounds: sparse rows, and inner products within each patient.

The norm of a patient's gradient needs no gradient: for one linear layer it is
``sum_ij (x_i·x_j)(d_i·d_j)`` over pairs of that patient's events, x the layer's inputs and d its output
gradients (Goodfellow 2015, "Efficient per-example gradient computations"; Li et al. 2022, "Large language
models can be strong differentially private learners", ghost clipping). The x_i·x_j of the first layer
never change, so they are computed here, once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sparse
from numpy.typing import DTypeLike

from wardround.client.cohort import Cohort
from wardround.client.train.segments import Segments
from wardround.protocol.arrays import Booleans, Floats, Floats32, Integers, Integers32
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import active_columns, active_entries, active_main_columns, sparse_rows
from wardround.protocol.model.interactions import active_cells, cell_count, cell_scale
from wardround.protocol.model.model import column_scale, main_scale
from wardround.protocol.model.precondition import Preconditioner
from wardround.protocol.terms.settings import ModelSettings

MEMORY_BYTES = 1 << 31
_EVENTS_AT_ONCE = 1 << 18
_MEASURED_BYTES = 128  # of an event whose inner products are kept twice
_DENSE_EVENTS_AT_ONCE = 1 << 13  # hidden activations of one part should stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of events of one patient, nearest first: lag t pairs event i with event i + t.

    first: int64 [pairs], the earlier event. lag_from: int64 [lags + 1], where lag t + 1 begins.
    """

    first: Integers
    lag_from: Integers

    @property
    def second(self) -> Integers:
        """int64 [pairs], the later event."""
        return self.first + np.repeat(np.arange(1, len(self.lag_from)), np.diff(self.lag_from))


@dataclass(frozen=True, eq=False)
class Rows:
    """Sparse inputs of a first layer, and their inner products within each patient.

    block: [events, hospitals * width], each hospital in columns of its own. shared: [events, width], the
    same with columns in common (the same object where there is one hospital; None where a copy of the
    weights per hospital is cheap, as for a vector). squares: float64 [events], x_i·x_i. products: float64
    [pairs], x_i·x_j. gram: [events, events], squares on the diagonal and twice the products above it.
    bounds: float64 [events], at least squares: squared norms in which rounding errors of a patient's norm, and of the
    sum, are measured. active: so many products make an inner product.

    Where gradients are preconditioned (``protocol.model.precondition``), inner products are those of M x; the blocks
    hold x, and M is applied to a hospital's sum.
    """

    block: sparse.csr_matrix
    shared: sparse.csr_matrix | None
    squares: Floats
    products: Floats
    gram: sparse.csr_matrix
    bounds: Floats
    active: int

    def dot(self, vectors: Floats) -> Floats:
        """Each row times its hospital's vector: [1 or hospitals, width] -> float64 [events]."""
        hospitals = self.block.shape[1] // vectors.shape[1]
        return np.asarray(self.block @ np.broadcast_to(vectors, (hospitals, vectors.shape[1])).ravel())


@dataclass(frozen=True, eq=False)
class Prepared:
    """Patients of consecutive hospitals (``hospitals``: first and one past the last), ready for every round.

    patients_from: the cohort's indices of this part's first patient and one past its last. shares:
    float64 [events], ``Cohort.event_shares``: they make the loss a per-patient mean, weighted where events weigh.
    """

    hospitals: tuple[int, int]
    patients_from: tuple[int, int]
    segments: Segments
    owners: Integers
    labels: Floats
    shares: Floats
    pairs: Pairs
    linear: Rows | None
    main: Rows | None
    cells: Rows | None = None

    @property
    def patient_count(self) -> int:
        """Patients in this part."""
        return self.patients_from[1] - self.patients_from[0]

    @cached_property
    def event_counts(self) -> Integers:
        """int64 [patients], events of each in this part."""
        return np.bincount(self.owners, minlength=self.patient_count)

    def per_patient(self, terms: Floats) -> Floats:
        """Sum over each patient's events: float64 [events] -> float64 [patients]."""
        return np.bincount(self.owners, terms, self.patient_count).astype(np.float64, copy=False)

    def keep(self, chosen: Booleans) -> "Prepared":
        """Leave out the events of patients who are not ``chosen`` (bool [patients]); indices stay."""
        if chosen.all():
            return self
        kept = chosen[self.owners]
        position = np.cumsum(kept) - 1
        in_pair = kept[self.pairs.first]
        lag_from = np.concatenate([[0], np.cumsum(in_pair)])[self.pairs.lag_from]
        pairs = Pairs(position[self.pairs.first[in_pair]], lag_from)
        return replace(
            self,
            segments=Segments(np.concatenate([[0], np.cumsum(kept)])[self.segments.starts]),
            owners=self.owners[kept],
            labels=self.labels[kept],
            shares=self.shares[kept],
            pairs=pairs,
            linear=_keep_rows(self.linear, kept, in_pair, pairs),
            main=_keep_rows(self.main, kept, in_pair, pairs),
            cells=_keep_rows(self.cells, kept, in_pair, pairs),
        )


# Weak: what is kept goes with the cohort, and no patient stays in memory for the cache's sake.
_parts_of_cohort: "WeakKeyDictionary[Cohort, dict[object, list[Prepared]]]" = WeakKeyDictionary()


def cached_parts(
    model: ModelSettings,
    layout: Layout,
    cohort: Cohort,
    dtype: DTypeLike = np.float64,
    memory_bytes: int = MEMORY_BYTES,
    precondition: Preconditioner | None = None,
) -> Iterator[Prepared]:
    """Walk a cohort in parts whose work fits in ``memory_bytes``; parts that fit are kept for the next round.

    A part may hold many hospitals or some patients of a large one. Where all parts and the work on one of
    them fit, they are kept for as long as the cohort itself and found again next round (a cohort's arrays are
    never changed); otherwise each is built, used and dropped.
    """
    of = (model, layout, np.dtype(dtype).str if model.hidden else "", memory_bytes)
    key, plain = (*of, precondition), (*of, None)
    known = _parts_of_cohort.setdefault(cohort, {})
    held, working = _bytes_per_event(model, layout)
    if key not in known and plain in known and precondition is not None:
        # Preconditioned parts differ in inner products alone. Where there is no room for both, the plain ones go.
        both = (held + _MEASURED_BYTES) * cohort.event_count <= memory_bytes // 2
        parts_known = known[plain]
        known.clear()
        known.update({plain: parts_known} if both else {})
        known[key] = [_preconditioned(part, precondition, layout) for part in parts_known]
    if key in known:
        yield from known[key]
        return
    fitting = max(memory_bytes // 2 // (held + working), 1)
    at_once = min(fitting, _DENSE_EVENTS_AT_ONCE if model.hidden else _EVENTS_AT_ONCE)
    bounds = _part_bounds(cohort, at_once)
    parts = (_prepare(model, layout, cohort, dtype, first, last, precondition) for first, last in bounds)
    if held * cohort.event_count + (held + working) * at_once <= memory_bytes:
        kept = list(parts)
        # One set for each cohort: those of another model or type were not counted in memory_bytes.
        known.clear()
        known[key] = kept
        yield from kept
    else:
        yield from parts


def _bytes_per_event(model: ModelSettings, layout: Layout) -> tuple[int, int]:
    """Bytes that one event's design takes, and what a step needs besides."""
    linear = 1 + len(layout.fields) + len(layout.values) if model.structure.linear else 0
    main = len(layout.features) + len(layout.values) if model.hidden else 0
    linear += len(layout.interactions) if model.structure.interactions else 0
    return 12 * linear + 16 * main + 128, 12 * (linear + main) + 24 * sum(model.hidden) + 64


def _part_bounds(cohort: Cohort, events: int) -> list[tuple[int, int]]:
    """Ranges of patients with at most ``events`` events each, or a single patient with more."""
    bounds, first = [], 0
    while first < cohort.patient_count:
        limit = int(cohort.events_from[first]) + events
        last = max(int(np.searchsorted(cohort.events_from, limit, side="right")) - 1, first + 1)
        bounds.append((first, last))
        first = last
    return bounds


def _prepare(
    model: ModelSettings,
    layout: Layout,
    cohort: Cohort,
    dtype: DTypeLike,
    first: int,
    last: int,
    precondition: Preconditioner | None,
) -> Prepared:
    """Prepare patients first:last."""
    part = cohort.take(np.arange(first, last)) if last - first < cohort.patient_count else cohort
    occupied = np.flatnonzero(np.diff(part.patients_from))
    hospitals = (int(occupied[0]), int(occupied[-1]) + 1)
    segments = Segments(part.events_from[part.patients_from[hospitals[0] : hospitals[1] + 1]])
    pairs = _pairs(part)
    values, shares = _finite(part)
    linear = main = cells = None
    if model.structure.linear:
        columns = active_columns(layout, part)
        entries = active_entries(columns, values, column_scale(model, layout))
        linear = _rows(columns, entries, layout.width, segments, pairs, np.float64, keep_shared=False)
    if model.hidden:
        columns = active_main_columns(layout, part)
        entries = active_entries(columns, values, main_scale(model, layout))
        main = _rows(columns, entries, layout.main_width, segments, pairs, dtype)
    if model.structure.interactions:
        columns = active_cells(layout, part)
        entries = np.full(columns.shape, cell_scale(layout))
        cells = _rows(columns, entries, cell_count(layout), segments, pairs, np.float64, keep_shared=False)
    prepared = Prepared(
        hospitals=hospitals,
        patients_from=(first, last),
        segments=segments,
        owners=part.patient_of_event,
        labels=part.labels,
        shares=shares,
        pairs=pairs,
        linear=linear,
        main=main,
        cells=cells,
    )
    return prepared if precondition is None else _preconditioned(prepared, precondition, layout)


def _preconditioned(part: Prepared, precondition: Preconditioner, layout: Layout) -> Prepared:
    """The same part, clipped by the norms of preconditioned gradients; models without a linear part have none."""
    if part.linear is None:
        return part
    return replace(part, linear=_measured(part.linear, precondition, layout.width, part.pairs))


def _finite(cohort: Cohort) -> tuple[Floats32, Floats]:
    """Values [events, ranged] with zeros where they are not finite, and shares [events], NaN for such a patient.

    The gate lets no such value through. If one came, it would spread to others by ``0 * inf``; so that patient's
    gradient is what is not finite, and adds zero.
    """
    finite, shares, owners = np.isfinite(cohort.values), cohort.event_shares, cohort.patient_of_event
    faulty = ~(finite.all(axis=1) & np.isfinite(shares))
    broken = np.bincount(owners, faulty, cohort.patient_count) > 0
    return np.where(finite, cohort.values, np.float32(0)), np.where(broken[owners], np.nan, shares)


def _pairs(cohort: Cohort) -> Pairs:
    """All pairs of events of one patient."""
    later = np.repeat(cohort.events_from[1:], cohort.events_per_patient) - np.arange(cohort.event_count) - 1
    # As many turns as the largest patient has events, each over all patients at once.
    firsts, rows, lag = [], np.flatnonzero(later), 1
    while len(rows):
        firsts.append(rows)
        lag += 1
        rows = rows[later[rows] >= lag]
    lag_from = np.cumsum([0, *(len(rows) for rows in firsts)])
    return Pairs(np.concatenate([np.empty(0, np.int64), *firsts]), lag_from)


def _rows(
    columns: Integers32,
    entries: Floats,
    width: int,
    segments: Segments,
    pairs: Pairs,
    dtype: DTypeLike,
    keep_shared: bool = True,
) -> Rows:
    """Rows from active columns and their entries."""
    first, second = pairs.first, pairs.second
    products = np.zeros(len(first))
    for column, entry in zip(columns.T, entries.T, strict=True):
        column, entry = np.ascontiguousarray(column), np.ascontiguousarray(entry)
        products += (column[first] == column[second]) * (entry[first] * entry[second])
    squares = np.einsum("ij,ij->i", entries, entries)
    shared = sparse_rows(columns, entries.astype(dtype, copy=False), width)
    block = shared
    if segments.count > 1:
        # Indices of four bytes where the columns of all hospitals can be numbered by them.
        wide = np.int32 if segments.count * width < 2**31 else np.int64
        shifts = np.repeat((segments.of_row * width).astype(wide), columns.shape[1])
        parts = (shared.data, shared.indices + shifts, shared.indptr)
        block = sparse.csr_matrix(parts, shape=(len(columns), segments.count * width), copy=False)
    gram = _gram(squares, products, pairs)
    return Rows(block, shared if keep_shared else None, squares, products, gram, squares, columns.shape[1])


def _measured(rows: Rows, precondition: Preconditioner, width: int, pairs: Pairs) -> Rows:
    """The same rows with inner products as their gradients are clipped by: of M x."""
    # As many entries in each row, ascending: block holds what the rows were made of, shifted by hospitals.
    columns = (rows.block.indices.reshape(-1, rows.active) % width).astype(np.int32, copy=False)
    entries = rows.block.data.reshape(-1, rows.active)
    events = np.arange(len(columns))
    squares = precondition.products(columns, entries, events, events)
    products = precondition.products(columns, entries, pairs.first, pairs.second)
    return replace(
        rows,
        squares=squares,
        products=products,
        gram=_gram(squares, products, pairs),
        bounds=precondition.bounds(columns, entries),
        # Sums over the field's columns make what is added up over fields, twice.
        active=rows.active + 2 * precondition.widest,
    )


def _gram(squares: Floats, products: Floats, pairs: Pairs) -> sparse.csr_matrix:
    events = np.arange(len(squares))
    entries = np.concatenate([squares, 2 * products])
    places = (np.concatenate([events, pairs.first]), np.concatenate([events, pairs.second]))
    return sparse.csr_matrix((entries, places), shape=(len(squares), len(squares)))


def _keep_rows(rows: Rows | None, kept: Booleans, in_pair: Booleans, pairs: Pairs) -> Rows | None:
    """The rows of kept events."""
    if rows is None:
        return None
    block = rows.block[kept]
    shared = rows.shared
    if shared is not None:
        shared = block if shared is rows.block else shared[kept]
    squares, products = rows.squares[kept], rows.products[in_pair]
    gram, bounds = _gram(squares, products, pairs), rows.bounds[kept]
    return Rows(block, shared, squares, products, gram, bounds, rows.active)
