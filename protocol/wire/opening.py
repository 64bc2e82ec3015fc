"""The first bytes of a request: who asks, of which protocol, and what the operator signed; the rest is not read yet.

    opening:   speaker, 40 bytes | operator's key, 32 | SHA-256 of the statement, 32 | signature, 64 | statement
    statement: bytes of terms, uint32 | expires_at, uint64 | SHA-256 of the plan's head, 32 | SHA-256 of its weights, 32

All numbers are little-endian. What stands before the statement is laid out alike in every protocol, and the
signature covers it: so an agent knows that a listed operator wrote a request of which it understands nothing more
(``protocol.wire.speaker``). The statement is laid out by this protocol.
"""

import hashlib
import struct
from dataclasses import dataclass, field

from wardround.protocol.errors import MessageError
from wardround.protocol.text.bounds import LARGEST_TERMS
from wardround.protocol.wire.signing import (
    SIGNATURE_BYTES,
    Purpose,
    SigningKey,
    public_key_bytes,
    public_key_text,
    verifies,
)
from wardround.protocol.wire.speaker import (
    ASK,
    SPEAKER_BYTES,
    Speaker,
    speaker_from_bytes,
    speaker_to_bytes,
    this_speaker,
)

_SIGNED = struct.Struct("<32s32s")
_STATEMENT = struct.Struct("<IQ32s32s")
SIGNATURE_AT = SPEAKER_BYTES + _SIGNED.size
STATEMENT_AT = SIGNATURE_AT + SIGNATURE_BYTES
OPENING_BYTES = STATEMENT_AT + _STATEMENT.size


@dataclass(frozen=True, eq=False)
class Opening:
    """What a request's first bytes say, none of it believed yet. operator: the public key that it names."""

    speaker: Speaker
    operator: str
    statement_digest: bytes
    signature: bytes = field(repr=False)
    signed: bytes = field(repr=False)
    statement: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What an operator signed. expires_at: whole seconds since 1970, UTC; digests: SHA-256 of the plan's two parts."""

    terms_bytes: int
    expires_at: int
    head_digest: bytes
    weights_digest: bytes


def sign_opening(statement: Statement, key: SigningKey) -> bytes:
    """Sign a statement, and write the opening."""
    plain = _STATEMENT.pack(
        statement.terms_bytes, statement.expires_at, statement.head_digest, statement.weights_digest
    )
    # The signature is over the statement's digest: an agent of another protocol can verify it, and skip the rest.
    named = _SIGNED.pack(public_key_bytes(key.public), hashlib.sha256(plain).digest())
    signed = speaker_to_bytes(ASK, this_speaker()) + named
    return signed + key.sign(Purpose.PLAN, signed) + plain


def decode_opening(first: bytes) -> Opening:
    """Read a request's first ``OPENING_BYTES``, of any protocol, in constant time; MessageError where it is none."""
    speaker = speaker_from_bytes(ASK, first)
    if len(first) < STATEMENT_AT:
        raise MessageError(f"request: {len(first)} bytes, must be at least {OPENING_BYTES}")
    signed = bytes(first[:SIGNATURE_AT])
    # Any 32 bytes are taken for a key here: `verifies` refuses weak ones, where the signature is looked at.
    raw, digest = _SIGNED.unpack_from(signed, SPEAKER_BYTES)
    signature, statement = first[SIGNATURE_AT:STATEMENT_AT], first[STATEMENT_AT:OPENING_BYTES]
    return Opening(speaker, public_key_text(raw), digest, bytes(signature), signed, bytes(statement))


def signed_by_operator(opening: Opening) -> bool:
    """Whether the operator whom it names signed the opening up to its statement, and the statement's digest in it."""
    return verifies(opening.operator, Purpose.PLAN, opening.signed, opening.signature)


def is_statement_signed(opening: Opening) -> bool:
    """Whether the statement that came, in a request of this protocol, has the digest that was signed."""
    return hashlib.sha256(opening.statement).digest() == opening.statement_digest


def decode_statement(opening: Opening) -> Statement:
    """Read the statement of a request of this protocol; MessageError where it has not the form."""
    if len(opening.statement) != _STATEMENT.size:
        raise MessageError(f"request: its statement must have {_STATEMENT.size} bytes")
    terms_bytes, expires_at, head, weights = _STATEMENT.unpack(opening.statement)
    if terms_bytes > LARGEST_TERMS:
        raise MessageError(f"request: terms of at most {LARGEST_TERMS} bytes")
    return Statement(terms_bytes=terms_bytes, expires_at=expires_at, head_digest=head, weights_digest=weights)
