"""What an operator signs of a study that has ended: its model, card and reports, and a person's exception.

    model.signature   beside model.safetensors: the SHA-256 of every file that the study left, by its name
    exception.signed  at the operator, and within the signature: who signed for which limits of which model, and why

Both are signed files (``protocol.wire.signed_file``). The marks of a model (whether and until when it may be used,
what it cost, thresholds by group) stand in model.safetensors and are covered with it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.text.text import checked_name, is_line, is_name
from wardround.protocol.wire.signed_file import FileForm, read_signed, signed_content
from wardround.protocol.wire.signing import Purpose, SigningKey

MODEL, SIGNATURE = "model.safetensors", "model.signature"
LONGEST_TEXT, LONGEST_LIMIT, MOST_LIMITS = 500, 1000, 200  # characters, characters, sentences
_DIGITS = frozenset("0123456789abcdef")
SIGNATURE_FORM = FileForm(
    kind="signature",
    format="wardround-model-signature-1",
    purpose=Purpose.MODEL,
    signer="operator",
    parts=("study", "terms", "files", "exception"),
    giver="the operator",
    most=2**20,
)
EXCEPTION_FORM = FileForm(
    kind="exception",
    format="wardround-exception-1",
    purpose=Purpose.EXCEPTION,
    signer="operator",
    parts=("study", "terms", "weights", "limits", "person", "reason"),
    giver="the operator",
    most=2**19,
)


@dataclass(frozen=True, kw_only=True)
class SignedException:
    """A named person's signature under limits that a model was not shown to keep.

    terms, weights: fingerprint and ``weights_digest`` of the model that it is for; it is for no other. limits:
    the sentences that the person answered for. operator: the key that it is signed with.
    """

    study: str
    terms: str
    weights: str
    limits: tuple[str, ...]
    person: str
    reason: str
    operator: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ModelSignature:
    """Whose key answers for a study's files. files: SHA-256 in hex by name, MODEL's among them."""

    study: str
    terms: str
    files: Mapping[str, str]
    exception: SignedException | None
    operator: str


def weights_digest(weights: Floats) -> str:
    """Hash all parameters of a model, in their order. weights: float64 [parameters]."""
    # float64, as the model's file holds them; a plan's digest is of float32, as weights travel.
    return hashlib.sha256(np.asarray(weights, dtype="<f8").tobytes()).hexdigest()


def sign_exception(
    key: SigningKey, *, study: str, terms: str, weights: str, limits: Sequence[str], person: str, reason: str
) -> SignedException:
    """Sign for the limits; ConfigurationError where a text is not one line."""
    plain = {"study": study, "terms": terms, "weights": weights, "person": person, "reason": reason}
    return read_exception(signed_content(EXCEPTION_FORM, {**plain, "limits": list(limits)}, key), "new")


def read_exception(content: bytes, name: object) -> SignedException:
    """Read an exception and verify that it is signed; ConfigurationError for whatever is wrong."""
    plain = read_signed(EXCEPTION_FORM, content, name)
    _check_study(plain, f"exception={name}")
    limits = plain["limits"]
    fits = (
        isinstance(limits, list)
        and 0 < len(limits) <= MOST_LIMITS
        and all(is_line(text, LONGEST_LIMIT) for text in limits)
        and all(is_line(plain[part], LONGEST_TEXT) for part in ("person", "reason"))
        and _is_digest(plain["weights"])
    )
    allowed = (
        f"person and reason must each be one line of at most {LONGEST_TEXT} characters, and each limit a line"
    )
    require(fits, "exception", name, allowed)
    return SignedException(**{**plain, "limits": tuple(limits)}, content=content)


def sign_files(
    key: SigningKey, study: str, terms: str, files: Mapping[str, bytes], exception: SignedException | None
) -> bytes:
    """Give the bytes of ``model.signature`` for these files, by name."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    signed = None if exception is None else exception.content.decode()
    plain = {"study": study, "terms": terms, "files": digests, "exception": signed}
    return signed_content(SIGNATURE_FORM, plain, key)


def read_signature(content: bytes, name: object) -> ModelSignature:
    """Read a signature and verify that it is signed; ConfigurationError for whatever is wrong.

    An exception within it is signed by the same key, for the same study and terms.
    """
    plain = read_signed(SIGNATURE_FORM, content, name)
    where = f"signature={name}"
    _check_study(plain, where)
    files = plain["files"]
    fits = (
        isinstance(files, dict)
        and MODEL in files
        and all(is_name(one) and _is_digest(digest) for one, digest in files.items())
    )
    require(fits, "signature", name, f"must hold the digest of {MODEL} and of other files by name")
    exception = plain["exception"]
    if exception is not None:
        require(isinstance(exception, str), "signature", name, "its exception must be a signed text")
        exception = read_exception(exception.encode(), f"{name}: exception")
        # The exception's signature is valid by itself: without this check it could stand under another study's model.
        same = all(getattr(exception, part) == plain[part] for part in ("study", "terms", "operator"))
        require(same, "signature", name, "its exception is another study's, or signed by another key")
    return ModelSignature(**{**plain, "exception": exception})


def _check_study(plain: Mapping[str, Any], where: str) -> None:
    checked_name(plain["study"], f"{where}: study")
    if not _is_digest(plain["terms"]):
        raise ConfigurationError(f"{where}: terms must be a fingerprint of 64 hexadecimal digits")


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= _DIGITS
