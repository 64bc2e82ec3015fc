"""How far a study's noise may have moved its weights, beside the model: one array, tied to its contract.

Public: it follows from the terms and from what was released (``wardround.server.algorithm.weight_error``). A hospital
proposes another message than the standard one only where its gain exceeds what this says of its error.
"""

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ContractError
from wardround.protocol.model.model_file import contract_fingerprint

WEIGHT_ERROR = "weight_error.safetensors"
_FACTOR = "factor"


def weight_error_bytes(contract: Contract, factor: Floats) -> bytes:
    """Give the file's bytes. factor: A [width, r] of the effects' covariance A Aᵀ; kept as float32."""
    # One entry alone: of several, safetensors writes the order as it comes.
    metadata = {"contract_fingerprint": contract.fingerprint}
    stored: bytes = save({_FACTOR: np.ascontiguousarray(factor, np.float32)}, metadata)
    return stored


def read_weight_error(content: bytes, contract: Contract, name: object) -> Floats:
    """Read A: float64 [width, r]; ContractError where it is another contract's, or no such file."""
    remedy = "ask the operator for the study's files again"
    if contract_fingerprint(content, name) != contract.fingerprint:
        raise ContractError(f"{name}: is of another contract than {contract.name}; {remedy}")
    try:
        factor = np.asarray(load(content)[_FACTOR], np.float64)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise ContractError(f"{name}: holds no weights' error; {remedy}") from error
    if factor.ndim != 2 or factor.shape[0] != contract.layout.width or not np.isfinite(factor).all():
        raise ContractError(f"{name}: does not fit contract {contract.name}; {remedy}")
    return factor
