"""The agent's one worker: which request is answered next, once for all who sent the same bytes."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from wardround.protocol.wire.opening import OPENING_BYTES

logger = logging.getLogger("wardround.hospital")

BYTES_PER_SECOND = 4 * 2**20
"""How far a large request stands behind a small one: so many bytes count as one second of waiting."""

T = TypeVar("T")


@dataclass(eq=False)
class PendingRequest(Generic[T]):
    """One request's bytes, who waits for its answer, and its place in the line (smaller is earlier).

    arrived: monotonic seconds of the last byte of whoever brought it first.
    """

    payload: bytes = field(repr=False)
    arrived: float
    place: float
    answer: asyncio.Future[T] = field(repr=False)
    waiting: int = 0
    begun: bool = False


class Worker(Generic[T]):
    """Answers one request at a time, in a thread; who waits may leave at any time.

    Guarantees: equal bytes that wait at the same time are computed once; what is not begun and nobody waits for
    is dropped; a small request is not kept by large ones that came before it, nor a large one for ever.
    """

    def __init__(self, answer: Callable[[bytes], T], busy: Callable[[bool], None]) -> None:
        """answer: called in the worker's thread; must not raise. busy: told when an answer is begun, and done."""
        self._answer, self._tell = answer, busy
        self._thread = ThreadPoolExecutor(1, "answer")
        self._jobs: dict[bytes, list[PendingRequest[T]]] = {}
        self._busy = False

    def bring(self, payload: bytes) -> PendingRequest[T]:
        """Stand in line for an answer; ``leave`` when it is there, or no longer wanted."""
        same = self._jobs.setdefault(payload[:OPENING_BYTES], [])
        # Whole bytes are compared: a stranger who knows an opening must not be answered in another's place.
        job = next((job for job in same if job.payload == payload), None)
        if job is None:
            answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            arrived = time.monotonic()
            job = PendingRequest(payload, arrived, arrived + len(payload) / BYTES_PER_SECOND, answer)
            same.append(job)
        job.waiting += 1
        self._next()
        return job

    def leave(self, job: PendingRequest[T]) -> None:
        """Wait no longer; what is not begun is dropped with the last who waited."""
        job.waiting -= 1
        if not job.waiting and not job.begun:
            self._remove(job)

    def close(self) -> None:
        """Wait for the answer that is being computed, and begin no other."""
        self._jobs.clear()
        self._thread.shutdown(wait=True)

    def _next(self) -> None:
        line = [job for same in self._jobs.values() for job in same if not job.begun]
        if self._busy or not line:
            return
        job = min(line, key=lambda job: job.place)
        self._busy = job.begun = True
        self._tell(True)
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._answer, job.payload)
        done.add_done_callback(lambda done: self._answered(job, done))

    def _answered(self, job: PendingRequest[T], done: asyncio.Future[T]) -> None:
        self._busy = False
        self._tell(False)
        self._remove(job)
        job.payload = b""  # who waits for the reply's time need not keep 64 MiB
        if job.waiting and not job.answer.done() and not done.cancelled():
            failed = done.exception()
            if failed is None:
                job.answer.set_result(done.result())
            else:  # a panic of native code is no Exception, and passes by who answers: late, as if the line broke
                logger.error("no answer (%s)", type(failed).__name__)
                job.answer.set_exception(EOFError())
        self._next()

    def _remove(self, job: PendingRequest[T]) -> None:
        same = self._jobs.get(job.payload[:OPENING_BYTES], [])
        if job in same:
            same.remove(job)
        if not same:
            self._jobs.pop(job.payload[:OPENING_BYTES], None)
