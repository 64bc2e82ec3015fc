"""Products in which a row's result is that row's alone, bit for bit, whichever rows stand beside it.

BLAS chooses its way by the product's shape, and treats the last rows otherwise: with one more patient in a table the
same row came out another in its last bit. Weights whose parts cancel blow that up to a whole gradient, or to another
score: one patient then moves what others contribute (rule 1; tests/client/train/test_rounding.py).
"""

import numpy as np

from wardround.protocol.arrays import EitherFloats

_TILE = 64


def rows_times(rows: EitherFloats, matrix: EitherFloats) -> EitherFloats:
    """[rows, a] and [a, b] -> [rows, b], in tiles of one shape; as fast as one product."""
    count, width = rows.shape
    padded = np.zeros((-(-count // _TILE) * _TILE, width), rows.dtype)
    padded[:count] = rows
    tiles = padded.reshape(-1, _TILE, width)
    # As it lies in memory: NumPy multiplies a stack by a turned matrix without BLAS, and slowly.
    return np.asarray(
        np.matmul(tiles, np.ascontiguousarray(matrix)).reshape(len(padded), matrix.shape[1])[:count]
    )


def rows_dot(rows: EitherFloats, vector: EitherFloats) -> EitherFloats:
    """[rows, a] and [a] -> [rows], without BLAS."""
    # einsum calls BLAS only where `optimize` is set, and is not by default.
    return np.asarray(np.einsum("ij,j->i", rows, vector))
