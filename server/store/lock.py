"""One process at a time: a lock that ends with its process, however that ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardround.protocol.errors import ConfigurationError


@contextmanager
def alone(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock at ``path`` within the block; ConfigurationError with ``busy`` where another process does.

    So too where that process removed the file, or its folder, just before the lock was taken (``study delete``).
    """
    try:
        opened = path.open("a")
    except FileNotFoundError as error:
        raise ConfigurationError(busy) from error
    with opened as file:
        try:
            # Not a file that is removed at the end: the kernel lets go of this lock however its process dies.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = path.stat()
        except (BlockingIOError, FileNotFoundError) as error:
            raise ConfigurationError(busy) from error
        # Another file has this name by now: whoever locks that one would not know of us.
        if not os.path.samestat(os.fstat(file.fileno()), there):
            raise ConfigurationError(busy)
        yield


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock now; None where this machine does not tell (Linux does, in /proc/locks).

    Nothing is locked for it: whoever takes the lock at the same moment must not find it taken.
    """
    try:
        found = path.stat()
        rows = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    except FileNotFoundError as error:
        return None if error.filename == "/proc/locks" else False
    except OSError:
        return None
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    return any(row[1] == "FLOCK" and row[5] == place for row in rows if len(row) > 5)


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Hold the lock at ``path`` within the block, after whoever holds it now."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
