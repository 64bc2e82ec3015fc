"""What Flower's SuperLink writes and reads at nearly every call though nothing has happened: done seldom, or left out.

Flower 1.42 looks for expired tasks whenever a run's status is asked for, and adds the bytes of each part to its run's
own. Each is a transaction that writes, and SQLite lets one write at a time: with a hundred hospitals a fifth of the
SuperLink's processor time, and as often the cause that somebody else's call waited. And it reads the run's status
before each part of a message: another twelfth.
"""

import time
from collections.abc import Callable, Sequence
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


def spare_looks_at_runs(handlers: Any, state: Any, clock: Callable[[], float] = time.monotonic) -> None:
    """Have Flower's module of Fleet handlers ask for SECONDS after one look no more whether a run goes on.

    state: Flower's class of LinkStates. A run that is stopped, or ends, is looked at again at once, and each time: a
    SuperNode that fetches its message is told so, and drops it (``tests/client/network/test_left_behind.py``).
    """
    check_abort, finish_task = handlers.check_abort, state.finish_task
    goes_on: dict[tuple[int, tuple[str, ...]], float] = {}

    def seldom(run_id: int, abort_status_list: Sequence[str], state: Any) -> str | None:
        now, asked = clock(), (run_id, tuple(abort_status_list))
        if now - goes_on.get(asked, float("-inf")) < SECONDS:
            return None
        found: str | None = check_abort(run_id, abort_status_list, state)
        if found is None:
            goes_on[asked] = now
        return found

    def finish(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return finish_task(self, *arguments, **named)
        finally:
            goes_on.clear()

    handlers.check_abort, state.finish_task = seldom, finish
