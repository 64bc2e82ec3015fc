"""Signed files: a line that says whose, then one line of canonical JSON, every byte of which that key answers for.

    wardround-kit-2 ed25519:KEY SIGNATURE
    {"address": ... }

The first line has a fixed length for each kind, so that a reader knows whose file it is, and verifies the
signature over the second line's bytes, before it decodes anything: what strangers write is never parsed (rule 11).

Guarantee: a file that reads has one spelling. What another reader of JSON forgives (a space, another order, the
same number written otherwise) is refused, so that a file with one byte changed anywhere is refused, and the
SHA-256 of its bytes stands for all that it says (``signing.digits_to_compare``; ``sha256sum`` shows the same
digits). That the signature fits says only who wrote the file: whether that key is to be trusted, its reader decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.form import newer_form
from wardround.protocol.text.plain import PlainError, read_json
from wardround.protocol.wire.signing import Purpose, SigningKey, checked_public_key, verifies

# Lower case alone: bytes.fromhex also takes upper case and spaces, and a file must have one spelling.
_SIGNER = re.compile(rb" (ed25519:[A-Za-z0-9_-]{43}) ([0-9a-f]{128})\n")
_SIGNER_BYTES = len(" ed25519:") + 43 + len(" ") + 128 + len("\n")


class EarlierForm(ConfigurationError):
    """A file is of a form that an earlier release wrote, and this one does not read."""


@dataclass(frozen=True, kw_only=True)
class FileForm:
    """One kind of signed file.

    kind: its word in errors. format: how its first line begins. signer: what its reader calls the signer's public
    key. parts: what the body holds, all of it; empty where its reader checks that. giver: whom to ask for the file
    again. most: bytes of the whole.
    """

    kind: str
    format: str
    purpose: Purpose
    signer: str
    parts: tuple[str, ...] = ()
    giver: str
    most: int = 2**16

    @property
    def line_bytes(self) -> int:
        """Length of the first line, its end included."""
        return len(self.format) + _SIGNER_BYTES


@dataclass(frozen=True, eq=False)
class Unread:
    """The parts of a signed file, none of them believed yet. body: the bytes that the signature is over."""

    signer: str
    signature: bytes = field(repr=False)
    body: bytes = field(repr=False)


def sign_body(form: FileForm, body: bytes, key: SigningKey) -> bytes:
    """Sign a body and give the file's bytes."""
    return write_signed(form, key.public, key.sign(form.purpose, body), body)


def write_signed(form: FileForm, signer: str, signature: bytes, body: bytes) -> bytes:
    """Give the bytes of a file that is signed already."""
    return f"{form.format} {signer} {signature.hex()}\n".encode() + body + b"\n"


def signed_content(form: FileForm, plain: Mapping[str, Any], key: SigningKey) -> bytes:
    """Sign plain parts and give the file's bytes."""
    return sign_body(form, canonical_json(plain), key)


def read_line(form: FileForm, first: bytes, where: str) -> tuple[str, bytes]:
    """Read signer and signature from the first ``form.line_bytes``; nothing is verified.

    The key is one letter for letter, and may be of small order: ``verifies`` refuses those. ConfigurationError
    ``where: …`` where the line has not the form.
    """
    start = len(form.format)
    found = _SIGNER.fullmatch(first[start : form.line_bytes])
    if first[:start] != form.format.encode() or found is None:
        if first[:1] == b"{":  # 0.1.0 wrote JSON objects, which had to be decoded to be verified
            raise EarlierForm(f"{where}: is of an earlier version; {_remedy(form)}")
        if newer := newer_form(first.partition(b" ")[0].decode("ascii", "replace"), form.format):
            raise ConfigurationError(f"{where}: {newer}")
        raise ConfigurationError(f"{where}: is not a file of the format {form.format}; {_remedy(form)}")
    return found[1].decode(), bytes.fromhex(found[2].decode())


def split(form: FileForm, content: bytes, where: str) -> Unread:
    """Split a file by its grammar, in constant time; ConfigurationError where it has not the form."""
    if len(content) > form.most:
        raise ConfigurationError(f"{where}: is larger than {form.most} bytes; {_remedy(form)}")
    signer, signature = read_line(form, content, where)
    if len(content) < form.line_bytes + 2 or content[-1:] != b"\n":
        raise ConfigurationError(f"{where}: is cut short; {_remedy(form)}")
    return Unread(signer, signature, content[form.line_bytes : -1])


def verify(form: FileForm, unread: Unread, where: str) -> None:
    """Return where the signer signed this body for this purpose; else ConfigurationError."""
    if verifies(unread.signer, form.purpose, unread.body, unread.signature):
        return
    try:
        # The file is refused already; this finds out whether the key or the signature is to blame.
        checked_public_key(unread.signer)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {form.signer}: {error}") from error
    raise ConfigurationError(
        f"{where}: its signature does not fit: it was changed after it was signed; {_remedy(form)}"
    )


def decode(form: FileForm, body: bytes, where: str) -> dict[str, Any]:
    """Decode a verified body; ConfigurationError where it is no JSON object, or not in its one spelling."""
    try:
        plain = read_json(body, form.most)
    except PlainError as error:
        raise ConfigurationError(f"{where}: {error}; {_remedy(form)}") from error
    if not isinstance(plain, dict) or canonical_json(plain) != body:
        raise ConfigurationError(
            f"{where}: must be one JSON object in canonical form; ask {form.giver} to sign it again"
        )
    return plain


def read_signed(form: FileForm, content: bytes, name: object) -> dict[str, Any]:
    """Split, verify, decode: give the parts, the signer's key among them as ``form.signer``.

    The parts are of any plain type: their reader checks them. One ConfigurationError ``kind=name: …`` for whatever
    is wrong.
    """
    where = f"{form.kind}={name}"
    unread = split(form, content, where)
    verify(form, unread, where)
    plain = decode(form, unread.body, where)
    if set(plain) != set(form.parts):
        raise ConfigurationError(
            f"{where}: does not hold the parts of the format {form.format}; {_remedy(form)}"
        )
    return {**plain, form.signer: unread.signer}


class SignedFile(Protocol):
    """Whatever was read from, or made as, a signed file."""

    @property
    def content(self) -> bytes:
        """The file's bytes."""


def save_signed(signed: SignedFile, path: Path) -> None:
    """Write a signed file that others may read; ConfigurationError where one is there already."""
    write_new(path, signed.content, 0o644)


def load_content(form: FileForm, path: Path) -> bytes:
    """Read a file's bytes; ConfigurationError where it cannot be read."""
    try:
        return read_bounded(path, form.most)
    except OSError as error:
        raise ConfigurationError(f"{form.kind}={path}: cannot be read ({error.strerror})") from error


def _remedy(form: FileForm) -> str:
    return f"ask {form.giver} for the file again"
