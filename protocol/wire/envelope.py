"""What an operator asks of a hospital's agent, and what the agent answers, as bytes.

    request: "wardask2" | bytes of terms, uint32 | expires_at, uint64 | SHA-256 of the plan's head, 32 bytes
             | SHA-256 of its weights, 32 bytes | signature, 64 bytes | terms | the plan's head | its weights
    answer:  "wardans1" | 0 refusal, 1 release | signature, 64 bytes | clause's name, or the release

All numbers are little-endian; terms are ``protocol.wire.signed_terms``, plan and release ``protocol.wire.wire``. Every
request carries the study's signed terms: whoever forwards keeps no state, a hospital that joins in mid-study
or was restored from a copy needs no message of its own, and terms are small beside weights. The plan's
weights stand last, so that a server stores them once for all hospitals and sends each its own ``head``.

The operator signs the expiry and the two digests, with the key that signed the terms. So the first
``OPENING_BYTES`` tell who asks and whether that operator signed: strangers are sent away before their terms
and weights are read, and whatever is decoded was signed, byte for byte. The expiry stops an old plan from being
used up later; it must leave room for clocks that are hours off.
"""

import hashlib
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wardround.protocol.errors import MessageError, Refusal
from wardround.protocol.terms.terms import Release, RoundPlan
from wardround.protocol.text.bounds import LARGEST_TERMS
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.text import is_clause
from wardround.protocol.wire.signed_file import read_line
from wardround.protocol.wire.signed_terms import FORM as TERMS
from wardround.protocol.wire.signing import SIGNATURE_BYTES, Purpose, SigningKey, verifies
from wardround.protocol.wire.wire import (
    LARGEST_MESSAGE,
    decode_release,
    encode_plan,
    encode_plan_head,
    encode_release,
    release_signing_bytes,
    split_plan,
)

_REQUEST = struct.Struct(f"<8sIQ32s32s{SIGNATURE_BYTES}s")
_ANSWER = struct.Struct(f"<8sB{SIGNATURE_BYTES}s")
_REQUEST_MAGIC, _ANSWER_MAGIC = b"wardask2", b"wardans1"
_REFUSED, _RELEASED = 0, 1
OPENING_BYTES = _REQUEST.size + TERMS.line_bytes
LARGEST_REQUEST = _REQUEST.size + LARGEST_TERMS + LARGEST_MESSAGE
LARGEST_ANSWER = _ANSWER.size + LARGEST_MESSAGE


@dataclass(frozen=True, eq=False)
class Opening:
    """What a request's first bytes say, none of it believed yet: who asks, and what was signed.

    expires_at: whole seconds since 1970, UTC. head_digest, weights_digest: SHA-256 of the plan's two parts.
    """

    expires_at: int
    head_digest: bytes
    weights_digest: bytes
    signature: bytes = field(repr=False)
    operator: str


@dataclass(frozen=True, eq=False)
class Request:
    """The parts of a request, none of them believed yet."""

    opening: Opening
    terms: bytes = field(repr=False)
    plan: bytes | memoryview = field(repr=False)


@dataclass(frozen=True, eq=False)
class SignedRelease:
    """A release with a hospital's signature; whose, the reader checks (``signed_by_hospital``)."""

    release: Release
    signature: bytes = field(repr=False)


def sign_head(
    terms: bytes, plan: RoundPlan, expires_at: datetime, key: SigningKey, weights_digest: str | None = None
) -> bytes:
    """Sign a plan, and write the request without the weights at its end.

    ``head + weights`` (float32, little-endian) is the whole. terms: the signed terms file's bytes; key: the
    one that signed them; weights_digest: where the caller knows it already, as a server that asks many.
    """
    plan_head = encode_plan_head(plan)
    prefix = _signed_prefix(len(terms), plan_head, weights_digest or plan.weights_digest, expires_at, key)
    return b"".join([prefix, terms, plan_head])


def sign_request(terms: bytes, plan: RoundPlan, expires_at: datetime, key: SigningKey) -> bytes:
    """Sign a plan, and write the whole request."""
    prefix = _signed_prefix(len(terms), encode_plan_head(plan), plan.weights_digest, expires_at, key)
    return b"".join([prefix, terms, encode_plan(plan)])


def _signed_prefix(
    terms_bytes: int, plan_head: bytes, weights_digest: str, expires_at: datetime, key: SigningKey
) -> bytes:
    seconds = int(expires_at.astimezone(UTC).timestamp())
    head, weights = hashlib.sha256(plan_head).digest(), bytes.fromhex(weights_digest)
    signature = key.sign(Purpose.PLAN, _signing_bytes(seconds, head, weights))
    return _REQUEST.pack(_REQUEST_MAGIC, terms_bytes, seconds, head, weights, signature)


def decode_opening(first: bytes) -> Opening:
    """Read a request's first ``OPENING_BYTES``, in constant time.

    MessageError where they have not the form, ConfigurationError where the terms' first line has not.
    """
    if len(first) < _REQUEST.size:
        raise MessageError(f"request: {len(first)} bytes, must be {_REQUEST.size} to {LARGEST_REQUEST}")
    magic, length, expires_at, head_digest, weights_digest, signature = _REQUEST.unpack_from(first)
    if magic != _REQUEST_MAGIC or length > LARGEST_TERMS:
        raise MessageError(
            f"request: must be {_REQUEST_MAGIC.decode()} and terms of at most {LARGEST_TERMS} bytes"
        )
    operator, _ = read_line(TERMS, bytes(first[_REQUEST.size : OPENING_BYTES]), "terms")
    return Opening(expires_at, head_digest, weights_digest, signature, operator)


def decode_request(payload: bytes) -> Request:
    """Split a request into its parts, no more; errors as ``decode_opening``. The plan is not copied."""
    if len(payload) > LARGEST_REQUEST:
        raise MessageError(f"request: {len(payload)} bytes, must be {_REQUEST.size} to {LARGEST_REQUEST}")
    opening = decode_opening(payload[:OPENING_BYTES])
    (length,) = struct.unpack_from("<I", payload, len(_REQUEST_MAGIC))
    end = _REQUEST.size + length
    if end > len(payload):
        raise MessageError("request: is cut short")
    return Request(opening, payload[_REQUEST.size : end], memoryview(payload)[end:])


def signed_by_operator(opening: Opening) -> bool:
    """Whether the operator of these terms signed a plan with these digests and this expiry."""
    payload = _signing_bytes(opening.expires_at, opening.head_digest, opening.weights_digest)
    return verifies(opening.operator, Purpose.PLAN, payload, opening.signature)


def is_what_was_signed(request: Request) -> bool:
    """Whether the plan that came, head and weights, is the one that its opening holds the digests of."""
    head, weights = split_plan(request.plan)
    digests = hashlib.sha256(head).digest(), hashlib.sha256(weights).digest()
    return digests == (request.opening.head_digest, request.opening.weights_digest)


def _signing_bytes(expires_at: int, head_digest: bytes, weights_digest: bytes) -> bytes:
    plain = {"expires_at": expires_at, "head": head_digest.hex(), "weights": weights_digest.hex()}
    return canonical_json(plain)


def sign_release(release: Release, key: SigningKey) -> SignedRelease:
    """Sign a release with the hospital's key (always the same bytes for the same release)."""
    return SignedRelease(release, key.sign(Purpose.RELEASE, release_signing_bytes(release)))


def signed_by_hospital(signed: SignedRelease, public: str) -> bool:
    """Whether this hospital's key signed the release with all its labels."""
    return verifies(public, Purpose.RELEASE, release_signing_bytes(signed.release), signed.signature)


def encode_answer(answer: SignedRelease | Refusal) -> bytes:
    """Write an answer; of a refusal the clause's name alone."""
    if isinstance(answer, Refusal):
        return _ANSWER.pack(_ANSWER_MAGIC, _REFUSED, bytes(SIGNATURE_BYTES)) + answer.clause.encode()
    return _ANSWER.pack(_ANSWER_MAGIC, _RELEASED, answer.signature) + encode_release(answer.release)


def decode_answer(payload: bytes) -> SignedRelease | Refusal:
    """Read an answer; MessageError for anything else. The signature is not checked here."""
    if not _ANSWER.size < len(payload) <= LARGEST_ANSWER:
        raise MessageError(f"answer: {len(payload)} bytes, must be {_ANSWER.size + 1} to {LARGEST_ANSWER}")
    magic, kind, signature = _ANSWER.unpack_from(payload)
    rest = payload[_ANSWER.size :]
    if magic == _ANSWER_MAGIC and kind == _RELEASED:
        return SignedRelease(decode_release(rest), signature)
    clause = rest[:65].decode("ascii", "replace")
    if magic != _ANSWER_MAGIC or kind != _REFUSED or len(rest) > 64 or not is_clause(clause):
        raise MessageError("answer: must be a release, or the name of the clause that refuses")
    return Refusal(clause, "refused by the hospital")
