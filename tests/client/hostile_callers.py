"""Sixty-four callers who mean ill, for ``test_door_hostile.py``: a process of its own.

They are of eight kinds, eight of each, and each begins again as soon as it is done.
"""

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

LENGTH = struct.Struct("<I")
LARGE = 64 * 2**20


def connect(path: str) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX)
    caller.settimeout(20)
    caller.connect(path)
    return caller


def trickles(path: str, honest: bytes, old: bytes, stranger: bytes) -> None:
    """Sends a signed request byte by byte."""
    with connect(path) as caller:
        for byte in LENGTH.pack(len(honest)) + honest:
            caller.sendall(bytes([byte]))
            time.sleep(0.05)


def floods(path: str, honest: bytes, old: bytes, stranger: bytes) -> None:
    """Sends as much garbage as a request may have."""
    with connect(path) as caller:
        caller.sendall(LENGTH.pack(LARGE) + bytes(LARGE))


def forges(path: str, honest: bytes, old: bytes, stranger: bytes) -> None:
    """A signed opening before weights of the largest size that nobody signed."""
    with connect(path) as caller:
        caller.sendall(LENGTH.pack(LARGE) + honest + bytes(LARGE - len(honest)))
        caller.recv(1)


def asks_as_a_stranger(path: str, honest: bytes, old: bytes, stranger: bytes) -> None:
    """A request of its own, of the right form."""
    with connect(path) as caller:
        caller.sendall(LENGTH.pack(len(stranger)) + stranger)
        caller.recv(1)


def replays(path: str, honest: bytes, old: bytes, stranger: bytes) -> None:
    """An answered request of the operator, again and again."""
    with connect(path) as caller:
        caller.sendall(LENGTH.pack(len(old)) + old)
        caller.recv(1)


def comes_and_goes(path: str, honest: bytes, old: bytes, stranger: bytes) -> None:
    """Connects, and is gone."""
    connect(path).close()


def takes_nothing(path: str, honest: bytes, old: bytes, stranger: bytes) -> None:
    """Asks, and never reads the answer."""
    with connect(path) as caller:
        caller.sendall(LENGTH.pack(len(old)) + old)
        time.sleep(5)


def hangs_up(path: str, honest: bytes, old: bytes, stranger: bytes) -> None:
    """Asks, and does not wait for the answer."""
    with connect(path) as caller:
        caller.sendall(LENGTH.pack(len(old)) + old)


KINDS = (
    trickles, floods, forges, asks_as_a_stranger, replays, comes_and_goes, takes_nothing, hangs_up,
)  # fmt: skip


def again(kind: Callable[[str, bytes, bytes, bytes], None], path: str, *requests: bytes) -> None:
    while True:
        try:
            kind(path, *requests)
        except OSError:
            time.sleep(0.001)


def main() -> None:
    """Arguments: socket, and three files: a request to forge, an answered one, a stranger's."""
    os.nice(19)  # what is looked at is the agent, not who gets the machine's two processors
    path, *files = sys.argv[1:]
    requests = [Path(file).read_bytes() for file in files]
    for kind in KINDS:
        for _ in range(8):
            threading.Thread(target=again, args=(kind, path, *requests), daemon=True).start()
    print("here", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
