"""Read a backup of an operator's home: every byte of it against the digests that stand at its end."""

import errno
import hashlib
import os
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.form import newer_form
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import is_digest, is_line

FORMAT, MANIFEST = "wardround-operator-backup-1", "manifest.json"
_DIGEST = "digest"
_LARGEST_MANIFEST = 2**26
_BLOCK = 2**20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What only a disk that is written to says: the backup, which is read, is as good as it was."""
_PART = re.compile(r"[^/\x00-\x1f]{1,255}")


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What a backup says of itself. made: ISO time. files: SHA-256 in hex by path within the home."""

    operator: str
    made: str
    files: Mapping[str, str]


def manifest_bytes(backup: Backup) -> bytes:
    """Write what a backup says of itself, with the digest of all of it."""
    plain = {"format": FORMAT, "operator": backup.operator, "made": backup.made, "files": dict(backup.files)}
    return canonical_json({**plain, _DIGEST: _digest_of(plain)})


def read_backup(file: Path, into: Path | None = None) -> Backup:
    """Verify a backup; ConfigurationError where a byte of it is not as it was written.

    into: an empty folder in which its files are written too, durably. Nothing is ever written outside of it.
    """
    found, manifest = dict[str, str](), None
    try:
        with tarfile.open(file, "r:") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isreg() else None
                if content is None or not _is_inside(entry.name) or entry.name in found or manifest:
                    raise ConfigurationError(f"backup={file}: is not one that wardround-serve backup wrote")
                if entry.name == MANIFEST:
                    manifest = _manifest(content.read(_LARGEST_MANIFEST), file)
                else:
                    found[entry.name] = _take(content, into and into / entry.name, entry.mode)
    except (tarfile.TarError, OSError, EOFError) as error:
        if into is not None and isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise ConfigurationError(
                f"home={into.parent}: there is no room for the backup's files ({error.strerror}); nothing was changed"
            ) from error
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is cut or damaged"
        raise ConfigurationError(f"backup={file}: cannot be read ({why}); use another copy") from error
    if manifest is None or manifest.files != found:
        raise ConfigurationError(
            f"backup={file}: its files are not those that it was made of; use another copy"
        )
    return manifest


def _is_inside(name: str) -> bool:
    parts = name.split("/")
    return all(_PART.fullmatch(part) and part not in (".", "..") for part in parts)


def _manifest(content: bytes, file: Path) -> Backup:
    try:
        plain: Any = read_json(content, _LARGEST_MANIFEST)
        if newer := newer_form(plain["format"], FORMAT):
            raise ConfigurationError(f"backup={file}: {newer}")
        # The first backups of this format have no digest of their own.
        digest, files = plain.pop(_DIGEST, None), plain["files"]
        fits = (
            plain["format"] == FORMAT
            and plain.keys() == {"format", "operator", "made", "files"}
            and digest in (None, _digest_of(plain))
            and isinstance(files, dict)
            and all(map(is_digest, files.values()))
            and is_line(plain["operator"], 100)
            and is_line(plain["made"], 100)
        )
        if fits:
            return Backup(operator=plain["operator"], made=plain["made"], files=files)
    except (ValueError, KeyError, TypeError):
        pass
    raise ConfigurationError(f"backup={file}: its {MANIFEST} cannot be read; use another copy")


def _digest_of(plain: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical_json(plain)).hexdigest()


def _take(content: IO[bytes], to: Path | None, mode: int) -> str:
    """Hash a file of the backup, and write it where it is to be written."""
    digest, out = hashlib.sha256(), None
    if to is not None:
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        out = os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode & 0o777), "wb")
    try:
        while block := content.read(_BLOCK):
            digest.update(block)
            if out is not None:
                out.write(block)
        if out is not None:
            out.flush()
            os.fsync(out.fileno())
    finally:
        if out is not None:
            out.close()
    return digest.hexdigest()
