"""One round of a study against a throwaway ledger: the agent's own story, and nothing leaves.

Charge and release stand in this process's memory alone: a rehearsal that is killed leaves no noised release behind
that was never charged (``tests/client/commands/test_killed_command.py``).
"""

import shutil
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from wardround.client.agent.socket_door import due_at
from wardround.client.cohort import Cohort
from wardround.client.connectors.readable import check_types
from wardround.client.connectors.source import read_tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.home.home import Home
from wardround.client.ledger.port import MemoryLedger
from wardround.client.policy.policy import Policy
from wardround.client.round.answer_request import answer_request
from wardround.client.round.ward import Ward
from wardround.client.secure_sum.for_plan import RehearsedSums
from wardround.client.train.check_training import check_training
from wardround.protocol.errors import Refusal, TableError
from wardround.protocol.model.model import initial_weights
from wardround.protocol.model.sizes import weights_asked
from wardround.protocol.privacy.randomness import fresh_keystream
from wardround.protocol.terms.request import QUERY, UPDATE
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.wire.signed_terms import SignedTerms
from wardround.protocol.wire.sum_wire import SumAnswer, encode_sum_answer
from wardround.protocol.wire.wire import encode_release


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What one round took. numbers and size_bytes are those of the release; seconds by part of the round.

    reply_seconds: when its reply would leave, counted from the plan's arrival.
    """

    patients: int
    events: int
    numbers: int
    size_bytes: int
    epsilon_of_round: float
    seconds: dict[str, float]
    reply_seconds: float


def rehearse(home: Home, policy: Policy, signed: SignedTerms, now: datetime) -> Rehearsal:
    """Compute one round as the agent would, with real tables, policy and noise; spends and sends nothing.

    Raises TableError where the tables cannot be learned from (an agent would answer with noise alone),
    Refusal where a clause refuses.
    """
    terms = signed.terms
    remove_killed(home.folder)
    started = time.perf_counter()
    check_training(terms)
    agreed = time.perf_counter()
    cohort = _cohort(home, terms, now)
    admitted = time.perf_counter()
    numbers, size_bytes, epsilon = _release(home, policy, signed, cohort, now)
    done = time.perf_counter()
    seconds = {
        "per-patient clipping checked": agreed - started,
        "tables, gate and features": admitted - agreed,
        "charge, training and noise": done - admitted,
    }
    return Rehearsal(
        patients=cohort.patient_count,
        events=cohort.event_count,
        numbers=numbers,
        size_bytes=size_bytes,
        epsilon_of_round=epsilon,
        seconds=seconds,
        # Without the check of clipping, which an agent makes once for each terms.
        reply_seconds=due_at(0.0, done - agreed, terms.reply_delay_seconds),
    )


def remove_killed(folder: Path) -> None:
    """Delete what rehearsals of 0.1.0 left in a home when they were killed: a noised release that nobody charged."""
    for left in folder.glob("rehearsal-*"):
        shutil.rmtree(left, ignore_errors=True)


def _cohort(home: Home, terms: Terms, now: datetime) -> Cohort:
    tables = read_tables(home.source, terms.contract)
    check_types(tables, terms.contract)
    return encode(admit(tables, terms.contract, home.patients_key, now).training, terms.contract)


def _release(
    home: Home, policy: Policy, signed: SignedTerms, cohort: Cohort, now: datetime
) -> tuple[int, int, float]:
    """Give how many numbers would leave, in how many bytes, and at what ε."""
    terms, faults = signed.terms, list[str]()
    masked = terms.secure_sum is not None and home.simulation is None
    sums = RehearsedSums(home.hospital, terms) if masked else None
    ledger = MemoryLedger()
    ward = Ward(
        home.hospital,
        replace(policy, require_approval=False),  # rehearsed before a person says yes
        ledger,
        lambda: now,
        lambda plan: fresh_keystream(),
        note=lambda plan, fault: faults.append(fault),
        sums=sums,
    )
    plan = _plan(home, terms, sums.roster if sums else "")
    admitted = {UPDATE.account: lambda wards, terms: cohort}
    (answer,) = answer_request([plan], [ward], terms, signed.operator, admitted)
    epsilon = ledger.spent("training", policy.delta)
    if isinstance(answer, Refusal):
        raise answer
    if any(faults):
        raise TableError(
            f"{faults[0]}: a round would be noise alone, and charged; fix this, or report this line"
        )
    if isinstance(answer, SumAnswer):
        return terms.update_noise(1).dimension, len(encode_sum_answer(answer)), epsilon
    return len(answer.vector), len(encode_release(answer)), epsilon


def _plan(home: Home, terms: Terms, roster: str) -> RoundPlan:
    weights = initial_weights(terms.model, terms.contract.layout).astype("float32")[: weights_asked(terms)]
    asks = UPDATE if terms.query is None else QUERY
    return RoundPlan(
        study=terms.study,
        hospital=home.hospital,
        round=1,
        terms_fingerprint=terms.fingerprint,
        weights=weights,
        roster=roster,
        asks=asks.word if terms.secure_sum else "",
    )
