"""The spool's files, opened. Whoever has the page's machine may write anything there, of any kind and size.

A file that cannot be opened is put aside under another name, and never deleted: after a restore without
``keys/preferences.key`` it would be a patient's word.
"""

import errno
import os
import secrets
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from wardround.client.outreach.by_page.keys import PageKey
from wardround.client.preferences.choice import SEALED_CHOICE_BYTES, Choice, open_choice
from wardround.client.preferences.spool import MOST_FILES, SUFFIX
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import sync_folder

ASIDE = ".unopened"
_NOT_THAT_NAME = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST)
"""Why a file cannot get one name, and may get another: it would be too long, or a folder stands there."""


@dataclass(frozen=True)
class Arrived:
    """What lies in the spool. choices: by file's name; strange: names of what could not be opened."""

    choices: Mapping[str, Choice] = field(repr=False)
    strange: tuple[str, ...]


def read_spool(folder: Path, keys: Mapping[int, PageKey], but: Collection[str] = ()) -> Arrived:
    """Open every file, but those of these names; ConfigurationError where the folder cannot be read."""
    choices: dict[str, Choice] = {}
    strange: list[str] = []
    private = [key.private for key in reversed(list(keys.values()))]
    for name in _names(folder):
        if name in but:
            continue
        sealed = _content(folder / name)
        opened = (open_choice(sealed, key) for key in private) if sealed is not None else iter(())
        choice = next((one for one in opened if one is not None), None)
        if choice is None:
            strange.append(name)
        else:
            choices[name] = choice
    return Arrived(choices, tuple(strange))


def take_out(folder: Path, names: Collection[str], strange: Collection[str]) -> None:
    """Remove what was heard, and put aside what could not be opened; what is gone already is gone."""
    try:
        for name in names:
            with suppress(IsADirectoryError):  # exchanged since it was read: the next reading puts it aside
                (folder / name).unlink(missing_ok=True)
        for name in strange:
            with suppress(FileNotFoundError):
                _put_aside(folder, name)
        sync_folder(folder)
    except OSError as error:
        raise ConfigurationError(
            f"spool={folder}: was heard, and cannot be emptied ({error.strerror}); its group needs write permission"
        ) from error


def _put_aside(folder: Path, name: str) -> None:
    """Whoever chose the name must not stop those that follow: where it leaves no room, another one is given."""
    try:
        (folder / name).rename(folder / f"{name}{ASIDE}")
    except OSError as error:
        if error.errno not in _NOT_THAT_NAME:
            raise
        (folder / name).rename(folder / f"{secrets.token_hex(16)}{ASIDE}")


def _names(folder: Path) -> list[str]:
    try:
        found = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(SUFFIX))
    except OSError as error:
        raise ConfigurationError(f"spool={folder}: cannot be read ({error.strerror})") from error
    # Hidden names are files that the page is still writing. Left out first: they must take nobody's place.
    return [name for name in found if not name.startswith(".")][:MOST_FILES]


def _content(path: Path) -> bytes | None:
    """Read a file of the one right size; None for whatever else has the name, a link or a pipe."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        state = os.fstat(handle)
        right = stat.S_ISREG(state.st_mode) and state.st_size == SEALED_CHOICE_BYTES
        return os.read(handle, SEALED_CHOICE_BYTES) if right else None
    finally:
        os.close(handle)
