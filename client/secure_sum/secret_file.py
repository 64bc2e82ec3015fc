"""A file that holds a secret: written whole in the place of an earlier one, and that one's bytes overwritten.

Overwriting reaches the file's own blocks, where its file system writes in place. It does not reach what lies
elsewhere: blocks that a solid-state disk has put aside, a journal of data, a file system that copies on write, a
snapshot, a backup, the swap. Whoever must be sure of those encrypts the disk.
"""

import os
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from wardround.protocol.files import settle, sync_folder

_PART, _BEFORE = ".part", ".before"


def replace_secret(path: Path, content: bytes) -> None:
    """Put content there durably, for its owner alone, and overwrite what was there.

    OSError where the disk fails: the earlier content or the new one is there, whole. Killed on the way, whatever is
    left besides has a name, by which ``erase_leftovers`` finds it.
    """
    part, before = _beside(path)
    erase_leftovers(path)
    with path.open("r+b") if path.exists() else nullcontext() as old:
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
            if old is not None:
                # A second name, for a crash. Where there is none, the open file is overwritten all the same.
                with suppress(OSError):
                    os.link(path, before)
            settle(part, path)
        finally:
            with suppress(OSError):  # on a failing disk the first error is the one to tell
                _erase_if_there(part)
        if old is not None:
            _overwrite(old)
            before.unlink(missing_ok=True)


def erase(path: Path) -> None:
    """Overwrite a file, and take its name away, durably."""
    with path.open("r+b") as file:
        _overwrite(file)
    path.unlink()
    sync_folder(path.parent)


def erase_leftovers(path: Path) -> None:
    """Erase what a crash left beside a file: a new one half written, an old one that had lost its name."""
    part, before = _beside(path)
    _erase_if_there(part)
    # Killed before the new one took its place: the second name is that of the file in use.
    if before.exists() and path.exists() and before.samefile(path):
        before.unlink()
    _erase_if_there(before)


def leftovers_of(folder: Path, suffix: str) -> list[Path]:
    """Name the files, of those that end in ``suffix``, beside which a crash left something."""
    found = [*folder.glob(f"*{suffix}{_PART}"), *folder.glob(f"*{suffix}{_BEFORE}")]
    return sorted({left.with_suffix("") for left in found})


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + _PART), path.with_name(path.name + _BEFORE)


def _erase_if_there(path: Path) -> None:
    if path.exists():
        erase(path)


def _overwrite(file: BinaryIO) -> None:
    file.seek(0)
    file.write(bytes(os.fstat(file.fileno()).st_size))
    file.flush()
    os.fsync(file.fileno())
