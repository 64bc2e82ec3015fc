"""Signed terms: what an operator hands out, a hospital approves, and every plan carries (see ``signed_file``)."""

from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import get_type_hints

from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_new
from wardround.protocol.terms.reading import require_countable, terms_from_mapping
from wardround.protocol.terms.settings import ModelSettings, TrainingSettings
from wardround.protocol.terms.terms import Terms, terms_to_mapping
from wardround.protocol.text.bounds import LARGEST_TERMS
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.section import shown
from wardround.protocol.wire.signed_file import FileForm, decode, load_content, split, verify, write_signed
from wardround.protocol.wire.signing import Purpose, SigningKey, checked_public_key

FORM = FileForm(
    kind="terms",
    format="wardround-terms-2",
    purpose=Purpose.TERMS,
    signer="operator",
    giver="the operator",
    most=LARGEST_TERMS,
)


@dataclass(frozen=True)
class SignedTerms:
    """Terms with a verified signature by ``operator``'s key. Whether that key is allowed, the policy says."""

    terms: Terms
    operator: str
    signature: bytes


def sign_terms(terms: Terms, key: SigningKey) -> SignedTerms:
    """Sign the canonical form of terms; ConfigurationError where a member of their secure sums has no good key."""
    check_members(terms)
    return SignedTerms(terms, key.public, key.sign(Purpose.TERMS, canonical_json(terms_to_mapping(terms))))


def signed_terms_to_bytes(signed: SignedTerms) -> bytes:
    """Give the bytes of a signed terms file."""
    body = canonical_json(terms_to_mapping(signed.terms))
    return write_signed(FORM, signed.operator, signed.signature, body)


def signed_terms_from_bytes(payload: bytes, where: str = "terms") -> SignedTerms:
    """Split, verify, and only then decode terms; one WardroundError, one line, for whatever is wrong.

    Guarantee: the body is the one spelling of what was understood, so that nothing can hide in a file, and
    two readers never understand two things. Time and memory are linear in the body's size, whoever signed
    (``test_decoding_signed_terms_takes_linear_work``).
    """
    unread = split(FORM, payload, where)
    verify(FORM, unread, where)
    terms = terms_from_mapping(decode(FORM, unread.body, where))
    # Dataclasses check no types: 2.5 rounds, or simulation: "no" (which is true), would pass every range.
    _require_declared_types(terms, "")
    require_countable(terms)
    check_members(terms)
    # `decode` held the JSON to one spelling, this holds the terms to it: no default left out, no edge as 1.0.
    if canonical_json(terms_to_mapping(terms)) != unread.body:
        raise ConfigurationError(f"{where}: must be in canonical form; ask the operator to sign them again")
    return SignedTerms(terms, unread.signer, unread.signature)


def check_members(terms: Terms) -> None:
    """ConfigurationError, with the hospital, where a member's text is no good public key."""
    for hospital, key in terms.secure_sum.members.items() if terms.secure_sum else ():
        try:
            checked_public_key(key)
        except ConfigurationError as error:
            raise ConfigurationError(f"secure_sum.members.{hospital}: {error}") from error


def save_terms(signed: SignedTerms, path: Path) -> None:
    """Write a signed terms file; never overwrites."""
    write_new(path, signed_terms_to_bytes(signed), 0o644)


def load_terms(path: Path) -> SignedTerms:
    """Read and verify a signed terms file."""
    return signed_terms_from_bytes(load_content(FORM, path))


def _require_declared_types(settings: object, path: str) -> None:
    """Refuse what a dataclass does not declare, such as 2.5 rounds or simulation: "no"."""
    for name, declared in get_type_hints(type(settings)).items():
        value, where = getattr(settings, name), f"{path}{name}"
        if declared in (str, int, float, bool):
            # Exact types: to Python, True is an int. JSON has one kind of number: a float may be written 1.
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
