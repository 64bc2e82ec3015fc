"""One pass for everybody: patients' values decide neither how much is computed nor, as far as may be, how fast.

An operator chooses the weights, and so which kind of patient has a gradient that is not finite, or numbers so small
that the processor takes a hundred times as long for them. 0.1.0 computed a part again without the former (37 ms became
57), and slowed down for the latter. docs/privacy.md, "Time as a channel", says what is closed and what is not.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from wardround.protocol.arrays import Booleans, EitherFloats


def blank(rows: EitherFloats, kept: Booleans) -> None:
    """Set rows that are not kept to zero, in place; float32 or float64 [rows] or [rows, b], bool [rows].

    By masks of bits over all rows alike: a product with zero would leave NaN, and a selection takes time by what it
    selects.
    """
    bits = rows.view(np.dtype(f"i{rows.itemsize}"))
    mask = -kept.astype(bits.dtype)  # -1 is all ones, 0 all zeros
    np.bitwise_and(bits, mask.reshape(-1, *(1,) * (rows.ndim - 1)), out=bits)


@contextmanager
def no_denormals() -> Iterator[None]:
    """Take numbers below the normal range (1.2e-38 in float32, 2.2e-308 in float64) for zero, in this thread.

    They cost a hundred times a normal number (a product of 2,000 × 64 with 64 × 64: 0.15 ms became 57 ms). Threads of
    BLAS are not reached: the agent computes with one (``client.main``). Imports torch, which can set the processor so.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
