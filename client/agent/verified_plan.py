"""From a request's bytes to a plan that a listed operator signed: verified before it is parsed (rule 11).

In this order: size → who asks → the policy lists that operator → the operator signed these digests → the bytes
have them → the terms' signature → terms decoded → plan decoded. Whoever fails one step costs nothing of the
next: a stranger costs a look into policy and ledger, and none of his bytes is decoded.
"""

from dataclasses import dataclass
from datetime import datetime

from wardround.client.ledger.port import Ledger
from wardround.client.policy.policy import Policy, operator_clause
from wardround.protocol.errors import ConfigurationError, MessageError, Refusal, WardroundError
from wardround.protocol.terms.terms import RoundPlan
from wardround.protocol.wire.envelope import (
    OPENING_BYTES,
    Opening,
    Request,
    decode_opening,
    decode_request,
    is_what_was_signed,
    signed_by_operator,
)
from wardround.protocol.wire.signed_terms import SignedTerms, signed_terms_from_bytes
from wardround.protocol.wire.wire import decode_plan


@dataclass(frozen=True, eq=False)
class VerifiedPlan:
    """A plan with the terms that it belongs to; one listed operator's signature over each was verified."""

    signed: SignedTerms
    plan: RoundPlan


def read_request(payload: bytes, policy: Policy, ledger: Ledger, now: datetime) -> VerifiedPlan:
    """Read a request of a listed operator.

    Refusal by clause ``message``, ``terms``, ``operators``, ``signature``, ``expired`` or ``plan``.
    """
    check_opening(payload[:OPENING_BYTES], policy, ledger, now)
    request = _split(payload)
    _require_signed(request)
    return VerifiedPlan(_terms(request), _plan(request))


def check_opening(first: bytes, policy: Policy, ledger: Ledger, now: datetime) -> Opening:
    """Refuse by a request's first ``OPENING_BYTES``: a stranger, what no listed operator signed, what is too old.

    Constant time: a stranger is told from the policy, without any arithmetic on the key that he brought.
    """
    try:
        opening = decode_opening(first)
    except MessageError as error:
        raise Refusal("message", str(error)) from error
    except ConfigurationError as error:
        raise Refusal("terms", str(error)) from error
    clause = operator_clause(policy, opening.operator, ledger)
    if not clause.holds:
        raise Refusal(clause.name, f"{clause.asked}; this hospital allows {clause.allowed} (policy.yaml)")
    if not signed_by_operator(opening):
        raise Refusal("signature", "the plan is not signed by the operator who signed the terms")
    if now.timestamp() >= opening.expires_at:
        raise Refusal("expired", f"the plan expired {now.timestamp() - opening.expires_at:.0f} s ago")
    return opening


def _split(payload: bytes) -> Request:
    try:
        return decode_request(payload)
    except (MessageError, ConfigurationError) as error:
        raise Refusal("message", str(error)) from error


def _require_signed(request: Request) -> None:
    try:
        signed = is_what_was_signed(request)
    except MessageError as error:
        raise Refusal("plan", str(error)) from error
    if not signed:
        raise Refusal("signature", "the plan that arrived is not the one that its operator signed")


def _terms(request: Request) -> SignedTerms:
    try:
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
