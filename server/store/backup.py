"""A copy of an operator's home in one file, made while server and studies run.

The file is a tar of every file of the home but locks and half-written parts, and at its end MANIFEST: the operator's
public key, the time, each file's SHA-256 and that of all this. It holds the operator's private key and the server's
secrets.

Guarantee: each study's folder is copied as it stood at one moment, so the copy is one of those that a power cut
could have left. All files of a folder are opened between two looks at it that agree; from then on they cannot change
under us, since the program replaces files and appends to logs. Heads are copied last: they may be newer than the
studies, which is what a crash leaves too, and never older.
"""

import hashlib
import io
import sqlite3
import stat
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import SQLITE_BESIDE, part_in, paths_in, settle
from wardround.server.store.operator_home import OperatorHome, is_of_restore
from wardround.server.store.read_backup import MANIFEST, Backup, manifest_bytes, read_backup

_TRIES = 200  # looks at a folder; a round writes a handful of files in seconds
_NOT_COPIED = ("lock", ".lock")
_DATABASES = ("state.sqlite", "laid.sqlite")

Stamp = tuple[int, int, int, int]


def back_up(home: OperatorHome, file: Path, now: datetime) -> Backup:
    """Write a home into one file, for its owner alone, and read it back; what the file says.

    Takes the place of an older backup of this operator, and of nothing else. Guarantee: whatever happens on the
    way, ``file`` is what it was, or the whole new copy.
    """
    if file.resolve().is_relative_to(home.folder.resolve()):
        raise ConfigurationError(f"backup={file}: lies in the home that it is a copy of; name another disk")
    operator = home.key().public
    if file.exists():
        _require_backup_of(operator, file)
    try:
        with part_in(file.absolute().parent) as part:
            with tarfile.open(part, "w") as archive:
                _fill(_Archive(archive, {}, file.absolute().parent), home, operator, now)
            found = read_backup(part)
            settle(part, file)
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        raise ConfigurationError(
            f"backup={file}: cannot be written ({where}{why}); nothing was changed"
        ) from error
    return found


def units(home: Path) -> Iterator[Path]:
    """Name what is copied as of one moment each, ``heads`` last; the SuperLink's folder is copied apart."""
    apart = ("heads", "studies", "superlink")
    for path in sorted(home.iterdir()):
        if path.name not in apart and not is_of_restore(path.name):
            yield path
    yield from paths_in(home / "studies")
    yield home / "heads"


def _require_backup_of(operator: str, file: Path) -> None:
    try:
        older = read_backup(file).operator == operator
    except ConfigurationError:
        older = False
    if not older:
        raise ConfigurationError(
            f"backup={file}: exists, and is no backup of this operator; give another name"
        )


def _fill(archive: "_Archive", home: OperatorHome, operator: str, now: datetime) -> None:
    _copy_superlink(archive, home.folder)
    for unit in units(home.folder):
        _copy_unit(archive, home.folder, unit)
    made = now.isoformat(timespec="seconds")
    content = manifest_bytes(Backup(operator=operator, made=made, files=archive.digests))
    archive.add(MANIFEST, io.BytesIO(content), len(content), 0o600)


@dataclass(frozen=True, eq=False)
class _Archive:
    tar: tarfile.TarFile
    digests: dict[str, str]
    beside: Path  # the folder that has room for copies

    def add(self, name: str, content: BinaryIO, size: int, mode: int) -> None:
        """Add ``size`` bytes of an open file."""
        entry, reader = tarfile.TarInfo(name), _Hashed(content)
        entry.size, entry.mode = size, stat.S_IMODE(mode)
        self.tar.addfile(entry, reader)
        self.digests[name] = reader.digest.hexdigest()


class _Hashed(io.RawIOBase):
    """Hashes what is read through it."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner, self.digest = inner, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._inner.read(size)
        self.digest.update(block)
        return block


def _copy_unit(archive: _Archive, home: Path, unit: Path) -> None:
    for _ in range(_TRIES):
        with ExitStack() as stack:
            try:
                before = _stamps(unit)
                opened = {path: stack.enter_context(path.open("rb")) for path in before}
                still = _stamps(unit) == before
            except FileNotFoundError:
                continue  # replaced or dropped between two lines of this function
            if still:
                for path, file in opened.items():
                    # No more than was there at that moment: a log grows meanwhile.
                    size, mode = before[path][1], before[path][3]
                    archive.add(path.relative_to(home).as_posix(), file, size, mode)
                return
    raise ConfigurationError(f"backup: {unit} did not stand still for {_TRIES} looks; run backup again")


def _stamps(unit: Path) -> Mapping[Path, Stamp]:
    """Name every file of a unit that is copied, with what changes when it does; ConfigurationError for a link."""
    found = dict[Path, Stamp]()
    for path in _below(unit):
        try:
            seen = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(seen.st_mode):
            raise ConfigurationError(
                f"backup: {path} is a link, and what it leads to would be missing; put the files themselves there"
            )
        if stat.S_ISREG(seen.st_mode) and path.name not in _NOT_COPIED and path.suffix != ".part":
            found[path] = (seen.st_mtime_ns, seen.st_size, seen.st_ino, seen.st_mode)
    return found


def _below(path: Path) -> Iterator[Path]:
    """Name a file or folder and all in it; OSError where a folder cannot be read, which ``rglob`` leaves out."""
    yield path
    if path.is_dir() and not path.is_symlink():
        try:
            inner = sorted(path.iterdir())
        except FileNotFoundError:
            return  # removed meanwhile, as any file may be
        for one in inner:
            yield from _below(one)


def _copy_superlink(archive: _Archive, home: Path) -> None:
    """Copy Flower's own databases, both as of one moment, and the small files beside them."""
    folder = home / "superlink"
    with TemporaryDirectory(dir=archive.beside, prefix=".", suffix=".part") as scratch, ExitStack() as stack:
        sources = {
            name: stack.enter_context(closing(_begin_reading(folder / name)))
            for name in _DATABASES
            if (folder / name).is_file()
        }
        for name, source in sources.items():
            copy = Path(scratch) / name
            with closing(sqlite3.connect(copy)) as target:
                source.backup(target)
                target.execute("PRAGMA journal_mode=DELETE")  # one file: no log lies beside it
            with copy.open("rb") as file:
                archive.add(f"superlink/{name}", file, copy.stat().st_size, 0o600)
    beside = tuple(f"{name}{suffix}" for name in _DATABASES for suffix in ("", *SQLITE_BESIDE))
    for path in paths_in(folder):
        if path.is_file() and path.name not in beside and not path.name.startswith("."):
            _copy_unit(archive, home, path)


def _begin_reading(path: Path) -> sqlite3.Connection:
    """Open a database, and hold on to what it says now until the connection is closed."""
    source = sqlite3.connect(path, timeout=30, isolation_level=None)
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return source
