"""Sums of evaluations, and of a query, on disk, atomic, durable and self-checking; never asked for again.

One file per evaluation (``server.store.state_file``), by the round that it followed.
What is reported of a model is read off these files alone, so that its card can be written again at any time.
"""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load, save

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.file_header import LARGEST_METADATA, metadata_of
from wardround.protocol.text.form import newer_form
from wardround.protocol.text.plain import read_json
from wardround.server.algorithm.screen import NoRelease
from wardround.server.evaluation.evaluation import TableSum
from wardround.server.store.state_file import read_state, state_files, write_state

_FORMAT = "wardround-tables-1"
_OWN = "own/"


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
    vectors = {"total": found.total, **{f"{_OWN}{name}": own for name, own in found.own.items()}}
    return write_state(folder, found.round, save(vectors, metadata=metadata))


def load_sum(folder: Path, terms_fingerprint: str, round_number: int) -> TableSum | None:
    """Read the evaluation after a round; None where none is kept whole under these terms.

    ConfigurationError where a newer release wrote it: to ask again would not bring those bytes into this form.
    """
    files = state_files(folder) if folder.is_dir() else []
    for path in [path for number, path in files if number == round_number]:
        found = _read(path, terms_fingerprint)
        if found is not None and found.round == round_number:
            return found
    return None


def _read(path: Path, terms_fingerprint: str) -> TableSum | None:
    try:
        content = read_state(path)
        if content is None:
            return None
        metadata = metadata_of(content)
        if newer := newer_form(metadata["format"], _FORMAT):
            raise ConfigurationError(f"sum={path}: {newer}")
        plain = read_json(metadata["sum"].encode(), LARGEST_METADATA)
        if metadata["format"] != _FORMAT or plain["terms_fingerprint"] != terms_fingerprint:
            return None
        vectors = load(content)
        return TableSum(
            round=plain["round"],
            weights_digest=plain["weights_digest"],
            planned=plain["planned"],
            total=vectors["total"],
            accepted=tuple(plain["accepted"]),
            rejected=tuple(NoRelease(hospital, reason) for hospital, reason in plain["rejected"]),
            missing=tuple(plain["missing"]),
            own={key.removeprefix(_OWN): own for key, own in vectors.items() if key.startswith(_OWN)},
        )
    except (ValueError, KeyError, TypeError, SafetensorError):
        return None
