"""Answer a message of a secure sum: set-up, or the survivors of a slot. No table is read, and nothing is charged.

The same clauses come first as for a plan: where no release may leave, no key and no share does.
"""

from datetime import datetime

from wardround.client.policy.policy import permit
from wardround.client.round.charging import check_labels
from wardround.client.round.ward import Ward
from wardround.client.secure_sum.studies import SumStudies
from wardround.protocol.errors import Refusal
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.sum_wire import SumAnswer, SumRequest, SumStep


def answer_sum(
    request: SumRequest, ward: Ward, sums: SumStudies | None, terms: Terms, operator: str, evidence: bytes
) -> SumAnswer:
    """Give what a message asks for; Refusal by a clause of terms, policy, ledger, clock or message alone.

    evidence: the message as the operator signed it, which is kept where it proves something.
    Guarantees: a repeat has the same bytes; nothing is given for terms that the policy does not permit, or that no
    person approved where the policy wants one; one roster for a study and one set of survivors for a slot, ever.
    """
    now = ward.ledger.now(ward.clock())
    check_labels(request, ward, terms, operator)
    permit(ward.policy, terms, operator, ward.ledger, now)
    if sums is None or terms.simulation:
        raise Refusal("secure_sum", "this hospital takes part in no secure sum of a simulation")
    if request.step is not SumStep.SURVIVORS and (request.round, request.account) != (0, "training"):
        raise Refusal("round", f"round={request.round}: set-up is of no round")
    if request.step is SumStep.SURVIVORS:
        kept = sums.given(request, terms, operator, now, evidence)
        body, head, asked = kept.payload, kept.entry.hash, kept.entry.request
    else:
        (body, head), asked = _set_up(request, sums, terms, operator, now), request.body_digest
    return SumAnswer(
        step=request.step,
        study=terms.study,
        hospital=ward.hospital,
        terms_fingerprint=terms.fingerprint,
        round=request.round,
        account=request.account,
        asked=asked,
        roster=request.roster,
        ledger_head=head,
        body=body,
    )


def _set_up(
    request: SumRequest, sums: SumStudies, terms: Terms, operator: str, now: datetime
) -> tuple[bytes, str]:
    """Give the body of an answer of set-up, and the head of the ledger's entry."""
    match request.step:
        case SumStep.KEYS:
            if request.roster or request.body:
                raise Refusal("message", "keys are asked for without a roster and without a body")
            return sums.keys(terms, operator, now).to_bytes(), ""
        case SumStep.DEAL:
            dealing, head = sums.deal(request, terms, operator, now)
            return dealing.to_bytes(), head
        case SumStep.TAKE:
            taken, head = sums.take(request, terms, operator, now)
            return taken.to_bytes(), head
        case _:
            raise Refusal("message", "a masked release is asked for by a plan")
