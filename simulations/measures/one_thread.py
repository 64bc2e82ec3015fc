"""Libraries that compute in one thread: their threads wait for each other where other work wants the processors."""

from contextlib import AbstractContextManager
from typing import Literal


def one_thread(library: Literal["blas", "openmp"]) -> AbstractContextManager[object]:
    """Hold BLAS, or OpenMP (scikit-learn), to one thread within the context.

    A thread that waits spins: eigenvectors of 555 columns take 0.03 s in one thread, and 1.5 s in two on a busy
    machine. Besides, sums of several threads have other last bits than those of one.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api=library)
    return limits
