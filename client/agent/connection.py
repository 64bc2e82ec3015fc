"""One caller's connection at the agent's socket: its bytes, part by part, and whether it is still there."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

LENGTH = struct.Struct("<I")
PART = 2**18
"""Bytes read or written at a time."""

T = TypeVar("T")


async def readable(listening: socket.socket) -> None:
    """Wait for somebody at the door."""
    loop = asyncio.get_running_loop()
    somebody: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not somebody.done():
            somebody.set_result(None)

    # asyncio's own server would let callers in as fast as they come; the door does at a pace.
    loop.add_reader(listening, ready)
    try:
        await somebody
    finally:
        loop.remove_reader(listening)


async def streams(connected: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Read from and write to a caller who was let in."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, connected)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def while_here(reader: asyncio.StreamReader, answered: Coroutine[Any, Any, T]) -> T:
    """Wait for a reply as long as the caller is there; EOFError as soon as it hangs up, or sends more."""
    waiting, gone = asyncio.ensure_future(answered), asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise EOFError
        return waiting.result()
    finally:
        for task in (waiting, gone):
            task.cancel()
        await asyncio.gather(waiting, gone, return_exceptions=True)


async def write(
    writer: asyncio.StreamWriter, payload: bytes, still_seconds: float, moved: Callable[[], None]
) -> None:
    """Write a message part by part; TimeoutError where the caller takes nothing for so long."""
    writer.write(LENGTH.pack(len(payload)))
    view = memoryview(payload)
    for start in range(0, len(payload), PART):
        writer.write(view[start : start + PART])
        async with asyncio.timeout(still_seconds):
            await writer.drain()
        moved()
    writer.close()
    async with asyncio.timeout(still_seconds):
        await writer.wait_closed()
