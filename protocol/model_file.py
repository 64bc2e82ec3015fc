"""A trained model on disk: safetensors (arrays and text, nothing that runs), tied to its contract."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from protocol.contract import Contract
from protocol.errors import ConfigurationError, ContractError
from protocol.model import named_parameters, parameter_shapes
from protocol.settings import ModelSettings

FORMAT = "wardround-model-1"


@dataclass(frozen=True, eq=False)
class StoredModel:
    """weights: float64 [parameters]; facts: texts stored beside them (study, ε, δ, simulation …)."""

    model: ModelSettings
    weights: NDArray[np.float64]
    facts: Mapping[str, str]


def model_bytes(
    contract: Contract, model: ModelSettings, weights: NDArray[np.float64], facts: Mapping[str, str]
) -> bytes:
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
    """Read a model for this contract.

    ConfigurationError where there is no such file; ContractError where it is no model of Wardround's, of
    another contract, or of other shapes.
    """
    metadata, parts = _read(path)
    if metadata.get("format") != FORMAT:
        raise ContractError(
            f"{path}: not a model of Wardround (format {FORMAT}); give a study's model.safetensors"
        )
    if metadata.get("contract_fingerprint") != contract.fingerprint:
        theirs = f"{metadata.get('contract')} ({metadata.get('contract_fingerprint', '')[:12]}…)"
        raise ContractError(
            f"{path}: model of contract {theirs}, not of {contract.name} ({contract.fingerprint[:12]}…); "
            f"use the model or the contract that belongs to it"
        )
    return _assemble(path, contract, parts, metadata)


def contract_fingerprint(path: Path) -> str:
    """Say which contract a model file names; empty where it names none. Raises as ``load_model`` does."""
    return _read(path)[0].get("contract_fingerprint", "")


def _read(path: Path) -> tuple[dict[str, str], dict[str, NDArray[np.float64]]]:
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file; give a model.safetensors")
    try:
        with safe_open(path, framework="numpy") as file:
            parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            return dict(file.metadata() or {}), parts
    except (SafetensorError, ValueError, TypeError) as error:
        raise ContractError(
            f"{path}: not a safetensors file; give the model.safetensors of a study"
        ) from error


def _assemble(
    path: Path, contract: Contract, parts: Mapping[str, NDArray[np.float64]], metadata: Mapping[str, str]
) -> StoredModel:
    try:
        described = json.loads(metadata["model"])
        model = ModelSettings(kind=described["kind"], hidden=tuple(described["hidden"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(f"{path}: does not say which model it holds") from error
    shapes = parameter_shapes(model, contract.layout)
    if {name: part.shape for name, part in parts.items()} != shapes:
        raise ContractError(
            f"{path}: its parameters do not have the shapes of this contract's {model.kind} model"
        )
    weights = np.concatenate([parts[name].astype(np.float64).ravel() for name in shapes])
    if not np.isfinite(weights).all():
        raise ContractError(f"{path}: a parameter is not finite; the file is damaged")
    return StoredModel(model, weights, dict(metadata))
