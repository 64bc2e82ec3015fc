"""From a request's bytes to a plan, or a secure sum's message, that a listed operator signed: verified before parsed.

In this order: size → who asks → the policy lists that operator → the operator signed these digests → the server
speaks this agent's protocol → the bytes have these digests → the terms' signature → terms decoded → plan decoded, or
the message of a secure sum in its place (rule 11).
Whoever fails one step costs nothing of the next: a stranger costs a look into policy and ledger, and none of his
bytes is decoded.
"""

from dataclasses import dataclass, field
from datetime import datetime

from wardround.client.home.server_releases import HERE, THEIRS
from wardround.client.ledger.port import Ledger
from wardround.client.policy.policy import Policy, operator_clause
from wardround.protocol.errors import ConfigurationError, MessageError, Refusal, WardroundError
from wardround.protocol.terms.terms import RoundPlan
from wardround.protocol.wire.envelope import Request, decode_request, is_what_was_signed
from wardround.protocol.wire.frame import kind_of
from wardround.protocol.wire.opening import (
    OPENING_BYTES,
    Opening,
    Statement,
    decode_opening,
    decode_statement,
    is_statement_signed,
    signed_by_operator,
)
from wardround.protocol.wire.signed_file import read_line
from wardround.protocol.wire.signed_terms import FORM as TERMS
from wardround.protocol.wire.signed_terms import SignedTerms, signed_terms_from_bytes
from wardround.protocol.wire.speaker import Speaker, disagreement, understands
from wardround.protocol.wire.sum_wire import (
    LARGEST_SUM_MESSAGE,
    SUM_REQUEST,
    SumRequest,
    SumStep,
    decode_sum_request,
)
from wardround.protocol.wire.wire import decode_plan


class OtherProtocol(Refusal):
    """A listed operator's server speaks another protocol. operator: its key; speaker: what it states that it is."""

    def __init__(self, operator: str, speaker: Speaker) -> None:
        """Say which side is to be upgraded."""
        line = disagreement(THEIRS, speaker, HERE)
        super().__init__("protocol", f"{line}; nothing was charged, and the study waits until then")
        self.operator, self.speaker = operator, speaker


@dataclass(frozen=True, eq=False)
class VerifiedPlan:
    """A plan with the terms that it belongs to; one listed operator's signature over each was verified.

    speaker: the server that sent it.
    """

    signed: SignedTerms
    plan: RoundPlan
    speaker: Speaker

    @property
    def what(self) -> str:
        """Say which message this is, in words."""
        return f"study {self.plan.study}, round {self.plan.round}"


@dataclass(frozen=True, eq=False)
class VerifiedSum:
    """A message of a secure sum, verified as a ``VerifiedPlan`` is.

    evidence: of a request for survivors the bytes that prove who asked it (``protocol.wire.sum_evidence``).
    """

    signed: SignedTerms
    request: SumRequest
    speaker: Speaker
    evidence: bytes = field(repr=False)

    @property
    def what(self) -> str:
        """Say which message this is, in words."""
        return f"study {self.request.study}, round {self.request.round}, {self.request.step.value} of a secure sum"


Verified = VerifiedPlan | VerifiedSum


def read_request(payload: bytes, policy: Policy, ledger: Ledger, now: datetime) -> Verified:
    """Read a request of a listed operator: a round's plan, or a message of a secure sum.

    Refusal by clause ``message``, ``operators``, ``signature``, ``protocol``, ``expired``, ``terms`` or ``plan``.
    """
    opening = check_opening(payload[:OPENING_BYTES], policy, ledger, now)
    request = _split(payload)
    _require_signed(request)
    terms = _terms(request)
    if _kind(request) == SUM_REQUEST:
        asked = _sum_request(request)
        # Of survivors alone: what set-up brings may have 64 MiB, and proves nothing.
        proves = asked.step is SumStep.SURVIVORS
        evidence = b"".join((payload[:OPENING_BYTES], request.plan)) if proves else b""
        return VerifiedSum(terms, asked, opening.speaker, evidence)
    return VerifiedPlan(terms, _plan(request), opening.speaker)


def check_opening(first: bytes, policy: Policy, ledger: Ledger, now: datetime) -> Opening:
    """Refuse by a request's first ``OPENING_BYTES``: a stranger, what no listed operator signed, what is too old.

    Constant time: a stranger is told from the policy, without any arithmetic on the key that he brought. Of another
    protocol only what no protocol changes is read: who wrote it, and whether a listed operator signed that.
    """
    try:
        opening = decode_opening(first)
    except MessageError as error:
        raise Refusal("message", str(error)) from error
    clause = operator_clause(policy, opening.operator, ledger)
    if not clause.holds:
        raise Refusal(clause.name, f"{clause.asked}; this hospital allows {clause.allowed} (policy.yaml)")
    if not signed_by_operator(opening):
        raise Refusal("signature", "the plan is not signed by the operator whom it names")
    if not understands(opening.speaker):
        raise OtherProtocol(opening.operator, opening.speaker)
    if not is_statement_signed(opening):
        raise Refusal("signature", "the statement that came is not the one that its operator signed")
    expires_at = _statement(opening).expires_at
    if now.timestamp() >= expires_at:
        raise Refusal("expired", f"the plan expired {now.timestamp() - expires_at:.0f} s ago")
    return opening


def _statement(opening: Opening) -> Statement:
    try:
        return decode_statement(opening)
    except MessageError as error:
        raise Refusal("message", str(error)) from error


def _split(payload: bytes) -> Request:
    try:
        return decode_request(payload)
    except MessageError as error:
        raise Refusal("message", str(error)) from error


def _require_signed(request: Request) -> None:
    try:
        signed = is_what_was_signed(request)
    except MessageError as error:
        raise Refusal("plan", str(error)) from error
    if not signed:
        raise Refusal("signature", "the plan that arrived is not the one that its operator signed")


def _terms(request: Request) -> SignedTerms:
    """Decode terms that the plan's own operator signed; whatever another signed is not decoded."""
    try:
        signer, _ = read_line(TERMS, request.terms[: TERMS.line_bytes], "terms")
        if signer != request.opening.operator:
            raise ConfigurationError("terms: are signed by another key than the plan")
        return signed_terms_from_bytes(request.terms)
    except WardroundError as error:
        raise Refusal("terms", str(error)) from error
    except Exception as error:  # a fault of ours in decoding: the operator must hear of it, not wait
        raise Refusal("terms", f"cannot be decoded ({type(error).__name__})") from error


def _plan(request: Request) -> RoundPlan:
    try:
        return decode_plan(request.plan)
    except MessageError as error:
        raise Refusal("plan", str(error)) from error


def _kind(request: Request) -> str:
    try:
        return kind_of(request.plan, LARGEST_SUM_MESSAGE)
    except MessageError as error:
        raise Refusal("plan", str(error)) from error


def _sum_request(request: Request) -> SumRequest:
    try:
        return decode_sum_request(request.plan)
    except MessageError as error:
        raise Refusal("message", str(error)) from error
