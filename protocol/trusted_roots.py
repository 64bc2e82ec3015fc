"""Certificates that somebody trusts beside the system's roots: a file in PEM."""

import ssl
from pathlib import Path

from wardround.protocol.files import read_bounded

_LARGEST = 1_000_000  # bytes


def read_trusted_roots(path: Path) -> str:
    """Read a file of certificates in PEM; OSError or ValueError where it cannot be read as that."""
    text = read_bounded(path, _LARGEST).decode("ascii")
    # Not create_default_context: of an empty file it would make trust in all of the system's roots.
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    return text
