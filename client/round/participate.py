"""One round at a hospital, top to bottom: policy → charge → gate → features → training → release.

The same function serves one hospital's agent and a simulation of ten thousand: hospitals of one round are
computed together, but each has its own policy, ledger and noise, and its release depends on its own
patients alone. What stands behind ``Admit`` is the gate (``client.gate.admit``) and the encoder
(``client.features``): in an agent under the consent that holds now, in a simulation prepared once.
"""

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import numpy as np

from wardround.client.cohort import Cohort, no_patients
from wardround.client.connectors.panic import described, panics_are_faults
from wardround.client.round.charging import charge
from wardround.client.round.leaving import answer_of, release
from wardround.client.round.ward import Admit, Answered, Compute, Ward
from wardround.client.train.one_pass import no_denormals
from wardround.client.train.prepared import MEMORY_BYTES
from wardround.client.train.update import Step, private_update
from wardround.protocol.arrays import Floats, Numbers
from wardround.protocol.errors import Refusal, TableAway, TableError
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.terms.request import INTERACTIONS, MEAN_ROWS, UPDATE, RequestKind, request_in
from wardround.protocol.terms.terms import RoundPlan, Terms

logger = logging.getLogger("wardround.hospital")


def participate(
    plans: Sequence[RoundPlan],
    wards: Sequence[Ward],
    terms: Terms,
    operator: str,
    admit: Admit,
    memory_bytes: int = MEMORY_BYTES,
) -> list[Answered]:
    """Answer one plan per ward, all of one round, in order: with a release, or with the refusal of a clause.

    operator is the public key that verified the terms. admit gives the training patients of the wards it
    is handed, hospital by hospital, and is called only once every one of them has been charged. memory_bytes
    bounds what the step holds besides these patients.

    Guarantees: nothing is computed before its charge is durable (rule 3); a repeat returns the stored
    bytes and costs nothing (rule 4); after the charge nothing in the tables decides whether a reply
    comes (rule 2). test_participate.py holds each. Raises TableAway where tables cannot be reached, and
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
) -> list[Answered]:
    """Answer plans of one request's account by what ``compute`` makes of its patients: see ``participate``."""
    # All charges first: `admit` reads the tables of all wards at once, and none may be read before it is charged.
    paid = [charge(request, plan, ward, terms, operator) for plan, ward in zip(plans, wards, strict=True)]
    due = [
        (i, one) for i, one in enumerate(paid) if not isinstance(one, Refusal) and one.receipt.stored is None
    ]
    vectors = _computed([plans[i] for i, _ in due], [wards[i] for i, _ in due], terms, admit, compute)
    computed = {
        i: release(plans[i], wards[i], terms, one, vector)
        for (i, one), vector in zip(due, vectors, strict=True)
    }
    return [computed[i] if i in computed else answer_of(one) for i, one in enumerate(paid)]


def _update(
    memory_bytes: int,
    terms: Terms,
    request: RequestKind,
    weights: Floats,
    cohort: Cohort,
    streams: Sequence[Keystream],
    hospitals: Sequence[str],
    round_number: int,
) -> Numbers:
    return private_update(
        Step(
            terms=terms,
            layout=terms.contract.layout,
            cohort=cohort,
            round=round_number,
            hospitals=hospitals,
            memory_bytes=memory_bytes,
            moments=request is MEAN_ROWS,
            interactions=request is INTERACTIONS,
        ),
        weights,
        streams,
    )


def _computed(
    plans: Sequence[RoundPlan], wards: Sequence[Ward], terms: Terms, admit: Admit, compute: Compute
) -> Numbers:
    """Compute the vectors that leave: float32 [wards, length], or int64 of secure sums."""
    if not plans:
        return np.empty((0, 0), np.float32)
    round_number, asked, weights = _round_of(plans), request_in(plans[0], terms), _stacked_weights(plans)
    hospitals = [ward.hospital for ward in wards]

    def vectors(cohort: Cohort) -> Numbers:
        streams = [ward.stream(plan) for ward, plan in zip(wards, plans, strict=True)]
        # A simulation has no time to hide, and need not wait for torch.
        with nullcontext() if terms.simulation else no_denormals():
            found = compute(terms, asked, weights, cohort, streams, hospitals, round_number)
        return found if found.dtype == np.int64 else found.astype(np.float32)

    fault, computed = "", None
    try:
        with panics_are_faults():
            computed = vectors(admit(wards, terms))
    except TableAway as error:
        for ward, plan in zip(wards, plans, strict=True):
            ward.late(plan, str(error))
        raise  # late, and charged: the same plan computes once more when the tables can be reached
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
