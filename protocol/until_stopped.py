"""A loop that ends with a signal, or with the process that started it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def until_stopped() -> Iterator[Callable[[float], bool]]:
    """Give a function that sleeps so many seconds, and says whether to end.

    True, at once, after SIGTERM or SIGINT; or once the process that started this one is gone.
    """
    stop, parent = threading.Event(), os.getppid()
    before = {one: signal.signal(one, lambda *_: stop.set()) for one in (signal.SIGTERM, signal.SIGINT)}

    def wait(seconds: float) -> bool:
        return stop.wait(seconds) or os.getppid() != parent

    try:
        yield wait
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
