"""From a plan to its charge: labels, policy, round and secure sum are checked, then the ledger is asked."""

from datetime import datetime

from wardround.client.ledger.budget import Charge
from wardround.client.policy.policy import permit
from wardround.client.round.ward import Paid, Ward
from wardround.client.secure_sum.for_plan import PlannedSum
from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.protocol.model.sizes import weights_asked
from wardround.protocol.terms.cost import unmasked_multiplier
from wardround.protocol.terms.request import RequestKind, misasked, request_in
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.wire.sum_wire import SumRequest


def charge_of(plan: RoundPlan, terms: Terms, operator: str, label: str = "") -> Charge:
    """Say what one round costs one hospital, before anything of it is computed.

    In a secure sum, which ``label`` names, the event is that of the smallest sum that a lying server can obtain.
    """
    event = request_in(plan, terms).event(terms, plan.round)
    return Charge(
        operator=operator,
        study=terms.study,
        terms=terms.fingerprint,
        round=plan.round,
        weights_digest=plan.weights_digest,
        event=event,
        account=plan.account,
        label=label,
        unmasked_noise_multiplier=unmasked_multiplier(terms, plan.account, event) if label else None,
    )


def charge(request: RequestKind, plan: RoundPlan, ward: Ward, terms: Terms, operator: str) -> Paid | Refusal:
    """Charge a plan durably, or refuse it by a clause; nothing is computed, and no table is read."""
    # Never behind the ledger: a clock that was set back must not revive terms that have expired.
    now = ward.ledger.now(ward.clock())
    try:
        if plan.account != request.account:
            raise Refusal("account", f"account={plan.account}: expected {request.account}")
        _check_plan(plan, ward, terms, operator)
        permit(ward.policy, terms, operator, ward.ledger, now)
        _check_round(plan, ward, terms, operator)
        # Before the charge: a model that cannot be clipped per patient must cost nothing.
        ward.ready(terms)
        planned = _planned_sum(plan, ward, terms, operator, now)
        due = charge_of(plan, terms, operator, planned.label.digest().hex() if planned else "")
        receipt = ward.ledger.charge(due, ward.policy.caps, now, plan.ledger_head, ward.known_by(terms))
        return Paid(due, receipt, planned)
    except Refusal as refusal:
        return refusal


def _planned_sum(
    plan: RoundPlan, ward: Ward, terms: Terms, operator: str, now: datetime
) -> PlannedSum | None:
    """Give the secure sum that a plan asks for, ready to mask; None where the release is no part of one.

    Refusal before set-up is done, and for another roster: nothing is charged for a sum that cannot be.
    """
    if not is_masked(terms):
        return None
    if ward.sums is None:
        raise Refusal("secure_sum", "this hospital takes part in no secure sum")
    return ward.sums.planned(plan, terms, operator, now)


def is_masked(terms: Terms) -> bool:
    """Whether releases leave masked: simulations add up the same integers without masks, which cancel."""
    return terms.secure_sum is not None and not terms.simulation


def check_labels(asked: RoundPlan | SumRequest, ward: Ward, terms: Terms, operator: str) -> None:
    """Refuse what is meant for another hospital, study or terms, or comes from a ledger that lacks what was sent."""
    checks = (
        ("hospital", asked.hospital, ward.hospital),
        ("study", asked.study, terms.study),
        ("terms", asked.terms_fingerprint, terms.fingerprint),
    )
    for clause, said, expected in checks:
        if said != expected:
            raise Refusal(clause, f"the plan says {said}, expected {expected}")
    if asked.hospital not in terms.training.public_patients:
        raise Refusal("hospital", f"hospital={asked.hospital}: is not named in the terms")
    _check_head(asked.ledger_head, ward, operator)


def _check_plan(plan: RoundPlan, ward: Ward, terms: Terms, operator: str) -> None:
    check_labels(plan, ward, terms, operator)
    if wrong := misasked(plan, terms):
        raise Refusal("asks", f"asks={plan.asks or 'nothing'}: {wrong}")
    request = request_in(plan, terms)
    if plan.round not in request.rounds(terms):
        raise Refusal("round", f"round={plan.round}: {request.when(terms)}")


def _check_head(named: str | None, ward: Ward, operator: str) -> None:
    """Refuse to go on from a ledger that lacks what this operator was sent (rule 6).

    Expected is a head only once the operator has named one. Were it expected after any release, a first answer
    that was lost on its way would shut its hospital out for good.
    """
    if not ward.ledger.knows(named):
        raise Refusal(
            "ledger_head",
            "the plan's head is not in this ledger: an old copy was restored; restore the newest backup, or "
            "see ledger recover --help",
        )
    if named is None and ward.ledger.expects_head(operator):
        raise Refusal(
            "ledger_head",
            "the plan names no head, but this operator named one before: ask why; tell it the head "
            "that status shows",
        )


def _check_round(plan: RoundPlan, ward: Ward, terms: Terms, operator: str) -> None:
    """Refuse weights of another model, and to begin a round older than the last: budget spent for nothing."""
    try:
        parameters = weights_asked(terms)
    except ConfigurationError as error:  # of a model that ships nothing can be wrong
        raise Refusal("plugins", str(error)) from error
    if len(plan.weights) != parameters:
        raise Refusal("parameters", f"{len(plan.weights)} weights: this model has {parameters}")
    # The size of a query's table is checked with its terms.
    if terms.secure_sum is not None and terms.query is None and terms.secure_sum.parameters != parameters:
        # Grid and noise follow from it: a smaller number would be a coarser grid than its noise covers.
        raise Refusal(
            "parameters", f"secure_sum.parameters={terms.secure_sum.parameters}: this model has {parameters}"
        )
    last = ward.ledger.last_round(operator, terms.fingerprint, plan.account)
    known = ward.ledger.find(operator, terms.fingerprint, plan.round, plan.account)
    if plan.round < last and known is None:
        raise Refusal("order", f"round={plan.round}: round {last} was charged before; ask for a later one")
