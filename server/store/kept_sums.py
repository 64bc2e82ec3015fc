"""Sums of evaluations on disk, atomic, durable and self-checking as round states are; never asked for again.

    evaluations/round-000015-<64 hex digits>.safetensors

What is said of a model is read off these files alone, so that its card can be written again at any time.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save

from wardround.protocol.files import write_durably
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json
from wardround.server.algorithm.screen import NoRelease
from wardround.server.evaluation.evaluation import TableSum
from wardround.server.store.checkpoint import LARGEST_HEADER

_FORMAT = "wardround-tables-1"
_NAME = re.compile(r"round-(\d{6,9})-([0-9a-f]{64})\.safetensors")


def save_sum(folder: Path, terms_fingerprint: str, found: TableSum) -> Path:
    """Write one evaluation's sum durably, and give the file's path."""
    plain = {
        "terms_fingerprint": terms_fingerprint,
        "round": found.round,
        "weights_digest": found.weights_digest,
        "planned": found.planned,
        "accepted": list(found.accepted),
        "rejected": [[one.hospital, one.reason] for one in found.rejected],
        "missing": list(found.missing),
    }
    metadata = {"format": _FORMAT, "sum": canonical_json(plain).decode()}
    content = save({"total": found.total}, metadata=metadata)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"round-{found.round:06d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    write_durably(path, content)
    return path


def load_sum(folder: Path, terms_fingerprint: str, round_number: int) -> TableSum | None:
    """Read the evaluation after a round; None where none is kept whole under these terms."""
    for path in sorted(folder.glob(f"round-{round_number:06d}-*.safetensors")):
        found = _read(path, terms_fingerprint)
        if found is not None and found.round == round_number:
            return found
    return None


def _read(path: Path, terms_fingerprint: str) -> TableSum | None:
    try:
        content = path.read_bytes()
        named = _NAME.fullmatch(path.name)
        if named is None or hashlib.sha256(content).hexdigest() != named[2]:
            return None
        plain = _header(content)
        if plain["terms_fingerprint"] != terms_fingerprint:
            return None
        return TableSum(
            round=plain["round"],
            weights_digest=plain["weights_digest"],
            planned=plain["planned"],
            total=load(content)["total"],
            accepted=tuple(plain["accepted"]),
            rejected=tuple(NoRelease(hospital, reason) for hospital, reason in plain["rejected"]),
            missing=tuple(plain["missing"]),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def _header(content: bytes) -> Mapping[str, Any]:
    # safetensors reads its metadata from files only: eight bytes of length, then JSON.
    length = int.from_bytes(content[:8], "little")
    metadata = read_json(content[8 : 8 + length], LARGEST_HEADER)["__metadata__"]
    if metadata["format"] != _FORMAT:
        raise ValueError("another format")
    plain: Mapping[str, Any] = read_json(metadata["sum"].encode(), LARGEST_HEADER)
    return plain
