"""Arrays of one round on disk, under a name that carries their digest: a file is whole, or known to be damaged.

round-000012-<64 hex digits>.safetensors
"""

import errno
import hashlib
import re
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_durably

_LOST = (errno.ENOENT, errno.EIO)
"""Dropped by the study between two lines of whoever looks on, or a disk that fails."""
_NAME = re.compile(r"round-(\d{6,9})-([0-9a-f]{64})\.safetensors")


def write_state(folder: Path, round_number: int, content: bytes) -> Path:
    """Write one round's file durably, and give its path; a crash leaves the files before it as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"round-{round_number:06d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    write_durably(path, content)
    return path


def read_state(path: Path) -> bytes | None:
    """Read a round's file; None where its bytes are not those that its name says, or the disk has lost them.

    ConfigurationError where it cannot be read now, by who runs this: to go on without it would give up rounds for good.
    """
    try:
        content, named = path.read_bytes(), _NAME.fullmatch(path.name)
    except OSError as error:
        if error.errno in _LOST:
            return None
        raise ConfigurationError(
            f"state={path}: cannot be read ({error.strerror}), and is not damaged; put that right, then run this again"
        ) from error
    return content if named is not None and hashlib.sha256(content).hexdigest() == named[2] else None


def state_files(folder: Path) -> list[tuple[int, Path]]:
    """Give the round and path of every such file in a folder that exists, the newest round first."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted(((int(name[1]), path) for name, path in found if name), reverse=True)
