"""One process at a time: a lock that ends with its process, however that ends."""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from wardround.protocol.errors import ConfigurationError

_LAYOUT = "hhqqi4x"
"""Linux's struct flock: kind, whence, start, length, process."""


@contextmanager
def alone(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock at ``path`` within the block; ConfigurationError with ``busy`` where another process does.

    So too where that process removed the file, or its folder, just before the lock was taken (``study delete``).
    """
    try:
        opened = path.open("a")
    except FileNotFoundError as error:
        raise ConfigurationError(busy) from error
    except OSError as error:
        raise ConfigurationError(
            f"lock={path}: cannot be taken ({error.strerror}); nothing was done"
        ) from error
    with opened as file:
        try:
            # Not a file that is removed at the end: the kernel lets go of this lock however its process dies.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _let_be_seen(file)
            there = path.stat()
        except (BlockingIOError, FileNotFoundError) as error:
            raise ConfigurationError(busy) from error
        # Another file has this name by now: whoever locks that one would not know of us.
        if not os.path.samestat(os.fstat(file.fileno()), there):
            raise ConfigurationError(busy)
        yield


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock now; None where this system does not tell (Linux does).

    Nothing is locked for it: whoever takes the lock at the same moment must not find it taken. A process of another
    container counts too, whose locks /proc/locks does not show.
    """
    try:
        with path.open("rb") as file:
            answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _record(fcntl.F_WRLCK))
    except FileNotFoundError:
        return False
    except (OSError, AttributeError):
        return None
    return bool(struct.unpack(_LAYOUT, answer)[0] != fcntl.F_UNLCK)


def _let_be_seen(file: TextIO) -> None:
    """Lay a second lock over the same file, which unlike the first can be asked for; it ends with the file too."""
    # A system without such locks, or a file system: then nobody can ask, and the first lock holds all the same.
    with suppress(OSError, AttributeError):
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _record(fcntl.F_WRLCK))


def _record(kind: int) -> bytes:
    return struct.pack(_LAYOUT, kind, os.SEEK_SET, 0, 0, 0)
