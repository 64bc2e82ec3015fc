"""The agent's one door: a Unix socket that its group alone can open; one request per connection.

Both ways the bytes come behind their length (uint32, little-endian). A caller is let in at a pace, shows by the
first bytes that an operator signed what follows, sends the rest, waits for its answer and takes it. One user,
the SuperNode's, has all connections, so that nobody can be told from others but by what they do: who is gone
frees its place at once, who keeps still gives way (``client.agent.room``), the smallest is read and answered first
(``client.agent.pace``, ``client.agent.worker``), and whom no operator signed for waits the longer the more of them
there are.
"""

import asyncio
import contextlib
import logging
import math
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from wardround.client.agent.connection import LENGTH, PART, readable, streams, while_here, write
from wardround.client.agent.listening import end_connections, hung_up, let_in, listening_socket
from wardround.client.agent.pace import Pace
from wardround.client.agent.room import Caller, Room, Stage
from wardround.client.agent.worker import PendingRequest, Worker
from wardround.protocol.terms.terms import LONGEST_REPLY_DELAY_SECONDS
from wardround.protocol.wire.envelope import LARGEST_REQUEST
from wardround.protocol.wire.opening import OPENING_BYTES

logger = logging.getLogger("wardround.hospital")

_AT_ONCE = 32  # callers let in between two turns of the loop, and looked at in line; in small rooms fewer
_GLANCE = 0.05  # of a caller: what one costs that is gone when it is let in


@dataclass(frozen=True)
class Reply:
    """Bytes to send (None: hang up without a word), and when: see ``due_at``. ready_at: monotonic seconds."""

    payload: bytes | None = field(repr=False)
    delay_seconds: float = 0.0
    ready_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, kw_only=True)
class DoorLimits:
    """What the door holds at once, and what it does per second.

    still_seconds: how long a caller may neither send nor take a byte; transfer_seconds: how long one message may
    take. callers_per_second and bytes_per_second bound what callers can take of the processors: 64 hostile ones
    of one kind took 0.1 to 0.5 of one, the honest plans between them included. strangers_per_second bounds how
    often those whom no operator signed for are answered, together. share_while_computing: the door goes at this
    share of its rates while an answer is computed (at full rates 64 hostile callers made a plan take twice as long).
    """

    connections: int = 256
    held_bytes: int = 4 * LARGEST_REQUEST
    still_seconds: float = 10.0
    transfer_seconds: float = 60.0
    callers_per_second: float = 400.0
    strangers_per_second: float = 50.0
    bytes_per_second: float = 32 * 2**20
    share_while_computing: float = 0.125


def _nobody_is_refused(first: bytes) -> Reply | None:
    return None


class SocketDoor:
    """Listens, and hands requests to ``answer`` one at a time, in a thread. Neither function may raise.

    screen: refuses by a request's first ``OPENING_BYTES``, or gives None. Whom it refuses is told so when the
    rest was sent, and thrown away: else a caller that still sends would see a broken line, and never the clause.
    """

    def __init__(
        self,
        path: Path,
        answer: Callable[[bytes], Reply],
        limits: DoorLimits | None = None,
        screen: Callable[[bytes], Reply | None] = _nobody_is_refused,
    ) -> None:
        """Name the socket and who answers; nothing listens yet."""
        self._path, self._screen = path, screen
        self._limits = limits = limits or DoorLimits()
        self._room = Room(limits.connections, limits.held_bytes)
        self._at_once = max(min(_AT_ONCE, limits.connections // 4), 1)
        self._worker = Worker(answer, self._busy)
        # A thread of its own: a look at first bytes must not wait for the answer that is being computed.
        self._screener = ThreadPoolExecutor(1, "screen")
        self._letting_in = Pace(limits.callers_per_second, limits.connections)
        self._reading = Pace(limits.bytes_per_second, 2 * LARGEST_REQUEST)
        self._numbers = count()
        self._open: set[asyncio.Task[None]] = set()

    def _busy(self, busy: bool) -> None:
        """Leave the processors, and Python's lock, to the answer that is being computed; nobody could be answered."""
        share = self._limits.share_while_computing if busy else 1.0
        self._letting_in.slow_to(share)
        self._reading.slow_to(share)

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT; the answer being computed is finished and stored.

        ConfigurationError where the folder is open to others, or another agent answers here.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(RuntimeError, ValueError):  # not in the main thread: tests
                loop.add_signal_handler(number, stop.set)
        with listening_socket(self._path) as listening:
            letting_in = asyncio.create_task(self._let_in(listening))
            logger.info("listening at %s", self._path)
            try:
                await stop.wait()
            finally:
                letting_in.cancel()
                with contextlib.suppress(OSError):
                    self._path.unlink()
                await end_connections(self._open)
                self._screener.shutdown(wait=True)
                self._worker.close()

    async def _let_in(self, listening: socket.socket) -> None:
        """Accept callers at a pace; those who are gone when their turn comes cost next to nothing."""
        while True:
            await readable(listening)
            try:
                callers, gone = let_in(listening, self._at_once)
            except OSError as error:  # no file descriptors, say: those who are here will give some back
                logger.warning("no caller can be accepted (%s)", error.strerror)
                await asyncio.sleep(1.0)
                continue
            for caller in callers:
                serving = asyncio.create_task(self._serve_one(caller))
                # The loop keeps no reference to a task that would save it from the garbage collector.
                self._open.add(serving)
                serving.add_done_callback(self._open.discard)
            await self._letting_in.take(len(callers) + _GLANCE * gone)
            # Who waits to be looked at must not be sent away for who has not even been let in; nor a newcomer,
            # who has come least far, because everybody else is being looked at.
            while self._room.shown() >= self._at_once:
                await asyncio.sleep(0.005)

    async def _serve_one(self, connected: socket.socket) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served by a task")
        caller = Caller(task, next(self._numbers), time.monotonic())
        reader, writer = await streams(connected)
        job = None
        try:
            self._room.enter(caller)
            async with asyncio.timeout(self._limits.transfer_seconds):
                job = await self._request(caller, reader, writer)
            if job is not None:
                reply = await while_here(reader, self._answered(caller, job))
                await self._send(caller, writer, reply)
        except (OSError, EOFError, TimeoutError):
            pass  # whoever asked went away or never finished: nobody is there to be told
        finally:
            self._room.leave(caller)
            if job is not None:
                self._worker.leave(job)
            # abort: close() would wait until the caller takes what was written, and it may never do so.
            writer.transport.abort()

    async def _request(
        self, caller: Caller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> PendingRequest[Reply] | None:
        """Read a request, and put it in line; None where it was refused by its first bytes, and told so."""
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > LARGEST_REQUEST:
            raise EOFError
        first = await reader.readexactly(min(length, OPENING_BYTES))
        self._room.comes_to(caller, Stage.SHOWN, time.monotonic())
        refused = await asyncio.get_running_loop().run_in_executor(self._screener, self._look, writer, first)
        if refused is not None:
            self._room.comes_to(caller, Stage.UNKNOWN, time.monotonic())
            await self._throw_away(caller, reader, length - len(first))
            await self._send(caller, writer, refused)
            return None
        self._room.comes_to(caller, Stage.SENDING, time.monotonic())
        received = bytearray(first)
        while len(received) < length:
            received += await self._part(caller, reader, length - len(received), (length, caller.number))
            self._room.holds(caller, len(received), time.monotonic())
        job = self._worker.bring(bytes(received))
        stage = Stage.WAITING if job.waiting == 1 else Stage.SHARING
        self._room.comes_to(caller, stage, time.monotonic())
        return job

    def _look(self, writer: asyncio.StreamWriter, first: bytes) -> Reply | None:
        """Screen the first bytes of a caller who is still there."""
        if hung_up(writer.get_extra_info("socket")):
            raise EOFError
        return self._screen(first)

    async def _part(
        self, caller: Caller, reader: asyncio.StreamReader, most: int, rank: tuple[float, ...]
    ) -> bytes:
        async with asyncio.timeout(self._limits.still_seconds):
            part = await reader.read(min(most, PART))
        if not part:
            raise EOFError
        await self._reading.take(len(part), rank)
        return part

    async def _throw_away(self, caller: Caller, reader: asyncio.StreamReader, length: int) -> None:
        """Read what a refused caller still sends, behind everybody else's bytes; then let it wait."""
        while length:
            length -= len(await self._part(caller, reader, length, (math.inf, caller.number)))
        pause = self._room.unknown() / self._limits.strangers_per_second
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await reader.read(1)
                raise EOFError  # gone, or sends more than it announced

    async def _answered(self, caller: Caller, job: PendingRequest[Reply]) -> Reply:
        """Wait for the answer, and until it may leave.

        Delays count from the last byte of whoever brought the request first, which callers alone decide. From each
        caller's own, twenty who bring the same bytes a tenth of a second apart would learn to a tenth when it was
        ready.
        """
        # Others may wait for the same answer: whoever leaves must not cancel it for them.
        reply = await asyncio.shield(job.answer)
        self._room.holds(caller, len(reply.payload or b""), time.monotonic())
        due = due_at(job.arrived, reply.ready_at, reply.delay_seconds)
        await asyncio.sleep(max(due - time.monotonic(), 0.0))
        return reply

    async def _send(self, caller: Caller, writer: asyncio.StreamWriter, reply: Reply) -> None:
        """Send the reply, where there is one, to a caller who takes it."""
        if reply.payload is None:
            return
        if caller.stage is not Stage.UNKNOWN:
            self._room.comes_to(caller, Stage.TAKING, time.monotonic())

        def moved() -> None:
            caller.moved_at = time.monotonic()

        async with asyncio.timeout(self._limits.transfer_seconds):
            await write(writer, reply.payload, self._limits.still_seconds, moved)


def due_at(arrived: float, ready_at: float, delay_seconds: float) -> float:
    """Say when a reply leaves: the first whole multiple of the delay after its request arrived that is not past.

    All in monotonic seconds. Guarantee: a computation shows by whole delays only, and not by how long it took;
    the first delay passes always. A hang-up (no payload) keeps to the same times.
    """
    delay = min(max(delay_seconds, 0.0), LONGEST_REPLY_DELAY_SECONDS)
    if delay == 0.0:
        return ready_at
    return arrived + delay * max(math.ceil((ready_at - arrived) / delay), 1)
