"""What an operator asks of a hospital's agent, and what the agent answers, as bytes.

    request: opening (``protocol.wire.opening``) | terms | the plan's head | its weights
    answer:  speaker, 40 bytes | 0 refusal, 1 release, 2 sum answer | signature, 64 bytes | clause's name, or the answer

All numbers are little-endian; terms are ``protocol.wire.signed_terms``, plan and release ``protocol.wire.wire``. A
request of a secure sum (``protocol.wire.sum_wire``) stands in a plan's place, its body in that of the weights. Every
request carries the study's signed terms: whoever forwards keeps no state, a hospital that joins in mid-study
or was restored from a copy needs no message of its own, and terms are small beside weights. The plan's
weights stand last, so that a server stores them once for all hospitals and sends each its own ``head``.

The operator signs the expiry and the plan's two digests, with the key that signed the terms. So the first
``OPENING_BYTES`` tell who asks and whether that operator signed: strangers are sent away before their terms
and weights are read, and whatever is decoded was signed, byte for byte. The expiry stops an old plan from being
used up later; it must leave room for clocks that are hours off.

Both begin with who wrote them (``protocol.wire.speaker``), which their signatures cover.
"""

import hashlib
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wardround.protocol.errors import MessageError, Refusal
from wardround.protocol.terms.terms import Release, RoundPlan
from wardround.protocol.text.bounds import LARGEST_TERMS
from wardround.protocol.text.text import is_clause
from wardround.protocol.wire.opening import (
    OPENING_BYTES,
    Opening,
    Statement,
    decode_opening,
    decode_statement,
    sign_opening,
)
from wardround.protocol.wire.signing import SIGNATURE_BYTES, Purpose, SigningKey, verifies
from wardround.protocol.wire.speaker import (
    ANSWER,
    SPEAKER_BYTES,
    Speaker,
    speaker_from_bytes,
    speaker_to_bytes,
    this_speaker,
    understands,
)
from wardround.protocol.wire.sum_wire import (
    SumAnswer,
    SumRequest,
    decode_sum_answer,
    encode_sum_answer,
    encode_sum_head,
    sum_signing_bytes,
)
from wardround.protocol.wire.wire import (
    LARGEST_MESSAGE,
    decode_release,
    encode_plan,
    encode_plan_head,
    encode_release,
    release_signing_bytes,
    split_plan,
)

_ANSWER = struct.Struct(f"<B{SIGNATURE_BYTES}s")
_ANSWER_BYTES = SPEAKER_BYTES + _ANSWER.size
_REFUSED, _RELEASED, _SUM_ANSWERED = 0, 1, 2
LARGEST_REQUEST = OPENING_BYTES + LARGEST_TERMS + LARGEST_MESSAGE
LARGEST_ANSWER = _ANSWER_BYTES + LARGEST_MESSAGE


@dataclass(frozen=True, eq=False)
class Request:
    """The parts of a request, none of them believed yet."""

    opening: Opening
    statement: Statement
    terms: bytes = field(repr=False)
    plan: bytes | memoryview = field(repr=False)


@dataclass(frozen=True, eq=False)
class SignedRelease:
    """A release with a hospital's signature; whose, the reader checks (``signed_by_hospital``).

    speaker: the agent that sends it now. A release that was stored may have been computed by an earlier one.
    """

    release: Release
    speaker: Speaker
    signature: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class SignedSumAnswer:
    """An answer of a secure sum with a hospital's signature; whose, the reader checks (``sum_answer_signed_by``)."""

    answer: SumAnswer
    speaker: Speaker
    signature: bytes = field(repr=False)


def sign_head(
    terms: bytes, plan: RoundPlan, expires_at: datetime, key: SigningKey, weights_digest: str | None = None
) -> bytes:
    """Sign a plan, and write the request without the weights at its end.

    ``head + weights`` (float32, little-endian) is the whole. terms: the signed terms file's bytes; key: the
    one that signed them; weights_digest: where the caller knows it already, as a server that asks many.
    """
    plan_head = encode_plan_head(plan)
    opening = _opening(len(terms), plan_head, weights_digest or plan.weights_digest, expires_at, key)
    return b"".join([opening, terms, plan_head])


def sign_request(terms: bytes, plan: RoundPlan, expires_at: datetime, key: SigningKey) -> bytes:
    """Sign a plan, and write the whole request."""
    opening = _opening(len(terms), encode_plan_head(plan), plan.weights_digest, expires_at, key)
    return b"".join([opening, terms, encode_plan(plan)])


def sign_sum_request(terms: bytes, request: SumRequest, expires_at: datetime, key: SigningKey) -> bytes:
    """Sign a request of a secure sum, and write the whole; without its body it is what ``sign_head`` is of a plan."""
    head = encode_sum_head(request)
    opening = _opening(len(terms), head, request.body_digest, expires_at, key)
    return b"".join([opening, terms, head, request.body])


def _opening(
    terms_bytes: int, plan_head: bytes, weights_digest: str, expires_at: datetime, key: SigningKey
) -> bytes:
    statement = Statement(
        terms_bytes=terms_bytes,
        expires_at=int(expires_at.astimezone(UTC).timestamp()),
        head_digest=hashlib.sha256(plan_head).digest(),
        weights_digest=bytes.fromhex(weights_digest),
    )
    return sign_opening(statement, key)


def decode_request(payload: bytes) -> Request:
    """Split a request of this protocol into its parts, no more; MessageError for anything else.

    The plan is not copied.
    """
    if len(payload) > LARGEST_REQUEST:
        raise MessageError(f"request: {len(payload)} bytes, must be at most {LARGEST_REQUEST}")
    opening = decode_opening(payload[:OPENING_BYTES])
    statement = decode_statement(opening)
    end = OPENING_BYTES + statement.terms_bytes
    # Nothing is verified yet: a stranger chose terms_bytes, which `decode_statement` has bounded.
    if end > len(payload):
        raise MessageError("request: is cut short")
    return Request(opening, statement, payload[OPENING_BYTES:end], memoryview(payload)[end:])


def is_what_was_signed(request: Request) -> bool:
    """Whether the plan that came, head and weights, is the one that the statement holds the digests of."""
    head, weights = split_plan(request.plan)
    digests = hashlib.sha256(head).digest(), hashlib.sha256(weights).digest()
    # A plain comparison: both digests are public, and its time tells nothing.
    return digests == (request.statement.head_digest, request.statement.weights_digest)


def sign_release(release: Release, key: SigningKey) -> SignedRelease:
    """Sign a release with the hospital's key (always the same bytes for the same release, as this program sends it)."""
    speaker = this_speaker()
    return SignedRelease(release, speaker, key.sign(Purpose.RELEASE, _signed_bytes(release, speaker)))


def signed_by_hospital(signed: SignedRelease, public: str) -> bool:
    """Whether this hospital's key signed the release with all its labels, and who sends it."""
    payload = _signed_bytes(signed.release, signed.speaker)
    return verifies(public, Purpose.RELEASE, payload, signed.signature)


def sign_sum_answer(answer: SumAnswer, key: SigningKey) -> SignedSumAnswer:
    """Sign an answer of a secure sum with the hospital's key."""
    speaker = this_speaker()
    return SignedSumAnswer(answer, speaker, key.sign(Purpose.SUM_ANSWER, _sum_signed_bytes(answer, speaker)))


def sum_answer_signed_by(signed: SignedSumAnswer, public: str) -> bool:
    """Whether this hospital's key signed the answer with all its labels, and who sends it."""
    payload = _sum_signed_bytes(signed.answer, signed.speaker)
    return verifies(public, Purpose.SUM_ANSWER, payload, signed.signature)


def _sum_signed_bytes(answer: SumAnswer, speaker: Speaker) -> bytes:
    return speaker_to_bytes(ANSWER, speaker) + sum_signing_bytes(answer)


def _signed_bytes(release: Release, speaker: Speaker) -> bytes:
    return speaker_to_bytes(ANSWER, speaker) + release_signing_bytes(release)


def encode_answer(answer: SignedRelease | SignedSumAnswer | Refusal) -> bytes:
    """Write an answer; of a refusal the clause's name alone."""
    if isinstance(answer, Refusal):
        head = speaker_to_bytes(ANSWER, this_speaker())
        return head + _ANSWER.pack(_REFUSED, bytes(SIGNATURE_BYTES)) + answer.clause.encode()
    # The speaker under the signature, also where a later program sends a stored release.
    head = speaker_to_bytes(ANSWER, answer.speaker)
    if isinstance(answer, SignedSumAnswer):
        return head + _ANSWER.pack(_SUM_ANSWERED, answer.signature) + encode_sum_answer(answer.answer)
    return head + _ANSWER.pack(_RELEASED, answer.signature) + encode_release(answer.release)


def answering_speaker(payload: bytes) -> Speaker:
    """Say who answers, whatever protocol it speaks; MessageError where this is no answer."""
    return speaker_from_bytes(ANSWER, payload)


def decode_answer(payload: bytes) -> SignedRelease | SignedSumAnswer | Refusal:
    """Read an answer of this protocol; MessageError for anything else. The signature is not checked here."""
    speaker = answering_speaker(payload)
    if not understands(speaker):
        raise MessageError(f"answer: is of protocol {speaker.protocol}")
    if not _ANSWER_BYTES < len(payload) <= LARGEST_ANSWER:
        raise MessageError(f"answer: {len(payload)} bytes, must be {_ANSWER_BYTES + 1} to {LARGEST_ANSWER}")
    kind, signature = _ANSWER.unpack_from(payload, SPEAKER_BYTES)
    rest = payload[_ANSWER_BYTES:]
    if kind == _RELEASED:
        return SignedRelease(decode_release(rest), speaker, signature)
    if kind == _SUM_ANSWERED:
        return SignedSumAnswer(decode_sum_answer(rest), speaker, signature)
    # Cut before decoding: a refusal from outside may be as long as the largest release.
    clause = rest[:65].decode("ascii", "replace")
    if kind != _REFUSED or len(rest) > 64 or not is_clause(clause):
        raise MessageError("answer: must be a release, or the name of the clause that refuses")
    return Refusal(clause, "refused by the hospital")
