"""What one hospital puts into a secure sum before it is masked: its clipped sum on the grid, and its share of noise."""

from collections.abc import Sequence

import numpy as np

from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum.discrete_gaussian import discrete_gaussian
from wardround.protocol.secure_sum.grid import Grid, encode_sum


def noised_integers(sums: Floats, grid: Grid, variance: int, streams: Sequence[Keystream]) -> Integers:
    """Encode each hospital's sum and add N_Z(0, variance): float64 [H, D] -> int64 [H, D].

    Row h draws from ``streams[h]`` alone, so a row of a batch equals the same row done by itself, bit for bit. A row
    that is not finite counts as zeros, as in ``mechanism.add_noise``. ValueError where the number of streams is not
    that of rows, or one stream stands twice.
    """
    distinct = len({id(stream) for stream in streams})
    if sums.ndim != 2 or len(streams) != len(sums) or distinct != len(sums):
        raise ValueError(f"sums {list(sums.shape)} with {distinct} streams: each row needs one of its own")
    finite = np.isfinite(sums).all(axis=1, keepdims=True)
    noised = encode_sum(np.where(finite, sums, 0.0), grid)
    for row, stream in zip(noised, streams, strict=True):
        row += discrete_gaussian(stream, variance, len(row))
    return noised
