"""Who computes: one answer at a time, and what the time of a turn tells whoever waits for the next."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from wardround.client.agent.socket_door import due_at


class Turns:
    """One lock. A turn in which tables were read lasts a whole multiple of the policy's least delay."""

    def __init__(self) -> None:
        """Nobody computes yet."""
        self._lock = Lock()
        self._delay_seconds = 0.0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for the turn, and hold it to its end."""
        with self._lock:
            taken, self._delay_seconds = time.monotonic(), 0.0
            try:
                yield
            finally:
                end = due_at(taken, time.monotonic(), self._delay_seconds)
                time.sleep(max(end - time.monotonic(), 0.0))

    def reads_tables(self, delay_seconds: float) -> None:
        """Say, within a turn, that it now depends on tables: it ends at a multiple of the delay.

        Else a second request, sent while a round is computed, would come to its turn as soon as that is done,
        and its reply, at whole delays from its *own* arrival, would tell when; twenty such tell it to a tenth.
        """
        self._delay_seconds = delay_seconds
