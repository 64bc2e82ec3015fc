"""From a noised vector to what leaves: written, masked where it is part of a secure sum, stored durably."""

import numpy as np

from wardround.client.round.charging import is_masked
from wardround.client.round.ward import Answered, Paid, Ward
from wardround.protocol.arrays import Floats32, Integers
from wardround.protocol.errors import Refusal
from wardround.protocol.terms.limits import expiry_of
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.protocol.wire.frame import kind_of
from wardround.protocol.wire.sum_wire import (
    LARGEST_SUM_MESSAGE,
    SUM_ANSWER,
    SumAnswer,
    SumStep,
    decode_sum_answer,
    encode_sum_answer,
)
from wardround.protocol.wire.wire import decode_release, encode_release

Vector = Floats32 | Integers
"""What leaves as it is, and what leaves masked or as part of a simulation's exact sum."""


def release(plan: RoundPlan, ward: Ward, terms: Terms, paid: Paid, vector: Vector) -> Release | SumAnswer:
    """Store the release durably, then hand it out; of two computations of one charge the first leaves."""
    leaving: Release | SumAnswer
    if is_masked(terms):
        leaving = _masked(plan, ward, terms, paid, vector)
        payload = encode_sum_answer(leaving)
    else:
        leaving = _plain(plan, terms, paid, vector)
        payload = encode_release(leaving)
    now = ward.ledger.now(ward.clock())
    # Checked by the policy before the charge; a simulation's terms may say anything, and nothing of it is kept.
    expires_at = expiry_of(terms) or now
    if paid.planned is not None:
        # No longer than the keys: who extends terms extends neither.
        expires_at = min(expires_at, paid.planned.kept_until)
    kept = ward.ledger.released(paid.charge, payload, expires_at, now)
    return leaving if kept is payload else _decoded(kept)


def _plain(plan: RoundPlan, terms: Terms, paid: Paid, vector: Vector) -> Release:
    return Release(
        study=plan.study,
        hospital=plan.hospital,
        round=plan.round,
        terms_fingerprint=terms.fingerprint,
        weights_digest=plan.weights_digest,
        vector=vector,
        ledger_head=paid.receipt.head,
        simulation=terms.simulation,
        account=plan.account,
    )


def _masked(plan: RoundPlan, ward: Ward, terms: Terms, paid: Paid, vector: Vector) -> SumAnswer:
    """Mask the noised integers: what leaves on trip 1."""
    # `charging` has refused terms that a ward without keys was asked about.
    if paid.planned is None or vector.dtype != np.int64:
        raise ValueError("a masked release needs the hospital's keys, and whole numbers")
    # A child: the noise came from the stream that a plan gives, which a simulation's seed fixes.
    stream = ward.stream(plan).child("masks")
    masked = paid.planned.mask(vector.astype(np.int64), stream)
    return SumAnswer(
        step=SumStep.MASKED,
        study=plan.study,
        hospital=plan.hospital,
        terms_fingerprint=terms.fingerprint,
        round=plan.round,
        account=plan.account,
        asked=plan.weights_digest,
        roster=plan.roster,
        ledger_head=paid.receipt.head,
        body=masked.to_bytes(),
    )


def answer_of(paid: Paid | Refusal) -> Answered:
    """Give the answer that needs no computing: a refusal, or the stored release of a repeat."""
    if isinstance(paid, Refusal):
        return paid
    if paid.receipt.stored is None:
        raise ValueError("this charge has no stored release yet")
    return _decoded(paid.receipt.stored)


def _decoded(stored: bytes) -> Release | SumAnswer:
    """Read what was stored, in the form in which it leaves."""
    if kind_of(stored, LARGEST_SUM_MESSAGE) == SUM_ANSWER:
        return decode_sum_answer(stored)
    return decode_release(stored)
