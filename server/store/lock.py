"""One process at a time: a lock that ends with its process, however that ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardround.protocol.errors import ConfigurationError


@contextmanager
def alone(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock at ``path`` within the block; ConfigurationError with ``busy`` where another process does."""
    with path.open("a") as file:
        try:
            # Not a file that is removed at the end: the kernel lets go of this lock however its process dies.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(busy) from error
        yield


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Hold the lock at ``path`` within the block, after whoever holds it now."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
