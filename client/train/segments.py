"""Matrix products hospital by hospital, for many hospitals at once: no loop over small hospitals.

Events of one hospital stand together. Hospitals of like size (within a quarter) are padded to one length
and multiplied as one batch; one hospital alone needs no padding at all.
"""

from functools import cached_property
from math import log

import numpy as np
import scipy.sparse as sparse

from wardround.protocol.arrays import Booleans, EitherFloats, Integers
from wardround.protocol.privacy.rowwise import rows_times

_SIZE_RATIO = 1.25


class Segments:
    """Rows starts[h]:starts[h + 1] belong to hospital h; a hospital may have none."""

    def __init__(self, starts: Integers) -> None:
        """Take int64 [hospitals + 1], ascending from 0 to the number of rows."""
        self.starts = starts
        self.count = len(starts) - 1
        self.rows = int(starts[-1])

    @cached_property
    def of_row(self) -> Integers:
        """int64 [rows], index of each row's hospital."""
        return np.repeat(np.arange(self.count), np.diff(self.starts))

    @cached_property
    def _size_classes(self) -> list[tuple[Integers, Integers, Booleans]]:
        """Per class: hospitals [h], row numbers [h, n], and which of these are rows and not padding."""
        sizes = np.diff(self.starts)
        occupied = np.flatnonzero(sizes)
        rung = np.ceil(np.log(sizes[occupied]) / log(_SIZE_RATIO)).astype(np.int64)
        classes = []
        for step in np.unique(rung):
            hospitals = occupied[rung == step]
            offsets = np.arange(sizes[hospitals].max())
            real = offsets < sizes[hospitals, np.newaxis]
            # Padding is a neighbour's row, or the last: `real` says what does not count.
            rows = np.minimum(self.starts[hospitals, np.newaxis] + offsets, self.rows - 1)
            classes.append((hospitals, rows, real))
        return classes

    def sums(self, rows: EitherFloats, weights: EitherFloats) -> EitherFloats:
        """Weighted sum of each hospital's rows: [rows, b] and [rows] -> [hospitals, b]."""
        if self.count == 1:
            return np.asarray(weights @ rows)[np.newaxis]
        parts = (weights, np.arange(self.rows), self.starts)
        return np.asarray(sparse.csr_matrix(parts, shape=(self.count, self.rows), copy=False) @ rows)

    def products(self, inputs: EitherFloats, outputs: EitherFloats) -> EitherFloats:
        """``inputs.T @ outputs`` of each hospital: [rows, a] and [rows, b] -> [hospitals, a, b]."""
        if self.count == 1:
            return (inputs.T @ outputs)[np.newaxis]
        result = np.zeros((self.count, inputs.shape[1], outputs.shape[1]), outputs.dtype)
        for hospitals, rows, real in self._size_classes:
            # Zeros in one factor are enough.
            padded = outputs[rows] * real[:, :, np.newaxis]
            result[hospitals] = inputs[rows].transpose(0, 2, 1) @ padded
        return result

    def apply(self, inputs: EitherFloats, matrices: EitherFloats) -> EitherFloats:
        """Each hospital's rows through its own matrix: [rows, a] and [1 or hospitals, a, b] -> [rows, b].

        Guarantee, for one matrix: a row's result is that row's alone, bit for bit.
        """
        if len(matrices) == 1:
            # BLAS rounds a row by what stands beside it: under hostile weights one patient moved a sum by 1.8 clip
            # norms.
            return rows_times(inputs, matrices[0])
        result = np.empty((self.rows, matrices.shape[2]), inputs.dtype)
        for hospitals, rows, real in self._size_classes:
            result[rows[real]] = (inputs[rows] @ matrices[hospitals])[real]
        return result

    def spread(self, vectors: EitherFloats) -> EitherFloats:
        """Give each row its hospital's vector: [1 or hospitals, b] -> [1 or rows, b]."""
        return vectors if len(vectors) == 1 else vectors[self.of_row]
