"""A trained model on disk: safetensors (arrays and text, nothing that runs), tied to its contract.

Read from bytes, not from a path: whoever checked a signature parses the very bytes that it was checked on.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError, ContractError
from wardround.protocol.files import read_bounded
from wardround.protocol.model.model import named_parameters, parameter_shapes
from wardround.protocol.model.own_module import module_digest
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.text.file_header import metadata_of
from wardround.protocol.text.form import newer_form
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import is_visible_throughout

FORMAT = "wardround-model-1"
LARGEST, LARGEST_HEADER = 2**30, 2**20  # bytes


@dataclass(frozen=True, eq=False)
class StoredModel:
    """weights: float64 [parameters]; facts: texts stored beside them (study, ε, δ, simulation …)."""

    model: ModelSettings
    weights: Floats
    facts: Mapping[str, str]


def model_bytes(contract: Contract, model: ModelSettings, weights: Floats, facts: Mapping[str, str]) -> bytes:
    """Give the file's bytes: each parameter by its name, the contract's fingerprint in the metadata."""
    named = named_parameters(model, contract.layout, weights)
    metadata = {
        **facts,
        "format": FORMAT,
        "contract": contract.name,
        "contract_fingerprint": contract.fingerprint,
        "model": json.dumps({"kind": model.kind, "hidden": list(model.hidden)}),
    }
    stored: bytes = save({name: np.ascontiguousarray(part) for name, part in named.items()}, metadata)
    return stored


def load_model(path: Path, contract: Contract) -> StoredModel:
    """Read a model for this contract: ``model_content``, then ``read_model``."""
    return read_model(model_content(path), contract, path)


def model_content(path: Path) -> bytes:
    """Read a model's bytes; ConfigurationError where there is no such file, or one too large to be a model."""
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file; give a model.safetensors")
    try:
        content = read_bounded(path, LARGEST)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > LARGEST:
        raise ConfigurationError(f"{path}: larger than {LARGEST} bytes; give a study's model.safetensors")
    return content


def read_model(content: bytes, contract: Contract, name: object) -> StoredModel:
    """Read a model for this contract from its file's bytes.

    ContractError where it is no model of Wardround's, of another contract, or of other shapes.
    """
    # The header first, within its bound; `load` would parse one of any size, and every array of a wrong model.
    metadata = _metadata(content, name)
    if newer := newer_form(metadata.get("format"), FORMAT):
        raise ContractError(f"{name}: {newer}")
    if metadata.get("format") != FORMAT:
        raise ContractError(
            f"{name}: not a model of Wardround (format {FORMAT}); give a study's model.safetensors"
        )
    if metadata.get("contract_fingerprint") != contract.fingerprint:
        theirs = f"{metadata.get('contract')} ({metadata.get('contract_fingerprint', '')[:12]}…)"
        raise ContractError(
            f"{name}: model of contract {theirs}, not of {contract.name} ({contract.fingerprint[:12]}…); "
            f"use the model or the contract that belongs to it"
        )
    try:
        parts = load(content)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise _no_model(name) from error
    return _assemble(name, contract, parts, metadata)


def contract_fingerprint(content: bytes, name: object) -> str:
    """Say which contract a model's bytes name; empty where they name none. Raises as ``read_model`` does."""
    return _metadata(content, name).get("contract_fingerprint", "")


def _metadata(content: bytes, name: object) -> dict[str, str]:
    try:
        found = metadata_of(content, LARGEST_HEADER)
    except ValueError as error:
        raise _no_model(name) from error
    # These texts go to screens and cards (rule 11).
    if not is_visible_throughout(found):
        raise ContractError(f"{name}: holds invisible characters; ask the operator for the file again")
    return found


def _no_model(name: object) -> ContractError:
    return ContractError(f"{name}: not a safetensors file; give the model.safetensors of a study")


def _assemble(
    name: object, contract: Contract, parts: Mapping[str, Floats], metadata: Mapping[str, str]
) -> StoredModel:
    try:
        described = read_json(metadata["model"].encode(), 10_000)
        model = ModelSettings(kind=described["kind"], hidden=tuple(described["hidden"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(f"{name}: does not say which model it holds") from error
    shapes = parameter_shapes(model, contract.layout)
    _check_digest(name, model, contract, metadata)
    if {part: array.shape for part, array in parts.items()} != shapes:
        raise ContractError(
            f"{name}: its parameters do not have the shapes of this contract's {model.kind} model"
        )
    if any(array.dtype.kind != "f" for array in parts.values()):
        raise ContractError(f"{name}: its parameters are not floating-point numbers; the file is damaged")
    weights = np.concatenate([parts[part].astype(np.float64).ravel() for part in shapes])
    if not np.isfinite(weights).all():
        raise ContractError(f"{name}: a parameter is not finite; the file is damaged")
    return StoredModel(model, weights, dict(metadata))


def _check_digest(
    name: object, model: ModelSettings, contract: Contract, metadata: Mapping[str, str]
) -> None:
    """Refuse to read a real study's own model into another module: its weights would mean something else."""
    stated = metadata.get("module_digest", "")
    if stated and model.structure.own_module and module_digest(model, contract.layout) != stated:
        raise ContractError(
            f"{name}: was trained as another version of the module {shown(model.kind)}; install the one of the study"
        )
