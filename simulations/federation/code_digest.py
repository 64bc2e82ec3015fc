"""What code computes: a digest of sources and libraries, so that an edit or an update makes kept results new."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from importlib.resources import files
from importlib.resources.abc import Traversable

version = cache(metadata.version)  # each look-up parses the library's whole description

Places = Sequence[tuple[str, str]]
"""Pairs of a package and a file or folder within it; an empty one is the whole package."""


def code_digest(places: Places, libraries: Sequence[str]) -> str:
    """Hex SHA-256 of all sources at ``places``, and of the versions of ``libraries`` (none: not installed)."""
    return _digest(tuple(places), tuple(_version(name) for name in libraries))


@cache  # a sweep asks once per run
def _digest(places: Places, versions: Sequence[str]) -> str:
    whole = hashlib.sha256()
    for package, place in places:
        for source in _sources(files(package).joinpath(place) if place else files(package)):
            whole.update(f"{package}/{place}/{source.name}\0".encode())
            whole.update(hashlib.sha256(source.read_bytes()).digest())
    whole.update(" ".join(versions).encode())
    return whole.hexdigest()


def _version(library: str) -> str:
    try:
        return f"{library}={version(library)}"
    except PackageNotFoundError:
        return f"{library}=none"


def _sources(place: Traversable) -> Iterator[Traversable]:
    if place.is_file():
        yield place
        return
    for child in sorted(place.iterdir(), key=lambda child: child.name):
        if child.name.endswith(".py") or (child.is_dir() and child.name != "__pycache__"):
            yield from _sources(child)
