"""Places at the server's port: how much all callers together, and one caller alone, may have under way.

A request takes its place before its body is read and keeps it until its answer has left. A heavy request (a body
beyond ``SMALL_BODY``, or one whose answer may be large) holds the only heavy place of its caller. Heavy bodies of
all callers together stay below ``bytes_at_once``. Whoever finds no place waits, with nothing read; whoever has
waited too long is answered "busy", which Flower's SuperNode repeats later.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

SMALL_BODY = 2**16
LIGHT_PLACES = 8  # requests of one caller at once; a SuperNode has at most four under way
MOST_WAITING = 32  # requests of one caller in line; the next is turned away at once
WAIT_SECONDS = 60.0


class Busy(Exception):
    """No place was free for too long."""


@dataclass
class _Caller:
    heavy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    light: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LIGHT_PLACES))
    waiting: int = 0


class Places:
    """The places of one port. Callers are enrolled keys, so there are as many as hospitals."""

    def __init__(self, bytes_at_once: int) -> None:
        """bytes_at_once: of bodies, over all callers; at least the largest body."""
        self._callers: dict[bytes, _Caller] = {}
        self._left = bytes_at_once
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, caller: bytes, size: int, heavy: bool) -> AsyncIterator[None]:
        """Hold a place for a body of ``size`` bytes; Busy where none came free in WAIT_SECONDS."""
        one = self._callers.setdefault(caller, _Caller())
        # The caller's own place first: who waits for it holds no bytes that other hospitals could use.
        gate = one.heavy if heavy or size > SMALL_BODY else one.light
        if one.waiting >= MOST_WAITING:
            raise Busy
        one.waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await gate.acquire()
        except TimeoutError as error:
            raise Busy from error
        finally:
            one.waiting -= 1
        try:
            async with self._bytes(size):
                yield
        finally:
            gate.release()

    @asynccontextmanager
    async def _bytes(self, size: int) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._freed:
                await self._freed.wait_for(lambda: self._left >= size)
                self._left -= size
        except TimeoutError as error:
            raise Busy from error
        try:
            yield
        finally:
            self._left += size
            async with self._freed:
                self._freed.notify_all()
