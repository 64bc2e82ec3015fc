"""Memory that a storm of callers took goes back to the system once it has passed.

A dropped request leaves cycles of Python's objects, too few for Python to look for them by itself, and glibc keeps
what was freed between blocks that are still used: a storm of five seconds would leave its peak behind for good.
"""

import ctypes
import gc
from asyncio import AbstractEventLoop

PAUSE_SECONDS = 2.0  # after a line was lost; one collection stands for all lines lost meanwhile
AT_ONCE_BYTES = 2**23
"""Of bodies that may still be in memory: a few of the largest, or many of a hundred hospitals'."""
_waiting: set[AbstractEventLoop] = set()


def give_back() -> None:
    """Collect cycles, and let glibc return free pages; other C libraries do so by themselves, or cannot."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def give_back_soon(loop: AbstractEventLoop) -> None:
    """Give memory back in PAUSE_SECONDS, once for all calls until then."""
    if loop not in _waiting:
        _waiting.add(loop)
        loop.call_later(PAUSE_SECONDS, _now, loop)


class Bodies:
    """Large bodies of requests that are over. Looking for cycles takes some 0.1 s: not after each of a hundred."""

    def __init__(self) -> None:
        """None was read yet."""
        self._bytes = 0

    def over(self, size: int, loop: AbstractEventLoop) -> None:
        """Give memory back: at once after AT_ONCE_BYTES of bodies, else in PAUSE_SECONDS."""
        self._bytes += size
        if self._bytes < AT_ONCE_BYTES:
            give_back_soon(loop)
            return
        self._bytes = 0
        give_back()


def _now(loop: AbstractEventLoop) -> None:
    _waiting.discard(loop)
    give_back()
