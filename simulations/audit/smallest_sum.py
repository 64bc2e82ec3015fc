"""The smallest sum that a lying server can obtain, as a flow: what the accounting's formula is checked by.

Nothing here is shared with ``protocol.secure_sum.thresholds``, whose m the noise is made for. An audit attacks the sum
of as many honest hospitals as this finds: were the formula's m too large, it would refute the stated ε.
"""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow


def smallest_honest_set(hospitals: int, colluding: int, threshold: int) -> int:
    """Give the fewest honest members in a sum that opens, whatever survivors each of them is told.

    A member is kept out of the sum where its slot key can be put together: ``threshold`` members count it as gone,
    helpers among them. Each honest member counts as gone whom it is told, at most ``hospitals - threshold``.
    """
    honest = hospitals - colluding
    low, high = 0, honest  # members that can be kept out; of fewer than can, all can
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if _can_exclude(middle, honest, hospitals, threshold) else (low, middle - 1)
        )
    return honest - low


def _can_exclude(excluded: int, honest: int, hospitals: int, threshold: int) -> bool:
    """Whether so many honest members can be kept out of one sum: each needs the voices that helpers do not give.

    A flow from a source over honest members (as many voices as they have) and excluded ones (one voice from each
    honest member) to a sink (the voices needed).
    """
    needed = threshold - (hospitals - honest)
    source, sink = 0, 1 + honest + excluded
    voters, gone = 1 + np.arange(honest), 1 + honest + np.arange(excluded)
    edges = [
        (np.full(honest, source), voters, np.full(honest, hospitals - threshold)),
        (np.repeat(voters, excluded), np.tile(gone, honest), np.ones(honest * excluded)),
        (gone, np.full(excluded, sink), np.full(excluded, needed)),
    ]
    starts, ends, voices = (np.concatenate(part) for part in zip(*edges, strict=True))
    graph = csr_array((voices.astype(np.int32), (starts, ends)), shape=(sink + 1, sink + 1))
    return bool(maximum_flow(graph, source, sink).flow_value == excluded * needed)
