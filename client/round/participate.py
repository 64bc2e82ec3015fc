"""One round at a hospital, top to bottom: policy → charge → gate → features → training → release.

The same function serves one hospital's agent and a simulation of ten thousand: hospitals of one round are
computed together, but each has its own policy, ledger and noise, and its release depends on its own
patients alone. What stands behind ``Admit`` is the gate (``client.gate.admit``) and the encoder
(``client.features``): in an agent under the consent that holds now, in a simulation prepared once.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np

from wardround.client.cohort import Cohort, no_patients
from wardround.client.connectors.panic import described, panics_are_faults
from wardround.client.ledger.budget import Charge
from wardround.client.ledger.known_by import KnownBy
from wardround.client.ledger.port import Ledger, Receipt
from wardround.client.policy.policy import Policy, permit
from wardround.client.train.one_pass import no_denormals
from wardround.client.train.prepared import MEMORY_BYTES
from wardround.client.train.update import Step, private_update
from wardround.protocol.arrays import Floats, Floats32
from wardround.protocol.errors import ConfigurationError, Refusal, TableAway, TableError
from wardround.protocol.model.model import parameter_count
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.terms.limits import expiry_of
from wardround.protocol.terms.request import MEAN_ROWS, UPDATE, RequestKind, misasked, request_in
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.protocol.wire.wire import decode_release, encode_release

logger = logging.getLogger("wardround.hospital")


def _always_ready(terms: Terms) -> None:
    """Ask nothing more of terms that the policy permits."""


def _known_in_one_way(terms: Terms) -> None:
    """Say nothing of how patients are known: in a simulation that never changes."""


def _note_nothing(plan: RoundPlan, fault: str) -> None:
    """Keep no record of how a round was computed."""


@dataclass(frozen=True)
class Ward:
    """One hospital as a round sees it: its limits, its record, its clock, and its own randomness.

    ready: asked about terms that the policy permits, before anything is charged; raises Refusal. note: told of each
    round that was computed, before its release is stored: of what fault noise alone was sent, empty for none.
    known_by: who is one patient under these terms, for the ledger.
    """

    hospital: str
    policy: Policy
    ledger: Ledger
    clock: Callable[[], datetime]
    stream: Callable[[RoundPlan], Keystream]
    ready: Callable[[Terms], None] = _always_ready
    note: Callable[[RoundPlan, str], None] = _note_nothing
    known_by: Callable[[Terms], KnownBy | None] = _known_in_one_way


Admit = Callable[[Sequence[Ward], Terms], Cohort]
Compute = Callable[[Terms, RequestKind, Floats, Cohort, Sequence[Keystream], Sequence[str]], Floats]
"""Terms, what is asked, weights [1 or wards, parameters], patients, streams, names → noised vectors [wards, …]."""


def participate(
    plans: Sequence[RoundPlan],
    wards: Sequence[Ward],
    terms: Terms,
    operator: str,
    admit: Admit,
    memory_bytes: int = MEMORY_BYTES,
) -> list[Release | Refusal]:
    """Answer one plan per ward, all of one round, in order: with a release, or with the refusal of a clause.

    operator is the public key that verified the terms. admit gives the training patients of the wards it
    is handed, hospital by hospital, and is called only once every one of them has been charged. memory_bytes
    bounds what the step holds besides these patients.

    Guarantees: nothing is computed before its charge is durable (rule 3); a repeat returns the stored
    bytes and costs nothing (rule 4); after the charge nothing in the tables decides whether a reply
    comes (rule 2). test_participate.py holds each. Raises TableAway where a database does not answer, and
    ValueError for plans of several rounds, which may ask for different things.
    """
    return answer_plans(UPDATE, plans, wards, terms, operator, admit, partial(_update, memory_bytes))


def answer_plans(
    request: RequestKind,
    plans: Sequence[RoundPlan],
    wards: Sequence[Ward],
    terms: Terms,
    operator: str,
    admit: Admit,
    compute: Compute,
) -> list[Release | Refusal]:
    """Answer plans of one request's account by what ``compute`` makes of its patients: see ``participate``."""
    # All charges first: `admit` reads the tables of all wards at once, and none may be read before it is charged.
    receipts = [
        _charge(request, plan, ward, terms, operator) for plan, ward in zip(plans, wards, strict=True)
    ]
    due = [i for i, receipt in enumerate(receipts) if isinstance(receipt, Receipt) and receipt.stored is None]
    vectors = _computed([plans[i] for i in due], [wards[i] for i in due], terms, admit, compute)
    computed = {
        i: _release(plans[i], wards[i], terms, operator, receipts[i], vector)
        for i, vector in zip(due, vectors, strict=True)
    }
    return [computed[i] if i in computed else _answer_of(receipt) for i, receipt in enumerate(receipts)]


def charge_of(plan: RoundPlan, terms: Terms, operator: str) -> Charge:
    """Say what one round costs one hospital, before anything of it is computed.

    With distributed noise the event is that of the sum over hospitals, which holds under secure
    aggregation only; such terms are for simulations.
    """
    return Charge(
        operator=operator,
        study=terms.study,
        terms=terms.fingerprint,
        round=plan.round,
        weights_digest=plan.weights_digest,
        event=request_in(plan, terms).event(terms),
        account=plan.account,
    )


def _charge(
    request: RequestKind, plan: RoundPlan, ward: Ward, terms: Terms, operator: str
) -> Receipt | Refusal:
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
        charge, caps = charge_of(plan, terms, operator), ward.policy.caps
        return ward.ledger.charge(charge, caps, now, plan.ledger_head, ward.known_by(terms))
    except Refusal as refusal:
        return refusal


def _check_plan(plan: RoundPlan, ward: Ward, terms: Terms, operator: str) -> None:
    checks = (
        ("hospital", plan.hospital, ward.hospital),
        ("study", plan.study, terms.study),
        ("terms", plan.terms_fingerprint, terms.fingerprint),
    )
    for clause, asked, expected in checks:
        if asked != expected:
            raise Refusal(clause, f"the plan says {asked}, expected {expected}")
    if plan.hospital not in terms.training.public_patients:
        raise Refusal("hospital", f"hospital={plan.hospital}: is not named in the terms")
    if wrong := misasked(plan, terms):
        raise Refusal("asks", f"asks={plan.asks or 'nothing'}: {wrong}")
    request = request_in(plan, terms)
    if plan.round not in request.rounds(terms):
        raise Refusal("round", f"round={plan.round}: {request.when(terms)}")
    _check_head(plan, ward, operator)


def _check_head(plan: RoundPlan, ward: Ward, operator: str) -> None:
    """Refuse to go on from a ledger that lacks what this operator was sent (rule 6).

    Expected is a head only once the operator has named one. Were it expected after any release, a first answer
    that was lost on its way would shut its hospital out for good.
    """
    if not ward.ledger.knows(plan.ledger_head):
        raise Refusal(
            "ledger_head",
            "the plan's head is not in this ledger: an old copy was restored; restore the newest backup back, or "
            "see ledger recover --help",
        )
    if plan.ledger_head is None and ward.ledger.expects_head(operator):
        raise Refusal(
            "ledger_head",
            "the plan names no head, but this operator named one before: ask why; tell it the head "
            "that status shows",
        )


def _check_round(plan: RoundPlan, ward: Ward, terms: Terms, operator: str) -> None:
    """Refuse weights of another model, and to begin a round older than the last: budget spent for nothing."""
    try:
        parameters = parameter_count(terms.model, terms.contract.layout)
    except ConfigurationError as error:  # of a model that ships nothing can be wrong
        raise Refusal("plugins", str(error)) from error
    if len(plan.weights) != parameters:
        raise Refusal("parameters", f"{len(plan.weights)} weights: this model has {parameters}")
    if terms.secure_sum is not None and terms.secure_sum.parameters != parameters:
        # Grid and noise follow from it: a smaller number would be a coarser grid than its noise covers.
        raise Refusal(
            "parameters", f"secure_sum.parameters={terms.secure_sum.parameters}: this model has {parameters}"
        )
    last = ward.ledger.last_round(operator, terms.fingerprint, plan.account)
    known = ward.ledger.find(operator, terms.fingerprint, plan.round, plan.account)
    if plan.round < last and known is None:
        raise Refusal("order", f"round={plan.round}: round {last} was charged before; ask for a later one")


def _update(
    memory_bytes: int,
    terms: Terms,
    request: RequestKind,
    weights: Floats,
    cohort: Cohort,
    streams: Sequence[Keystream],
    hospitals: Sequence[str],
) -> Floats:
    return private_update(
        Step(
            terms=terms,
            layout=terms.contract.layout,
            cohort=cohort,
            hospitals=hospitals,
            memory_bytes=memory_bytes,
            moments=request is MEAN_ROWS,
        ),
        weights,
        streams,
    )


def _computed(
    plans: Sequence[RoundPlan], wards: Sequence[Ward], terms: Terms, admit: Admit, compute: Compute
) -> Floats32:
    """Compute the vectors that leave: float32 [wards, length]."""
    if not plans:
        return np.empty((0, 0), np.float32)
    round_number, asked, weights = _round_of(plans), request_in(plans[0], terms), _stacked_weights(plans)
    hospitals = [ward.hospital for ward in wards]

    def vectors(cohort: Cohort) -> Floats32:
        streams = [ward.stream(plan) for ward, plan in zip(wards, plans, strict=True)]
        # A simulation has no time to hide, and need not wait for torch.
        with nullcontext() if terms.simulation else no_denormals():
            return compute(terms, asked, weights, cohort, streams, hospitals).astype(np.float32)

    fault, computed = "", None
    try:
        with panics_are_faults():
            computed = vectors(admit(wards, terms))
    except TableAway:
        raise  # late, and charged: the same plan computes once more when the database is back
    except Exception as error:
        # A researcher wants the fault itself; noise in its place would pass for a result.
        if terms.simulation:
            raise
        fault = describe_error(error)
        logger.warning("round %d: noise alone (%s)", round_number, fault)
    if computed is None:
        # Whether the tables can be learned from must not show: a fault yields noise of the same size. Out of the
        # handler, whose traceback holds what the fault was about: memory may be what there was too little of.
        computed = vectors(no_patients(terms.contract.layout, len(wards)))
    for ward, plan in zip(wards, plans, strict=True):
        ward.note(plan, fault)
    return computed


def describe_error(error: Exception) -> str:
    """Say what went wrong without a patient's value: our own errors' text, of others type and place alone."""
    return str(error) if isinstance(error, TableError) else described(error)


def _round_of(plans: Sequence[RoundPlan]) -> int:
    """Give the round that all plans of one call share: with what the plan says, it decides what they ask for."""
    rounds = sorted({plan.round for plan in plans})
    if len(rounds) > 1 or len({plan.asks for plan in plans}) > 1:
        raise ValueError(f"plans of rounds {rounds} in one call: give one round at a time")
    return plans[0].round


def _stacked_weights(plans: Sequence[RoundPlan]) -> Floats:
    if all(
        plan.weights is plans[0].weights or plan.weights_digest == plans[0].weights_digest for plan in plans
    ):
        # One row for all hospitals: the step then needs one product for all, not one for each.
        return plans[0].weights[np.newaxis].astype(np.float64)
    return np.stack([plan.weights for plan in plans]).astype(np.float64)


def _release(
    plan: RoundPlan,
    ward: Ward,
    terms: Terms,
    operator: str,
    receipt: Receipt | Refusal,
    vector: Floats32,
) -> Release:
    """Store the release durably, then hand it out; of two computations of one charge the first leaves."""
    release = Release(
        study=plan.study,
        hospital=plan.hospital,
        round=plan.round,
        terms_fingerprint=terms.fingerprint,
        weights_digest=plan.weights_digest,
        vector=vector,
        ledger_head=receipt.head if isinstance(receipt, Receipt) else "",
        simulation=terms.simulation,
        account=plan.account,
    )
    now = ward.ledger.now(ward.clock())
    # Checked by the policy before the charge; a simulation's terms may say anything, and nothing of it is kept.
    expires_at = expiry_of(terms) or now
    payload = encode_release(release)
    kept = ward.ledger.released(charge_of(plan, terms, operator), payload, expires_at, now)
    return release if kept is payload else decode_release(kept)


def _answer_of(receipt: Receipt | Refusal) -> Release | Refusal:
    """Give the answer that needs no computing: a refusal, or the stored release of a repeat."""
    if isinstance(receipt, Refusal):
        return receipt
    if receipt.stored is None:
        raise ValueError("this charge has no stored release yet")
    return decode_release(receipt.stored)
