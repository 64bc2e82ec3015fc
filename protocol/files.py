"""Files as every part of the program reads and writes them: bounded, whole, durable."""

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from wardround.protocol.errors import ConfigurationError

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # what a file system says that knows no hard links


def read_bounded(path: Path, most: int) -> bytes:
    """Read at most one byte more than ``most``, so that the reader can tell a file that is too large."""
    with path.open("rb") as file:
        return file.read(most + 1)


def write_new(path: Path, payload: bytes, mode: int) -> None:
    """Write a file durably that was not there before; ConfigurationError where it was.

    Whole or not at all: a full disk leaves nothing, a crash at most a hidden file whose name ends in ``.part``.
    """
    part = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            _name(part, path, mode)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError as error:
        raise ConfigurationError(f"path={path}: exists already and is never overwritten") from error
    except OSError as error:
        raise ConfigurationError(f"path={path}: cannot be written ({error.strerror})") from error


def _name(part: Path, path: Path, mode: int) -> None:
    """Give a finished file its name, in the place of nobody's; FileExistsError where the name is taken."""
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A memory stick, say: the name is taken first, and a crash between these two lines leaves it empty.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        part.replace(path)
    with suppress(OSError):  # not every file system can
        sync_folder(path.parent)


def write_durably(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Put a file there whole and durably, in the place of what was there; OSError leaves that as it was.

    For one writer at a time: the part that a crash leaves is the next one's to write over.
    """
    part = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):  # on a failing disk the first error is the one to tell
            part.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
