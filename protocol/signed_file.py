"""Signed files: one line of canonical JSON, every byte of which its signer's key answers for.

    {"format": …, the parts, the signer's public key, "signature": 128 hexadecimal digits}

Guarantee: a file that reads has one spelling. What another reader of JSON forgives (a space, another order, the
same number written otherwise) is refused, so that a file with one byte changed anywhere is refused, and the
SHA-256 of its bytes stands for all that it says (``digits_to_compare``; ``sha256sum`` shows the same digits).
That the signature fits says only who wrote the file: whether that key is to be trusted, its reader decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.canonical import canonical_json
from protocol.errors import ConfigurationError
from protocol.plain import PlainError, read_json
from protocol.signing import Purpose, SigningKey, checked_public_key, read_bounded, verifies

_SIGNATURE = re.compile("[0-9a-f]{128}")


@dataclass(frozen=True, kw_only=True)
class FileForm:
    """One kind of signed file.

    kind: its word in errors. signer: the part that holds the signer's public key. parts: all others. giver:
    whom to ask for the file again. most: bytes.
    """

    kind: str
    format: str
    purpose: Purpose
    signer: str
    parts: tuple[str, ...]
    giver: str
    most: int = 2**16


def signed_content(form: FileForm, plain: Mapping[str, Any], key: SigningKey) -> bytes:
    """Sign the parts and give the file's bytes."""
    parts = {**plain, form.signer: key.public}
    signature = key.sign(form.purpose, canonical_json(parts)).hex()
    return canonical_json({**parts, "format": form.format, "signature": signature}) + b"\n"


def read_signed(form: FileForm, content: bytes, name: object) -> dict[str, Any]:
    """Give the parts, the signer's key among them; one ConfigurationError ``kind=name: …`` for whatever is wrong.

    The parts are of any plain type: their reader checks them.
    """
    where, remedy = f"{form.kind}={name}", f"ask {form.giver} for it again"
    try:
        plain = read_json(content, form.most)
    except PlainError as error:
        raise ConfigurationError(f"{where}: {error}; {remedy}") from error
    if not isinstance(plain, dict) or plain.pop("format", None) != form.format:
        raise ConfigurationError(f"{where}: is not a file of the format {form.format}; {remedy}")
    signature = plain.pop("signature", None)
    if set(plain) != {*form.parts, form.signer}:
        raise ConfigurationError(f"{where}: does not hold the parts of the format {form.format}; {remedy}")
    if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
        raise ConfigurationError(f"{where}: its signature is not 128 hexadecimal digits; {remedy}")
    try:
        signer = checked_public_key(plain[form.signer])
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {form.signer}: is not a public key; {remedy}") from error
    fits = verifies(signer, form.purpose, canonical_json(plain), bytes.fromhex(signature))
    whole = canonical_json({**plain, "format": form.format, "signature": signature}) + b"\n"
    if not fits or whole != content:
        raise ConfigurationError(
            f"{where}: its signature does not fit: it was changed after it was signed; {remedy}"
        )
    return plain


def load_content(form: FileForm, path: Path) -> bytes:
    """Read a file's bytes for ``read_signed``; ConfigurationError where it cannot be read."""
    try:
        return read_bounded(path, form.most)
    except OSError as error:
        raise ConfigurationError(f"{form.kind}={path}: cannot be read ({error.strerror})") from error
