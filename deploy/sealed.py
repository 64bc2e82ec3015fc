"""A file's first line, by which it is known as written by ``service install``, and as unchanged since. Pure."""

import hashlib
import re

_FIRST = re.compile(
    r"# Written by wardround (\S+), service install; changes belong into a drop-in. sha256 ([0-9a-f]{64})\n"
)


def sealed(text: str, version: str) -> str:
    """Put the line before a file's text."""
    return (
        f"# Written by wardround {version}, service install; changes belong into a drop-in. sha256 {_digest(text)}\n"
        f"{text}"
    )


def written_by(text: str) -> str:
    """Give the release that wrote a file as it is now; empty where a person changed it, or wrote it themselves."""
    found = _FIRST.match(text)
    return found[1] if found and _digest(text[found.end() :]) == found[2] else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
