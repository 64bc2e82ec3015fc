"""A simulated federation's encoded patients on disk: a sweep reads, gates and encodes once.

Simulations only: a hospital keeps features in memory, and nothing under ``client`` may write them (import-linter
keeps ``client`` from importing this; ``test_encoded_cache.py``). A folder of the user's alone holds one file per
``EncodedKey``: safetensors, arrays and text, nothing that runs.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from wardround.client.cohort import Cohort
from wardround.conf.settings import StudySettings
from wardround.protocol.contract.contract import Contract
from wardround.protocol.files import part_in
from wardround.protocol.text.plain import read_json
from wardround.simulations.federation.encoded_key import EncodedKey, encoded_key
from wardround.simulations.federation.federation import Federation, load_federation

FORMAT = "wardround-encoded-2"
_LARGEST_FACTS = 2**26  # bytes; every patient's hospital stands in arrays, not here
_ENDING, _PART = ".encoded", ".part"
_PARTS = ("training", "heldout")
_TRUTH = "true_probability"
_SIX_HOURS = 6 * 3600  # a younger part may be one that another run is still writing

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class EncodedCache:
    """Entries in ``folder``, together at most ``most_bytes``; the ones longest unused go first.

    A cache never fails a study: an entry that cannot be read counts as missing, one that cannot be written is left out.
    """

    folder: Path
    most_bytes: int

    def find(self, key: EncodedKey, contract: Contract) -> Federation | None:
        """Give the entry's federation; None where there is none, or it is damaged, another key's, or open to others."""
        path = self._path(key)
        with suppress(OSError, SafetensorError, ValueError, KeyError, TypeError):
            # Whoever could write an entry could choose what a study learns from.
            if not _own(path):
                return None
            with safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
                metadata = dict(file.metadata() or {})
            # safetensors has no checksum of its own: a bit that flipped on the disk would be learned from.
            if metadata.get("sha256") != _digest(metadata.get("facts", ""), arrays):
                return None
            facts = read_json(metadata["facts"].encode(), _LARGEST_FACTS)
            # The name could be a copy's: what stands inside decides.
            if facts["format"] != FORMAT or facts["key"] != asdict(key):
                return None
            federation = _assembled(facts, arrays, contract, key.split_seed)
            os.utime(path)  # what was used last is kept longest
            return federation
        return None

    def keep(self, key: EncodedKey, federation: Federation) -> bool:
        """Write the entry whole or not at all; False where it cannot be, or is larger than all may be."""
        arrays = _arrays(federation)
        if sum(array.nbytes for array in arrays.values()) > self.most_bytes:
            return False
        facts = json.dumps(_facts(key, federation))
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            with part_in(self.folder) as part:  # for the owner's eyes: 0600
                save_file(dict(arrays), part, {"facts": facts, "sha256": _digest(facts, arrays)})
                part.chmod(0o600)
                self._make_room(part.stat().st_size)
                part.replace(self._path(key))
        except (OSError, SafetensorError):
            return False
        return True

    def _path(self, key: EncodedKey) -> Path:
        return self.folder / f"{key.digest}{_ENDING}"

    def _make_room(self, size: int) -> None:
        """Remove what a killed run left half-written, then the entries longest unused until size more fit."""
        for part in self.folder.glob(f"*{_PART}"):
            if part.lstat().st_mtime < time.time() - _SIX_HOURS:
                part.unlink()
        entries = [(found.lstat(), found) for found in self.folder.glob(f"*{_ENDING}")]
        entries.sort(key=lambda entry: entry[0].st_mtime)
        held = sum(status.st_size for status, _ in entries)
        for status, found in entries:
            if held + size <= self.most_bytes:
                return
            found.unlink()
            held -= status.st_size


def load_cached(settings: StudySettings) -> Federation:
    """Load a study's federation, from the cache where ``federation.cache`` allows and an entry is there.

    Guarantee: the same federation, bit for bit, with and without. Errors: those of ``load_federation``.
    """
    data, contract, seed = settings.data, settings.contract, settings.seed
    folder = cache_folder(settings.federation.cache_dir) if settings.federation.cache else None
    key = _key(settings) if folder is not None else None
    if folder is None or key is None:
        return load_federation(data, contract, seed)
    cache = EncodedCache(folder, settings.federation.cache_mb << 20)
    federation = cache.find(key, contract)
    if federation is None:
        federation = load_federation(data, contract, seed)
        if _key(settings) == key:  # the table was not exchanged while it was read
            cache.keep(key, federation)
    return federation


def cache_folder(chosen: Path | None) -> Path | None:
    """Give the folder of entries below the chosen one, or below the user's cache folder; None without a home."""
    if chosen is not None:
        return chosen.absolute() / "encoded"
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The XDG specification: a path that is not absolute is as none.
        home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return home / "wardround" / "encoded"


def _key(settings: StudySettings) -> EncodedKey | None:
    """Say what the federation depends on; None where that is not known: of a user's own data source.

    Also where a file cannot be read, which loading says better.
    """
    if settings.data.name == "own":
        return None
    try:
        return encoded_key(settings.data, settings.contract, settings.seed)
    except OSError:
        return None


def _own(path: Path) -> bool:
    """Whether it is a file that nobody else may read or write."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _arrays(federation: Federation) -> Arrays:
    found: dict[str, NDArray[np.generic]] = {
        f"{part}.{field.name}": np.ascontiguousarray(getattr(getattr(federation, part), field.name))
        for part in _PARTS
        for field in fields(Cohort)
    }
    if federation.true_probability is not None:
        found[_TRUTH] = np.ascontiguousarray(federation.true_probability)
    return found


def _facts(key: EncodedKey, federation: Federation) -> dict[str, object]:
    return {
        "format": FORMAT,
        "key": asdict(key),
        "hospitals": list(federation.hospitals),
        "as_of": federation.as_of.isoformat(),
        "data_fingerprint": federation.data_fingerprint,
        "counts": dict(federation.counts),
        "how_read": dict(federation.how_read),
    }


def _assembled(
    facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], contract: Contract, seed: int
) -> Federation:
    cohorts = {
        part: Cohort(**{field.name: arrays[f"{part}.{field.name}"] for field in fields(Cohort)})
        for part in _PARTS
    }
    return Federation(
        contract=contract,
        hospitals=tuple(facts["hospitals"]),
        seed=seed,
        as_of=datetime.fromisoformat(str(facts["as_of"])),
        data_fingerprint=str(facts["data_fingerprint"]),
        true_probability=arrays.get(_TRUTH),
        counts=dict(facts["counts"]),
        how_read=dict(facts["how_read"]),
        **cohorts,
    )


def _digest(facts: str, arrays: Arrays) -> str:
    """Hex SHA-256 over facts and arrays: types, shapes and bytes."""
    whole = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = arrays[name]
        whole.update(f"\0{name} {array.dtype.str} {array.shape}\0".encode())
        whole.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return whole.hexdigest()
