"""Signed terms: what an operator hands out, a hospital approves, and every plan carries.

    wardround-terms-2 ed25519:OPERATOR SIGNATURE
    {"contract": ... }

The first line has a fixed length, so that a reader knows whose terms these are, and verifies the signature
over the second line's bytes, before it decodes anything: what strangers write is never parsed.
"""

import re
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import get_type_hints

from protocol.bounds import LARGEST_TERMS
from protocol.canonical import canonical_json
from protocol.contract import Contract
from protocol.errors import ConfigurationError
from protocol.plain import PlainError, read_json
from protocol.section import shown
from protocol.settings import ModelSettings, TrainingSettings
from protocol.signing import Purpose, SigningKey, read_bounded, verifies, write_new
from protocol.terms import Terms, terms_from_mapping, terms_to_mapping

FORMAT = "wardround-terms-2"
_LINE = re.compile(rb"wardround-terms-2 (ed25519:[A-Za-z0-9_-]{43}) ([0-9a-f]{128})\n")
LINE_BYTES = len(FORMAT) + len(" ed25519:") + 43 + len(" ") + 128 + len("\n")


@dataclass(frozen=True)
class SignedTerms:
    """Terms with a verified signature by ``operator``'s key. Whether that key is allowed, the policy says."""

    terms: Terms
    operator: str
    signature: bytes


@dataclass(frozen=True, eq=False)
class UnreadTerms:
    """The parts of a terms file, none of them believed yet. body: the bytes that the signature is over."""

    operator: str
    signature: bytes = field(repr=False)
    body: bytes = field(repr=False)


def sign_terms(terms: Terms, key: SigningKey) -> SignedTerms:
    """Sign the canonical form of terms."""
    return SignedTerms(terms, key.public, key.sign(Purpose.TERMS, canonical_json(terms_to_mapping(terms))))


def signed_terms_to_bytes(signed: SignedTerms) -> bytes:
    """Two lines of text: format, operator's public key and signature; then the terms, canonical JSON."""
    line = f"{FORMAT} {signed.operator} {signed.signature.hex()}\n".encode()
    return line + canonical_json(terms_to_mapping(signed.terms)) + b"\n"


def signed_terms_from_bytes(payload: bytes) -> SignedTerms:
    """Split, verify, and only then decode terms; one ConfigurationError for whatever is wrong."""
    return read_terms(split_terms(payload))


def read_line(payload: bytes) -> tuple[str, bytes]:
    """Read operator and signature from a terms file's first ``LINE_BYTES``; nothing is verified.

    The key is one letter for letter, and may be of small order: ``verifies`` refuses those.
    """
    found = _LINE.match(payload[:LINE_BYTES])
    if found is None:
        if payload[:1] == b"{":  # 0.1.0 wrote one JSON object, which had to be decoded to be verified
            raise ConfigurationError("terms: is of an earlier version; ask the operator for the file again")
        raise ConfigurationError(f"terms: is not a file of the format {FORMAT}")
    return found[1].decode(), bytes.fromhex(found[2].decode())


def split_terms(payload: bytes) -> UnreadTerms:
    """Split a terms file by its grammar, in constant time; ConfigurationError where it has not the form."""
    if len(payload) > LARGEST_TERMS:
        raise ConfigurationError(f"terms: larger than {LARGEST_TERMS} bytes")
    operator, signature = read_line(payload)
    if len(payload) < LINE_BYTES + 2 or payload[-1:] != b"\n":
        raise ConfigurationError("terms: the file is cut short; ask the operator for the file again")
    return UnreadTerms(operator, signature, payload[LINE_BYTES:-1])


def read_terms(unread: UnreadTerms) -> SignedTerms:
    """Verify the signature over the body as it came, then decode it (rule 11: verified before it is parsed).

    Guarantee: the body is the one spelling of what was understood, so that nothing can hide in a file, and
    two readers never understand two things. Time and memory are linear in the body's size, whoever signed
    (``test_decoding_signed_terms_takes_linear_work``).
    """
    if not verifies(unread.operator, Purpose.TERMS, unread.body, unread.signature):
        raise ConfigurationError(
            "terms: the signature does not fit terms and operator; ask the operator for the file again"
        )
    terms = _decode(unread.body)
    if canonical_json(terms_to_mapping(terms)) != unread.body:
        raise ConfigurationError("terms: must be in canonical form; ask the operator to sign them again")
    return SignedTerms(terms, unread.operator, unread.signature)


def _decode(body: bytes) -> Terms:
    try:
        plain = read_json(body, LARGEST_TERMS)
    except PlainError as error:
        raise ConfigurationError(f"terms: {error}") from error
    if not isinstance(plain, dict):
        raise ConfigurationError("terms: must be one JSON object")
    terms = terms_from_mapping(plain)
    _require_declared_types(terms, "")
    return terms


def save_terms(signed: SignedTerms, path: Path) -> None:
    """Write a signed terms file; never overwrites."""
    write_new(path, signed_terms_to_bytes(signed), 0o644)


def load_terms(path: Path) -> SignedTerms:
    """Read and verify a signed terms file."""
    try:
        return signed_terms_from_bytes(read_bounded(path, LARGEST_TERMS))
    except OSError as error:
        raise ConfigurationError(f"terms={path}: cannot be read ({error.strerror})") from error


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
