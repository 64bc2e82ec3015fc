"""Whether an agent answers at a socket: looked at from outside, nothing is asked of it."""

import socket
from pathlib import Path


def is_listening(path: Path) -> bool:
    """Whether somebody listens at the Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(2.0)
        try:
            trial.connect(str(path))
        except OSError:
            return False
    return True
