"""Signed terms: what an operator hands out, a hospital approves, and a study's first message carries."""

import json
import math
import re
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import get_type_hints

from protocol.canonical import canonical_json
from protocol.contract import Contract
from protocol.errors import ConfigurationError
from protocol.section import shown
from protocol.settings import ModelSettings, TrainingSettings
from protocol.signing import Purpose, SigningKey, checked_public_key, read_bounded, verifies, write_new
from protocol.terms import Terms, terms_from_mapping, terms_to_mapping

LARGEST_FILE = 4 * 2**20
FORMAT = "wardround-terms-1"


@dataclass(frozen=True)
class SignedTerms:
    """Terms with a verified signature by ``operator``'s key. Whether that key is allowed, the policy says."""

    terms: Terms
    operator: str
    signature: bytes


def sign_terms(terms: Terms, key: SigningKey) -> SignedTerms:
    """Sign the canonical form of terms."""
    return SignedTerms(terms, key.public, key.sign(Purpose.TERMS, canonical_json(terms_to_mapping(terms))))


def signed_terms_to_bytes(signed: SignedTerms) -> bytes:
    """One line of canonical JSON: format, terms, operator's public key, signature."""
    plain = {
        "format": FORMAT,
        "operator": signed.operator,
        "signature": signed.signature.hex(),
        "terms": terms_to_mapping(signed.terms),
    }
    return canonical_json(plain) + b"\n"


def signed_terms_from_bytes(payload: bytes) -> SignedTerms:
    """Read terms and verify their signature; one ConfigurationError for whatever is wrong.

    The signature is checked over the terms as understood, so that nothing unsigned can hide in the file.
    """
    if len(payload) > LARGEST_FILE:
        raise ConfigurationError(f"terms: larger than {LARGEST_FILE} bytes")
    try:
        plain = json.loads(
            payload, object_pairs_hook=_without_repeats, parse_constant=_finite, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise ConfigurationError("terms: is not a JSON file of signed terms") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise ConfigurationError(f"terms: is not a file of the format {FORMAT}")
    if set(plain) != {"format", "operator", "signature", "terms"} or not isinstance(plain["terms"], dict):
        raise ConfigurationError("terms: must hold format, operator, signature and terms, and nothing else")
    operator = checked_public_key(plain["operator"])
    terms = terms_from_mapping(plain["terms"])
    _require_declared_types(terms, "")
    signature = _signature(plain["signature"])
    if not verifies(operator, Purpose.TERMS, canonical_json(terms_to_mapping(terms)), signature):
        raise ConfigurationError(
            "terms: the signature does not fit terms and operator; ask the operator for the file again"
        )
    return SignedTerms(terms, operator, signature)


def save_terms(signed: SignedTerms, path: Path) -> None:
    """Write a signed terms file; never overwrites."""
    write_new(path, signed_terms_to_bytes(signed), 0o644)


def load_terms(path: Path) -> SignedTerms:
    """Read and verify a signed terms file."""
    try:
        return signed_terms_from_bytes(read_bounded(path, LARGEST_FILE))
    except OSError as error:
        raise ConfigurationError(f"terms={path}: cannot be read ({error.strerror})") from error


def _signature(text: object) -> bytes:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-f]{128}", text):
        raise ConfigurationError("terms: signature must be 128 hexadecimal digits")
    return bytes.fromhex(text)


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    plain = dict(pairs)
    if len(plain) < len(pairs):
        raise ValueError("a key stands twice")
    return plain


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number


def _require_declared_types(settings: object, path: str) -> None:
    """Refuse what a dataclass does not declare, such as 2.5 rounds or simulation: "no"."""
    for name, declared in get_type_hints(type(settings)).items():
        value, where = getattr(settings, name), f"{path}{name}"
        if declared in (str, int, float, bool):
            kinds = (int, float) if declared is float else (declared,)
            if type(value) not in kinds:
                raise ConfigurationError(f"{where}={shown(value)}: must be of type {declared.__name__}")
        elif is_dataclass(declared) and declared is not Contract:
            _require_declared_types(value, f"{where}.")
    if isinstance(settings, TrainingSettings):
        for hospital, patients in settings.public_patients.items():
            if type(patients) is not int:
                raise ConfigurationError(
                    f"training.public_patients.{shown(hospital)}: must be a whole number"
                )
    if isinstance(settings, ModelSettings) and any(type(width) is not int for width in settings.hidden):
        raise ConfigurationError(f"model.hidden={shown(settings.hidden)}: must be whole numbers")
