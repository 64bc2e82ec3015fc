"""Files as every part of the program reads and writes them: bounded, whole, durable."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from wardround.protocol.errors import ConfigurationError

SQLITE_BESIDE = ("-wal", "-shm", "-journal")
"""Ends of the names of what SQLite keeps beside a database."""
DISK_TROUBLES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
)
"""What a person can put right: no room, no right to write, a disk that fails. All others are faults of ours."""
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # what a file system says that knows no hard links


def read_bounded(path: Path, most: int) -> bytes:
    """Read at most one byte more than ``most``, so that the reader can tell a file that is too large.

    OSError where it cannot be read, and at once where a named pipe stands there, whose reader would wait for ever.
    ``/dev/stdin`` and ``/dev/fd/N`` are read to their end, whatever is behind them.
    """
    with _opened(path) as file:
        return file.read(most + 1)


def read_private(path: Path, key: str, most: int) -> bytes:
    """Read a file of secrets, as ``read_bounded`` does; OSError where it cannot be read.

    ConfigurationError, which begins with ``key`` and quotes nothing of the file, where its mode lets others than
    its owner read or change it. The mode is that of the very file that is read, whatever is put in its place.
    """
    with _opened(path) as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & 0o077:
            raise ConfigurationError(f"{key}={path}: others may read it (mode {mode:o}); chmod 600 {path}")
        return file.read(most + 1)


def write_new(path: Path, payload: bytes, mode: int) -> None:
    """Write a file durably that was not there before; ConfigurationError where it was.

    Whole or not at all: a full disk leaves nothing, a crash at most a hidden file whose name ends in ``.part``.
    """
    try:
        with part_in(path.parent, mode) as part:
            _fill(os.open(part, os.O_WRONLY), payload)
            _name(part, path, mode)
    except FileExistsError as error:
        raise ConfigurationError(f"path={path}: exists already and is never overwritten") from error
    except OSError as error:
        raise ConfigurationError(f"path={path}: cannot be written ({error.strerror})") from error


def write_durably(path: Path, content: bytes, mode: int = 0o666, *, whatever_umask: bool = False) -> None:
    """Put a file there whole and durably, in the place of what was there; OSError leaves that as it was.

    For one writer at a time: the next write removes the part that a crash left. Guarantee: nothing else is written
    to, and of nothing else the mode is changed, whatever stands in the part's place, a link or a pipe.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        _fill(_begun(part, mode), content, mode if whatever_umask else None)
        part.replace(path)
    finally:
        with suppress(OSError):  # on a failing disk the first error is the one to tell
            part.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def part_in(folder: Path, mode: int = 0o600) -> Iterator[Path]:
    """Begin an empty file under a hidden name, for ``settle`` to name; removed at the end where it was not.

    For what a library writes by a file's name. What SQLite lays down beside its file is removed too.
    """
    part = folder / f".{secrets.token_hex(8)}.part"
    os.close(_begun(part, mode))
    try:
        yield part
    finally:
        for suffix in ("", *SQLITE_BESIDE):
            with suppress(OSError):
                part.with_name(part.name + suffix).unlink(missing_ok=True)


def settle(part: Path, path: Path) -> None:
    """Give a finished file its name, durably, in the place of what was there."""
    # Content before name: a crash in between must not leave the name on a file that is not whole.
    sync_file(part)
    part.replace(path)
    sync_folder(path.parent)


def paths_in(folder: Path, suffix: str = "") -> list[Path]:
    """Name what lies in a folder, in order, and ends so; nothing where there is no folder.

    OSError where it cannot be read, which ``Path.glob`` takes for empty.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    except FileNotFoundError:
        return []


def remove_durably(path: Path) -> None:
    """Remove a file such that it is not there again after a power cut; OSError where it is not there now."""
    path.unlink()
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _opened(path: Path) -> BinaryIO:
    """Open a file to read it; OSError for a named pipe."""
    # Without O_NONBLOCK, opening a pipe that nobody writes to waits already.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        # What a shell opened for this program is a pipe without a name.
        if stat.S_ISFIFO(os.fstat(handle).st_mode) and Path(os.path.realpath(path)).is_fifo():
            raise OSError(errno.EINVAL, "a named pipe, not a file", str(path))
        os.set_blocking(handle, True)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _begun(part: Path, mode: int) -> int:
    """Make a file that was not there, for writing: what stands there, a link or a pipe, is never followed."""
    # The mode at creation: a private key must not be readable for the moment until a chmod.
    return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)


def _fill(handle: int, content: bytes, mode: int | None = None) -> None:
    with os.fdopen(handle, "wb") as file:
        if mode is not None:
            os.fchmod(handle, mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _name(part: Path, path: Path, mode: int) -> None:
    """Give a finished file its name, in the place of nobody's; FileExistsError where the name is taken."""
    try:
        # Not a rename, which would silently replace what has the name already.
        os.link(part, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A memory stick, say: the name is taken first, and a crash between these two lines leaves it empty.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        part.replace(path)
    with suppress(OSError):  # not every file system can
        sync_folder(path.parent)
