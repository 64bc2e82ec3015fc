"""The user's cache: what simulations would else compute again, arrays and text in one file each.

Simulations only: a hospital keeps features in memory, and nothing under ``client`` may write them (import-linter
keeps ``client`` from importing this; ``test_encoded_cache.py``). Folders of the user's alone hold one safetensors
file per key: arrays and text, nothing that runs.
"""

import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround.conf.settings import FederationSettings
from wardround.protocol.files import part_in
from wardround.protocol.text.plain import read_json

KINDS = ("encoded", "baseline", "accountant")
"""What is kept: encoded patients, what baselines without privacy predict, a second accountant's ε; a folder each."""
FORMAT = "wardround-entry-3"
_LARGEST_FACTS = 2**26  # bytes; every patient's hospital stands in arrays, not here
_PART, _LOCK = ".part", ".lock"
_SIX_HOURS = 6 * 3600  # a younger part may be one that another run is still writing

Arrays = Mapping[str, NDArray[Any]]
Key = Mapping[str, object]
"""What an entry depends on, as plain JSON data: equal keys give equal entries, bit for bit."""


@dataclass(frozen=True, eq=False)
class StoredArrays:
    """Arrays by name, and facts beside them, plain JSON data."""

    arrays: Arrays
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EntryStore:
    """Entries of all kinds in ``folder``, together at most ``most_bytes``; the ones longest unused go first.

    A cache never fails a study: an entry that cannot be read counts as missing, one that cannot be written is left
    out. Processes may use one folder at the same time: a file is written whole under its name or not at all.
    """

    folder: Path
    most_bytes: int

    def find(self, kind: str, key: Key) -> StoredArrays | None:
        """Give the entry; None where there is none, or it is damaged, another key's, or open to others."""
        path = self.path(kind, key)
        # Whoever could write an entry could choose what a study learns from.
        with suppress(OSError):
            if not _own(path):
                return None
            entry = _read(path, _named(kind, key))
            if entry is not None:
                os.utime(path)  # what was used last is kept longest
            return entry
        return None

    def keep(self, kind: str, key: Key, entry: StoredArrays) -> bool:
        """Write the entry whole or not at all; False where it cannot be, or is larger than all may be."""
        # Here and not above: a run that finds no folder, or keeps nothing, does not wait for it.
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        if sum(array.nbytes for array in entry.arrays.values()) > self.most_bytes:
            return False
        facts = json.dumps({"entry": _named(kind, key), "facts": entry.facts})
        path = self.path(kind, key)
        try:
            self._make_folders(path.parent)
            with part_in(path.parent) as part:  # for the owner's eyes: 0600
                save_file(dict(entry.arrays), part, {"facts": facts, "sha256": _digest(facts, entry.arrays)})
                part.chmod(0o600)
                self._make_room(part.stat().st_size)
                part.replace(path)
        except (OSError, SafetensorError):
            return False
        return True

    @contextmanager
    def one_at_a_time(self, kind: str, key: Key) -> Iterator[None]:
        """Wait while another process is here for the same entry: it is found then, and not computed twice.

        It saves time and promises nothing: where a file cannot be locked, all go on.
        """
        path = self.path(kind, key).with_suffix(_LOCK)
        try:
            self._make_folders(path.parent)
            handle = path.open("ab")
        except OSError:
            yield
            return
        with handle:
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                yield
            finally:
                # Who waits for this file goes on with it; who comes later makes another and finds the entry.
                path.unlink(missing_ok=True)

    def _make_folders(self, folder: Path) -> None:
        for each in (self.folder, folder):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
            each.chmod(0o700)

    def path(self, kind: str, key: Key) -> Path:
        """Name the entry's file."""
        digest = hashlib.sha256(json.dumps(_named(kind, key), sort_keys=True).encode()).hexdigest()
        return self.folder / kind / f"{digest}.{kind}"

    def _make_room(self, size: int) -> None:
        """Remove what a killed run left half-written, then the entries longest unused until size more fit."""
        entries = []
        for kind in KINDS:
            for part in (self.folder / kind).glob(f"*{_PART}"):
                if part.lstat().st_mtime < time.time() - _SIX_HOURS:
                    part.unlink()
            entries += [(found.lstat(), found) for found in (self.folder / kind).glob(f"*.{kind}")]
        entries.sort(key=lambda entry: entry[0].st_mtime)
        held = sum(status.st_size for status, _ in entries)
        for status, found in entries:
            if held + size <= self.most_bytes:
                return
            found.unlink(missing_ok=True)  # another process may make room, too
            held -= status.st_size


def store_of(settings: FederationSettings) -> EntryStore | None:
    """Give the store that the settings name; None where they want none, or there is no home to keep it in."""
    folder = cache_folder(settings.cache_dir) if settings.cache else None
    return None if folder is None else EntryStore(folder, settings.cache_mb << 20)


def cache_folder(chosen: Path | None) -> Path | None:
    """Give the folder chosen, or the one below the user's cache folder; None without a home."""
    if chosen is not None:
        return chosen.absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The XDG specification: a path that is not absolute is as none.
        home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return home / "wardround"


def _named(kind: str, key: Key) -> dict[str, object]:
    return {"format": FORMAT, "kind": kind, "key": dict(key)}


def _read(path: Path, named: Mapping[str, object]) -> StoredArrays | None:
    from safetensors import SafetensorError, safe_open

    with suppress(SafetensorError, ValueError, KeyError, TypeError):
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = dict(file.metadata() or {})
        # safetensors has no checksum of its own: a bit that flipped on the disk would be learned from.
        if metadata.get("sha256") != _digest(metadata.get("facts", ""), arrays):
            return None
        found = read_json(metadata["facts"].encode(), _LARGEST_FACTS)
        # The name could be a copy's: what stands inside decides.
        return StoredArrays(arrays, found["facts"]) if found["entry"] == named else None
    return None


def _own(path: Path) -> bool:
    """Whether it is a file that nobody else may read or write."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _digest(facts: str, arrays: Arrays) -> str:
    """Hex SHA-256 over facts and arrays: types, shapes and bytes."""
    whole = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = arrays[name]
        whole.update(f"\0{name} {array.dtype.str} {array.shape}\0".encode())
        whole.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return whole.hexdigest()
