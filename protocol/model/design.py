"""Events as rows of a sparse design: which columns are active, and with what value.

A row is ``[intercept = 1 | one-hot features | one-hot crosses | one-hot groups | ranged values]``: the columns
of ``Layout``. One active column per field makes a row as short as the number of fields, whatever the width.
"""

from typing import Protocol

import numpy as np
import scipy.sparse as sparse

from wardround.protocol.arrays import Floats, Floats32, Integers, Integers32
from wardround.protocol.contract.layout import Coarse, Layout


class Events(Protocol):
    """What a model reads of events: binned features and ranged values, as in ``client.cohort.Cohort``."""

    @property
    def bins(self) -> Integers32:
        """int32 [events, features], each within its field's size."""

    @property
    def values(self) -> Floats32:
        """float32 [events, ranged], in [-1, 1]."""


def active_columns(layout: Layout, events: Events) -> Integers32:
    """int32 [events, 1 + fields + ranged]: each row's active columns of the design, ascending."""
    features, crosses, ranged = len(layout.features), len(layout.crosses), len(layout.values)
    columns = np.empty((len(events.bins), 1 + len(layout.fields) + ranged), np.int32)
    columns[:, 0] = 0
    offsets = np.array(layout.offsets, np.int32)
    np.add(events.bins, offsets[:features], out=columns[:, 1 : 1 + features])
    position = {field.name: index for index, field in enumerate(layout.features)}
    for index, cross in enumerate(layout.crosses):
        first, second = (position[parent] for parent in cross.parents)
        bins = events.bins[:, first] * np.int32(layout.features[second].size) + events.bins[:, second]
        columns[:, 1 + features + index] = bins + offsets[features + index]
    for index, coarse in enumerate(layout.coarse, features + crosses):
        groups = np.array(coarse.bins, np.int32)
        columns[:, 1 + index] = groups[events.bins[:, position[coarse.of.name]]] + offsets[index]
    columns[:, 1 + len(layout.fields) :] = np.arange(layout.width - ranged, layout.width)
    return columns


def active_main_columns(layout: Layout, events: Events) -> Integers32:
    """int32 [events, features + ranged]: active columns among ``layout.main_width``, ascending."""
    features, ranged = len(layout.features), len(layout.values)
    columns = np.empty((len(events.bins), features + ranged), np.int32)
    # Hidden layers read no intercept: every main column stands one place earlier than in the design.
    offsets = np.array(layout.offsets[:features], np.int32) - np.int32(1)
    np.add(events.bins, offsets, out=columns[:, :features])
    columns[:, features:] = np.arange(layout.main_width - ranged, layout.main_width)
    return columns


def active_entries(columns: Integers32, values: Floats32, scale: Floats) -> Floats:
    """float64, of the shape of ``columns``: one (or the ranged value) times the column's public scale."""
    entries = scale[columns]
    if values.shape[1]:
        entries[:, -values.shape[1] :] *= values
    return entries


def group_sums(coarse: Coarse, of_bins: Floats) -> Floats:
    """Add up what a feature's bins have, by group: float64 [groups] of float64 [bins]."""
    sums = np.zeros(coarse.size)
    np.add.at(sums, np.array(coarse.bins), of_bins)
    return sums


def sparse_rows(columns: Integers | Integers32, entries: Floats, width: int) -> sparse.csr_matrix:
    """Rows of active columns as a CSR matrix [events, width]; shares memory with its arguments."""
    rows, active = columns.shape
    starts = np.arange(rows + 1, dtype=np.int64) * active
    # SciPy copies index arrays of two types to the wider one; 32 bits are half the memory while they suffice.
    index = np.int32 if max(width, rows * active) < 2**31 else np.int64
    parts = (entries.ravel(), columns.ravel().astype(index, copy=False), starts.astype(index))
    return sparse.csr_matrix(parts, shape=(rows, width), copy=False)


def dense_rows(layout: Layout, events: Events) -> Floats:
    """float64 [events, width]: the same design, dense and unscaled, as ``build_module`` takes it."""
    columns = active_columns(layout, events)
    rows = np.zeros((len(columns), layout.width))
    np.put_along_axis(rows, columns, active_entries(columns, events.values, np.ones(layout.width)), axis=1)
    return rows
