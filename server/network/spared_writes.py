"""What Flower's SuperLink writes at nearly every call though nothing has happened: done seldom, or left out.

Flower 1.42 looks for expired tasks whenever a run's status is asked for, and adds the bytes of each part to its run's
own. Each is a transaction that writes, and SQLite lets one write at a time: with a hundred hospitals a fifth of the
SuperLink's processor time, and as often the cause that somebody else's call waited.
"""

import time
from collections.abc import Callable
from typing import Any

SECONDS = 1.0
"""How long a task that has expired may go unnoticed: heartbeats give it far longer."""


def spare_writes(state: Any, clock: Callable[[], float] = time.monotonic) -> None:
    """Have this class of LinkStates look for expired tasks at most every SECONDS, and count no bytes.

    clock: never goes back. A look that fails is made again at the next call. Any thread may call.
    """
    look = state._cleanup_expired_task_tokens
    looked = float("-inf")

    def seldom(self: Any) -> None:
        nonlocal looked
        now = clock()
        if now - looked >= SECONDS:
            look(self)
            looked = now

    def uncounted(self: Any, run_id: int, *, bytes_sent: int, bytes_recv: int) -> None:
        """Count nothing: no page, metric or command here reads it."""

    state._cleanup_expired_task_tokens, state.store_traffic = seldom, uncounted
