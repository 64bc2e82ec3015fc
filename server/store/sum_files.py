"""What a server must not forget of a study's secure sums: its set-up, and the survivors of the slot under way.

    secure_sum/keys.sum           all members' signed keys, before any dealing is asked for under their roster
    secure_sum/NAME.dealing       what each member dealt
    secure_sum/taken.sum          empty; there once every member has opened its shares
    secure_sum/ACCOUNT/round-…    the survivors of one slot and their sum, before trip 2 leaves (``store.state_file``)

Each file is whole, or known to be damaged. A damaged part of the set-up is asked for again: hospitals give the same
bytes. Damaged survivors are lost: others must never be named for that slot.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from wardround.protocol.errors import ConfigurationError, MessageError
from wardround.protocol.files import write_durably
from wardround.protocol.secure_sum.exchange import (
    DEALT_BYTES,
    DIGEST_BYTES,
    SIGNATURE_BYTES,
    dealt_bytes,
    dealt_from_bytes,
)
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.masks import Ring
from wardround.protocol.secure_sum.roster import Roster
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.file_header import LARGEST_METADATA, metadata_of
from wardround.protocol.text.form import newer_form
from wardround.protocol.text.plain import read_json
from wardround.server.algorithm.sum_setup import dealt_digests
from wardround.server.algorithm.sum_trips import FixedSum, SentSeed, SumAsked
from wardround.server.store.state_file import read_state, state_files, write_state

_FORMAT = "wardround-survivors-1"
_HASH_BYTES = 32


class SurvivorsLost(Exception):
    """Survivors of this slot were fixed, and cannot be read any more, or belong to another sum."""


@dataclass(frozen=True)
class SumFolder:
    """A study's folder of secure sums."""

    folder: Path

    def save_keys(self, content: bytes) -> None:
        """Keep all members' keys, durably: members sign one roster per study, ever."""
        _write_checked(self.folder / "keys.sum", content)

    def keys(self) -> bytes | None:
        """Give all members' keys; None where there are none that are whole."""
        return _read_checked(self.folder / "keys.sum")

    def save_dealing(self, hospital: str, content: bytes) -> None:
        """Keep what a hospital dealt."""
        _write_checked(self._dealing(hospital), content)

    def dealing(self, hospital: str) -> bytes | None:
        """Give what a hospital dealt; None where there is nothing that is whole."""
        return _read_checked(self._dealing(hospital))

    def save_taken(self) -> None:
        """Note that every member has opened its shares."""
        _write_checked(self.folder / "taken.sum", b"")

    def is_taken(self) -> bool:
        """Whether every member has opened its shares."""
        return _read_checked(self.folder / "taken.sum") is not None

    def slot_key_digests(self, roster: Roster, slot: Slot) -> dict[int, tuple[bytes, ...]]:
        """Give by dealer the hashes of the shares of one slot's key; what it dealt for other slots is not read."""
        place, length = roster.slots.index(slot), len(roster.members) * DEALT_BYTES
        found = {}
        for index, member in enumerate(roster.members, 1):
            with self._dealing(member.name).open("rb") as file:
                file.seek(_HASH_BYTES + SIGNATURE_BYTES + place * length)
                found[index] = dealt_digests(file.read(length))
        return found

    def save_fixed(self, fixed: FixedSum) -> None:
        """Keep the survivors and their sum durably, and drop those of slots before."""
        slot = fixed.asked.slot
        folder = self.folder / slot.account
        write_state(folder, slot.number, _encode(fixed))
        for number, path in state_files(folder):
            # A slot whose number has passed is never asked for again, its survivors least of all.
            if number < slot.number:
                path.unlink(missing_ok=True)

    def fixed(self, asked: SumAsked) -> FixedSum | None:
        """Give the slot's survivors; None where none were fixed. SurvivorsLost where some were, and are not whole.

        ConfigurationError where a newer release wrote them: they are not lost.
        """
        folder = self.folder / asked.slot.account
        files = state_files(folder) if folder.is_dir() else []
        paths = [path for number, path in files if number == asked.slot.number]
        if not paths:
            return None
        found = _decoded(paths[0], asked) if len(paths) == 1 else None
        if found is None:
            raise SurvivorsLost(f"{paths[0]}: is damaged, or belongs to another sum")
        return found

    def _dealing(self, hospital: str) -> Path:
        return self.folder / f"{hospital}.dealing"


def _write_checked(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(path, hashlib.sha256(content).digest() + content)


def _read_checked(path: Path) -> bytes | None:
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, content = whole[:_HASH_BYTES], whole[_HASH_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def _encode(fixed: FixedSum) -> bytes:
    rows = [one.commitment + dealt_bytes(one.shares) for _, one in sorted(fixed.sent.items())]
    seeds = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
    plain = {
        "label": fixed.asked.label.hex(),
        "survivors": list(fixed.survivors),
        "heads": dict(fixed.heads),
        "refused": dict(fixed.refused),
    }
    metadata = {"format": _FORMAT, "sum": canonical_json(plain).decode()}
    return save({"total": fixed.total, "seeds": seeds}, metadata=metadata)


def _decoded(path: Path, asked: SumAsked) -> FixedSum | None:
    try:
        content = read_state(path)
        if content is None:
            return None
        metadata = metadata_of(content)
        if newer := newer_form(metadata["format"], _FORMAT):
            raise ConfigurationError(f"survivors={path}: {newer}")
        plain = read_json(metadata["sum"].encode(), LARGEST_METADATA)
        tensors = load(content)
        # Another label: after a damaged checkpoint the weights are others, and nobody answers for these survivors.
        if metadata["format"] != _FORMAT or plain["label"] != asked.label.hex():
            return None
        return _joined(asked, plain, tensors["total"], tensors["seeds"])
    except (ValueError, KeyError, TypeError, MessageError, SafetensorError):
        return None


def _joined(asked: SumAsked, plain: Any, total: Ring, seeds: NDArray[np.uint8]) -> FixedSum:
    members, sent = len(asked.roster.members), dict[int, SentSeed]()
    for index, row in zip(plain["survivors"], seeds, strict=True):
        whole = row.tobytes()
        sent[index] = SentSeed(whole[:DIGEST_BYTES], dealt_from_bytes(whole[DIGEST_BYTES:], members))
    return FixedSum(asked, total, sent, plain["heads"], plain["refused"])
