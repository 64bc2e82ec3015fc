"""The agent's one door: a Unix socket that its group alone can open; one request per connection.

Both ways the bytes come behind their length (uint32, little-endian). Reading, computing and waiting for the
reply's time are bounded in number, bytes and seconds, and each connection stands alone: one that hangs up,
trickles or sends garbage keeps nobody waiting. The oldest that is still being read gives way to a new one.
"""

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import stat
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from protocol.envelope import LARGEST_REQUEST
from protocol.errors import ConfigurationError
from protocol.terms import LONGEST_REPLY_DELAY_SECONDS

logger = logging.getLogger("wardround.hospital")

LENGTH = struct.Struct("<I")
SOCKET_MODE, FOLDER_MODE = 0o660, 0o750
_CLOSING_TURNS = 20  # of the loop; a connection takes several to be accepted and closed
_Connection = asyncio.Task[None]


@dataclass(frozen=True)
class Reply:
    """Bytes to send (None: hang up without a word), and when: see ``due_at``. ready_at: monotonic seconds."""

    payload: bytes | None = field(repr=False)
    delay_seconds: float = 0.0
    ready_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the door holds at once, and how long it reads or writes one message."""

    connections: int = 64
    held_bytes: int = 4 * LARGEST_REQUEST
    transfer_seconds: float = 60.0


class SocketDoor:
    """Listens, and hands each request to ``answer`` in a thread of its own. answer must not raise."""

    def __init__(self, path: Path, answer: Callable[[bytes], Reply], limits: Limits | None = None) -> None:
        """Name the socket and who answers; nothing listens yet."""
        self._path = path
        self._answer = answer
        self._limits = limits or Limits()
        self._threads = ThreadPoolExecutor(self._limits.connections, "answer")
        self._held: dict[_Connection, int] = {}
        self._reading: set[_Connection] = set()
        self._open: set[_Connection] = set()

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT; the answer being computed is finished and stored.

        ConfigurationError where the folder is open to others, or another agent answers here.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(RuntimeError, ValueError):  # not in the main thread: tests
                loop.add_signal_handler(number, stop.set)
        server = await asyncio.start_unix_server(self._connected, sock=listening_socket(self._path))
        logger.info("listening at %s", self._path)
        try:
            await stop.wait()
        finally:
            server.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
            await self._hang_up()
            self._threads.shutdown(wait=True)

    async def _hang_up(self) -> None:
        """End every connection, those that were being accepted too, and let the loop close what they abort."""
        for _ in range(_CLOSING_TURNS):
            connections = list(self._open)
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)
            await asyncio.sleep(0)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._serve_one(reader, writer))
        self._open.add(connection)
        connection.add_done_callback(self._open.discard)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        if connection is None:
            raise RuntimeError("a connection is served by a task")
        try:
            self._hold(connection, 0)
            payload = await asyncio.wait_for(self._read(connection, reader), self._limits.transfer_seconds)
            arrived = time.monotonic()  # the last byte's: when that comes depends on the caller alone
            loop = asyncio.get_running_loop()
            reply = await loop.run_in_executor(self._threads, self._answer, payload)
            del payload
            due = due_at(arrived, reply.ready_at, reply.delay_seconds)
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            if reply.payload is not None:
                await asyncio.wait_for(_write(writer, reply.payload), self._limits.transfer_seconds)
        except (OSError, EOFError, TimeoutError, _Crowded):
            pass  # whoever asked went away or never finished: nobody is there to be told
        finally:
            self._held.pop(connection, None)
            self._reading.discard(connection)
            writer.transport.abort()

    async def _read(self, connection: _Connection, reader: asyncio.StreamReader) -> bytes:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > LARGEST_REQUEST:
            raise _Crowded
        self._hold(connection, length)
        payload = await reader.readexactly(length)
        self._reading.discard(connection)
        return payload

    def _hold(self, connection: _Connection, length: int) -> None:
        """Make room for a connection's bytes, at the cost of the oldest that is still being read."""
        self._held[connection] = length
        self._reading.add(connection)
        limits = self._limits
        while len(self._held) > limits.connections or sum(self._held.values()) > limits.held_bytes:
            oldest = next((held for held in self._held if held in self._reading), connection)
            self._held.pop(oldest, None)
            self._reading.discard(oldest)
            if oldest is connection:
                raise _Crowded
            oldest.cancel()


class _Crowded(Exception):
    """No room for this connection."""


def due_at(arrived: float, ready_at: float, delay_seconds: float) -> float:
    """Say when a reply leaves: the first whole multiple of the delay after its request arrived that is not past.

    All in monotonic seconds. Guarantee: a computation shows by whole delays only, and not by how long it took;
    the first delay passes always. A hang-up (no payload) keeps to the same times.
    """
    delay = min(max(delay_seconds, 0.0), LONGEST_REPLY_DELAY_SECONDS)
    if delay == 0.0:
        return ready_at
    return arrived + delay * max(math.ceil((ready_at - arrived) / delay), 1)


def listening_socket(path: Path) -> socket.socket:
    """Bind the socket, 0660 in a folder that others cannot enter; a dead agent's socket is replaced."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
        path.parent.chmod(FOLDER_MODE)  # whatever the umask is, the group may enter
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if mode & 0o007:
        raise ConfigurationError(
            f"socket={path}: others may enter its folder (mode {mode:o}); chmod 750 {path.parent}"
        )
    _remove_dead(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise ConfigurationError(f"socket={path}: cannot be made ({error.strerror})") from error
    finally:
        os.umask(before)
    listening.listen(128)
    listening.setblocking(False)
    return listening


def _remove_dead(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_socket():
        raise ConfigurationError(
            f"socket={path}: is there and is no socket; remove it, or choose another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise ConfigurationError(f"socket={path}: another agent answers here; stop it first")


async def _write(writer: asyncio.StreamWriter, payload: bytes) -> None:
    writer.write(LENGTH.pack(len(payload)))
    writer.write(payload)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
