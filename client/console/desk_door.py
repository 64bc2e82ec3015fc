"""The desk's socket: who may open its folder may ask; what may be asked, accounts and roles decide.

It stands on the same parts as the agent's door (``client.agent``), whose callers are told apart by nothing. These are
the pages of one hospital, and are served as they come.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wardround.client.agent.connection import LENGTH, readable, streams, write
from wardround.client.agent.listening import end_connections, let_in, listening_socket
from wardround.client.console.wire import LARGEST_QUESTION, answer_to_bytes, question_from_bytes
from wardround.pages.desk import FAULT, Answer, Desk
from wardround.protocol.errors import WardroundError

logger = logging.getLogger("wardround.desk")

AT_ONCE, CALLERS = 8, 64
_SENDING_SECONDS, _PAUSE_SECONDS = 10.0, 1.0


async def serve_desk(path: Path, desk: Desk, stop: asyncio.Event | None = None) -> None:
    """Answer at the socket until SIGTERM, SIGINT or ``stop``; ConfigurationError where it cannot be made."""
    stop = stop or asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(RuntimeError, ValueError):  # not in the main thread: tests
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    door = _DeskDoor(desk)
    with listening_socket(path) as listening:
        letting_in = asyncio.create_task(door.let_in(listening))
        logger.info("the desk answers at %s", path)
        try:
            await stop.wait()
        finally:
            letting_in.cancel()
            with contextlib.suppress(OSError):
                path.unlink()
            await door.hang_up()


class _DeskDoor:
    """Carries bytes; so many callers at a time, and the others wait to be let in."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._threads = desk, ThreadPoolExecutor(AT_ONCE, "desk")
        self._open: set[asyncio.Task[None]] = set()

    async def let_in(self, listening: socket.socket) -> None:
        while True:
            await readable(listening)
            try:
                callers, _ = let_in(listening, CALLERS - len(self._open))
            except OSError as error:  # no file descriptors, say: those who are here will give some back
                logger.warning("no caller can be accepted (%s)", error.strerror)
                callers = []
            for caller in callers:
                serving = asyncio.create_task(self._serve_one(caller))
                # The loop keeps no reference to a task that would save it from the garbage collector.
                self._open.add(serving)
                serving.add_done_callback(self._open.discard)
            if not callers:
                await asyncio.sleep(_PAUSE_SECONDS if len(self._open) >= CALLERS else 0.01)

    async def _serve_one(self, connected: socket.socket) -> None:
        reader, writer = await streams(connected)
        try:
            payload = await self._question(reader)
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, payload)
            await write(writer, answer, _SENDING_SECONDS, lambda: None)
        except (OSError, EOFError, TimeoutError):
            pass  # gone, or never finished: nobody is there to be told
        finally:
            # abort: close() would wait until the caller takes what was written, and it may never do so.
            writer.transport.abort()

    async def _question(self, reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(_SENDING_SECONDS):
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            if length > LARGEST_QUESTION:
                raise EOFError
            return await reader.readexactly(length)

    def _answer(self, payload: bytes) -> bytes:
        try:
            return answer_to_bytes(self._desk.ask(question_from_bytes(payload)))
        except (WardroundError, ValueError, TypeError) as error:
            logger.warning("a question could not be answered (%s)", type(error).__name__)
            return answer_to_bytes(Answer(outcome=FAULT, line=type(error).__name__))

    async def hang_up(self) -> None:
        """End every connection; what is being answered is finished, and recorded."""
        await end_connections(self._open)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
