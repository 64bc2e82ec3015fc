"""One agent for a home: the lock that it holds from before it touches anything until it ends.

``ledger restore`` and ``recover``, which put another ledger in place, hold it too.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardround.protocol.errors import ConfigurationError


@contextmanager
def only_agent(folder: Path) -> Iterator[None]:
    """Be the one agent of a home while the block runs; ConfigurationError where another one is. folder: its keys.

    The socket alone does not tell: two that start at once both find a dead one, and an edited path finds none.
    """
    # The folder of the keys: writers of the ledger lock the home's own (``client.ledger.store``), each for its turn.
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ConfigurationError(f"keys={folder}: cannot be opened ({error.strerror})") from error
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigurationError(
            f"home={folder.parent}: another agent is running here, or ledger restore or recover; stop it first"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"keys={folder}: takes no lock ({error.strerror}); keep the home on a local disk"
        ) from error
