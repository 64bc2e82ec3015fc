"""What an operator asks of a hospital's agent, and what the agent answers, as bytes.

    request: "wardask1" | bytes of terms, uint32 | expires_at, uint64 | signature, 64 bytes | terms | plan
    answer:  "wardans1" | 0 refusal, 1 release | signature, 64 bytes | clause's name, or the release

All numbers are little-endian; terms are ``protocol.signed_terms``, plan and release ``protocol.wire``. Every
request carries the study's signed terms: whoever forwards keeps no state, a hospital that joins in mid-study
or was restored from a copy needs no message of its own, and terms are small beside weights. The plan's
weights stand last, so that a server stores them once for all hospitals and sends each its own ``head``.

The operator signs the plan's labels, the digest of its weights and its expiry, with the key that signed the
terms. The expiry stops an old plan from being used up later; it must leave room for clocks that are hours off.
"""

import re
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime

from protocol.canonical import canonical_json
from protocol.errors import MessageError, Refusal
from protocol.signed_terms import LARGEST_FILE
from protocol.signing import SIGNATURE_BYTES, Purpose, SigningKey, verifies
from protocol.terms import Release, RoundPlan
from protocol.wire import (
    LARGEST_MESSAGE,
    decode_release,
    encode_plan,
    encode_release,
    plan_signing_bytes,
    release_signing_bytes,
)

_REQUEST = struct.Struct(f"<8sIQ{SIGNATURE_BYTES}s")
_ANSWER = struct.Struct(f"<8sB{SIGNATURE_BYTES}s")
_REQUEST_MAGIC, _ANSWER_MAGIC = b"wardask1", b"wardans1"
_REFUSED, _RELEASED = 0, 1
_CLAUSE = re.compile(r"[a-z][a-z0-9_]{0,63}")
LARGEST_REQUEST = _REQUEST.size + LARGEST_FILE + LARGEST_MESSAGE
LARGEST_ANSWER = _ANSWER.size + LARGEST_MESSAGE


@dataclass(frozen=True, eq=False)
class Request:
    """The parts of a request, none of them believed yet. expires_at: whole seconds since 1970, UTC."""

    terms: bytes = field(repr=False)
    plan: bytes = field(repr=False)
    expires_at: int
    signature: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class SignedRelease:
    """A release with a hospital's signature; whose, the reader checks (``signed_by_hospital``)."""

    release: Release
    signature: bytes = field(repr=False)


def request_signing_bytes(plan: RoundPlan, expires_at: int) -> bytes:
    """Give what an operator signs: the plan (``wire.plan_signing_bytes``) and its expiry."""
    return canonical_json({"expires_at": expires_at, "plan": plan_signing_bytes(plan).decode()})


def sign_request(terms: bytes, plan: RoundPlan, expires_at: datetime, key: SigningKey) -> Request:
    """Sign a plan. terms: the signed terms file's bytes; key: the one that signed them."""
    seconds = int(expires_at.astimezone(UTC).timestamp())
    signature = key.sign(Purpose.PLAN, request_signing_bytes(plan, seconds))
    return Request(terms, encode_plan(plan), seconds, signature)


def encode_request(request: Request) -> bytes:
    """Write a request."""
    prefix = _REQUEST.pack(_REQUEST_MAGIC, len(request.terms), request.expires_at, request.signature)
    return b"".join([prefix, request.terms, request.plan])


def request_head(request: Request, parameters: int) -> bytes:
    """Write a request without the weights at its end: ``head + weights`` (float32, little-endian) is whole."""
    return encode_request(request)[: -4 * parameters or None]


def decode_request(payload: bytes) -> Request:
    """Split a request into its parts, no more; MessageError where it has not the form."""
    if not _REQUEST.size <= len(payload) <= LARGEST_REQUEST:
        raise MessageError(f"request: {len(payload)} bytes, must be {_REQUEST.size} to {LARGEST_REQUEST}")
    magic, length, expires_at, signature = _REQUEST.unpack_from(payload)
    end = _REQUEST.size + length
    if magic != _REQUEST_MAGIC or length > LARGEST_FILE or end > len(payload):
        raise MessageError(
            f"request: must be {_REQUEST_MAGIC.decode()} and terms of at most {LARGEST_FILE} bytes"
        )
    return Request(payload[_REQUEST.size : end], payload[end:], expires_at, signature)


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
    if magic != _ANSWER_MAGIC or kind != _REFUSED or len(rest) > 64 or not _CLAUSE.fullmatch(clause):
        raise MessageError("answer: must be a release, or the name of the clause that refuses")
    return Refusal(clause, "refused by the hospital")
