"""A design's rows as the product of two sparse factors, for descents that pass over all events again and again.

Events of one hospital that agree in some features share that part of their rows. So a row is a sum of a few parts,
and a product with all rows is one with the parts, of which there are far fewer than events, and one that adds up each
event's. Which features go together is chosen where it saves the most multiplications, on a sample of the events; the
choice moves sums by rounding alone (``test_joined_rows_are_the_design``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix, vstack

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats, Floats32, Integers, Integers32
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import active_columns, sparse_rows

_SAMPLE = 4_000
"""Events on which features are grouped: some milliseconds, and the groups of all events."""
_SPARSE = 8
"""Codes are numbered by a table of at most so many places for each event, by sorting beyond that."""


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """Unscaled design of consecutive hospitals, a block of columns for each: members · parts, [events, H·D].

    members: float64 [events, parts], one for each part of an event, or its ranged value. parts: [parts, H·D], ones.
    """

    members: csr_matrix
    parts: csr_matrix

    def dot(self, effects: Floats) -> Floats:
        """Each event's row times effects float64 [H·D]: [events]."""
        return np.asarray(self.members @ (self.parts @ effects))

    def add_up(self, amounts: Floats) -> Floats:
        """Sum of the rows, each times its event's amount, float64 [events]: [H·D]."""
        of_members, of_parts = self._transposed
        return np.asarray(of_parts @ (of_members @ amounts))

    def add_up_sizes(self, amounts: Floats) -> Floats:
        """Sum of each event's amount times |x_j| Σ_k |x_k|, for every column j of its row x: float64 [H·D]."""
        sizes = JoinedRows(np.abs(self.members), self.parts)
        return sizes.add_up(amounts * sizes.dot(np.ones(self.parts.shape[1])))

    @cached_property
    def _transposed(self) -> tuple[csc_matrix, csc_matrix]:
        return self.members.T, self.parts.T


def joined_rows(layout: Layout, cohort: Cohort, first: int, stop: int) -> JoinedRows:
    """Give the design of hospitals first:stop, as ``ridge.design_matrix`` has it in one matrix."""
    start, end = (int(place) for place in cohort.events_from[cohort.patients_from[[first, stop]]])
    hospital = cohort.hospital_of_patient[cohort.patient_of_event[start:end]] - first
    events = _Events(cohort.bins[start:end], cohort.values[start:end], hospital, stop - first)
    codes, parts, total = [], [], 0
    for group in _grouped(layout, events.sample()):
        code, count = _numbered(layout, events, group.features)
        codes.append(code + total)
        parts.append(_rows_of(layout, events, group, code, count))
        total += count
    ranged = events.values.shape[1]
    # Each hospital's ranged values are parts of their own, which an event has as often as its value says.
    codes += [total + hospital * ranged + index for index in range(ranged)]
    own = np.arange(events.hospitals)[:, None] * layout.width + np.arange(layout.width - ranged, layout.width)
    parts.append(sparse_rows(own.reshape(-1, 1), np.ones(own.size), events.hospitals * layout.width))
    entries = np.ones((end - start, len(codes)))
    entries[:, len(codes) - ranged :] = events.values
    members = sparse_rows(np.stack(codes, axis=1), entries, total + own.size)
    return JoinedRows(members, vstack(parts, format="csr"))


@dataclass(frozen=True, eq=False)
class _Events:
    """Events of ``hospitals`` hospitals; hospital: int64 [events], the place of each event's."""

    bins: Integers32
    values: Floats32
    hospital: Integers
    hospitals: int

    def sample(self) -> "_Events":
        return self.at(slice(_SAMPLE))

    def at(self, events: slice | Integers) -> "_Events":
        return _Events(self.bins[events], self.values[events], self.hospital[events], self.hospitals)


@dataclass(frozen=True)
class _Group:
    """Columns of ``active_columns`` that are one part of a row; features decide what stands in them."""

    columns: tuple[int, ...]
    features: frozenset[int]


def _grouped(layout: Layout, sample: _Events) -> list[_Group]:
    """Put each column into the group where it costs the fewest entries, or into a new one."""
    groups: list[_Group] = []
    counts: list[int] = []
    for column, needed in enumerate(_deciding(layout)):
        cheapest, place, joined = len(sample.hospital), len(groups), _Group((column,), needed)
        for index, group in enumerate(groups):
            wider = _Group((*group.columns, column), group.features | needed)
            same = wider.features == group.features
            count = counts[index] if same else _numbered(layout, sample, wider.features)[1]
            cost = count * len(wider.columns) - counts[index] * len(group.columns)
            if cost < cheapest:
                cheapest, place, joined = cost, index, wider
        groups[place : place + 1] = [joined]
        counts[place : place + 1] = [_numbered(layout, sample, joined.features)[1]]
    return groups


def _deciding(layout: Layout) -> Iterator[frozenset[int]]:
    """Say for each column of bins which features decide it: none for the intercept, two for a cross."""
    position = {field.name: index for index, field in enumerate(layout.features)}
    yield frozenset()
    for index in range(len(layout.features)):
        yield frozenset([index])
    for cross in layout.crosses:
        yield frozenset(position[parent] for parent in cross.parents)
    for coarse in layout.coarse:
        yield frozenset([position[coarse.of.name]])


def _numbered(layout: Layout, events: _Events, features: frozenset[int]) -> tuple[Integers, int]:
    """Number what stands in these features, by hospital: int64 [events] codes without gaps, and how many there are."""
    code, places = events.hospital, events.hospitals
    for index in sorted(features):
        size = layout.features[index].size
        if places * size > _SPARSE * len(code):
            code, places = _without_gaps(code, places)
        code, places = code * size + events.bins[:, index], places * size
    return _without_gaps(code, places)


def _without_gaps(code: Integers, places: int) -> tuple[Integers, int]:
    if places > _SPARSE * len(code):
        found, code = np.unique(code, return_inverse=True)
        return code, len(found)
    seen = np.zeros(places, np.bool_)
    seen[code] = True
    return (np.cumsum(seen) - 1)[code], int(np.count_nonzero(seen))


def _rows_of(layout: Layout, events: _Events, group: _Group, code: Integers, count: int) -> csr_matrix:
    """Give the columns that are one in each of a group's parts, [parts, H·D]; any event of the part tells them."""
    teller = np.zeros(count, np.int64)
    teller[code] = np.arange(len(code))
    told = events.at(teller)
    columns = active_columns(layout, told)[:, group.columns] + (told.hospital * layout.width)[:, None]
    return sparse_rows(columns, np.ones(columns.shape), events.hospitals * layout.width)
