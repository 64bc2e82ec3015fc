"""Files as streams of bytes, decompressed on the way: memory does not grow with the file."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from wardround.protocol.errors import TableError

COMPRESSIONS = (".gz", ".zst")
# The default, 8 kB, holds five lines of a FHIR export: half of the time to read one went into calls of the system.
_BUFFER_BYTES = 1 << 16


def plain_name(path: Path) -> str:
    """Name a file without the ending of its compression, in lower case."""
    name = path.name.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return name


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file (``.gz`` and ``.zst`` decompressed); what goes wrong while it is open is one TableError."""
    try:
        with path.open("rb", buffering=_BUFFER_BYTES) as raw:
            yield _stream(path, raw)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise TableError(
            f"{path.name} cannot be read ({type(error).__name__}); if it was cut off, export it again"
        ) from None


def _stream(path: Path, raw: BinaryIO) -> BinaryIO:
    ending = path.suffix.lower()
    if ending == ".gz":
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
    if ending == ".zst":
        # read_across_frames: files joined by `cat` have several frames, and the reader would stop after the first.
        return cast("BinaryIO", zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
    return raw
