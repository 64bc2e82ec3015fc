"""The folder of sealed choices: the page puts them in, the hospital takes them out (``outreach.by_page.arrived``)."""

import os
import secrets
from pathlib import Path

from wardround.protocol.errors import WardroundError
from wardround.protocol.files import write_durably

SUFFIX = ".choice"
MOST_FILES = 20_000
"""84 MB in all. A hospital that reads its spool each minute has a handful."""
_MODE = 0o640
"""For the hospital's user, by the folder's group."""


class SpoolError(WardroundError):
    """A choice could not be kept: the folder is full, missing, or its disk is."""


def put(folder: Path, sealed: bytes) -> Path:
    """Keep a sealed choice durably, whole or not at all; SpoolError where it cannot be kept."""
    try:
        if sum(1 for _ in os.scandir(folder)) >= MOST_FILES:
            raise SpoolError(f"spool={folder}: holds {MOST_FILES} files; let outreach inbound --page read it")
        path = folder / f"{secrets.token_hex(16)}{SUFFIX}"
        # Whatever the umask is: the unit's leaves a group nothing.
        write_durably(path, sealed, _MODE, whatever_umask=True)
    except OSError as error:
        raise SpoolError(f"spool={folder}: cannot be written ({error.strerror})") from error
    return path
