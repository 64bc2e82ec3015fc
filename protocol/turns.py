"""Turns of programs that share files: one goes on, and the others wait for it, by a lock that a crash lets go of.

Every wait ends: a program that was stopped at a terminal, or by its debugger, would hold its lock for ever. Whoever
waited in vain did nothing, and says who holds the lock.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from wardround.protocol.errors import ConfigurationError

TURN_SECONDS = 600.0
"""How long ``in_turn`` waits: the longest ``outreach propose`` of a large hospital takes a few minutes."""
MOMENT_SECONDS = 60.0
"""How long ``turn_in`` waits: behind it lie a few small writes, which a busy disk makes durable in seconds."""
_FIRST_LOOK_SECONDS, _LOOK_SECONDS = 0.001, 0.05


@contextmanager
def in_turn(path: Path, seconds: float = TURN_SECONDS) -> Iterator[None]:
    """Hold a file's lock within the block, after whoever holds it now.

    The file is for its lock alone, and is made where it is missing. ConfigurationError where it cannot be, and where
    another program holds it for so many seconds.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"lock={path}: cannot be taken ({error.strerror}); nothing was done"
        ) from error
    try:
        try:
            _wait_for(handle, path, seconds)
        except OSError as error:
            raise ConfigurationError(f"lock={path}: {error.strerror}; nothing was done") from error
        yield
    finally:
        os.close(handle)


@contextmanager
def turn_in(folder: Path, refused: Callable[[OSError], Exception] | None = None) -> Iterator[None]:
    """Hold a folder's own lock within the block, after whoever holds it now, for an act of moments.

    OSError where it takes no lock; TimeoutError, whose ``strerror`` says what to do, after ``MOMENT_SECONDS``. refused:
    gives the error to raise in the place of either; errors of the block itself pass.
    """
    with ExitStack() as held:
        try:
            handle = os.open(folder, os.O_RDONLY)
            held.callback(os.close, handle)
            _wait_for(handle, folder, MOMENT_SECONDS)
        except OSError as error:
            if refused is None:
                raise
            raise refused(error) from error
        yield


def _wait_for(lock: int, path: Path, seconds: float) -> None:
    end, pause = time.monotonic() + seconds, _FIRST_LOOK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                why = (
                    f"{_holder(lock, path)} has held the lock of {path} for {seconds:g} s: let it go on, or end it, "
                    "then run this again"
                )
                raise TimeoutError(errno.ETIMEDOUT, why) from error
            time.sleep(pause)
            pause = min(2 * pause, _LOOK_SECONDS)
        else:
            return


def _holder(lock: int, path: Path) -> str:
    """Name the process that holds a lock, as far as the kernel shows it: not one of another container."""
    inode = os.fstat(lock).st_ino
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            parts = line.split()
            # proc_locks(5). Whoever waits has an arrow in its line.
            if parts[1] == "FLOCK" and parts[5].rpartition(":")[2] == str(inode) and parts[4] != "0":
                return f"process {parts[4]}{_stopped(parts[4])}"
    return f"another program (fuser {path} names it)"


def _stopped(process: str) -> str:
    # After the name, which may hold anything, in its last bracket.
    with suppress(OSError, IndexError):
        state = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0]
        return ", which is stopped," if state in (b"T", b"t") else ""
    return ""
