"""Rounds and evaluations of a served study whose releases go in secure sums, each in a slot of its own."""

import time
from collections.abc import Sequence

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.secure_sum.grid import decode
from wardround.protocol.terms.request import TABLES, request_in
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import RoundState
from wardround.server.algorithm.sum_trips import ClosedSum
from wardround.server.evaluation.evaluation import TableSum, void_by_norm, what_of
from wardround.server.store.checkpoint import save_state
from wardround.server.store.event_log import VOID, read_events
from wardround.server.study.secure_sums import Sums, run_sum
from wardround.server.study.served import Answers, ServedStudy, attendance_of


class SumVoid(ConfigurationError):
    """The slot of an evaluation gave no sum, and there is no other for it."""


def one_sum_round(study: ServedStudy, state: RoundState, sums: Sums) -> RoundState:
    """Carry out one round; its state moves on with the sum, or with the number alone where the sum is void.

    Raises as ``run_sum`` does.
    """
    # On disk before any plan leaves: after a crash the same weights are asked for, and hospitals answer those for free.
    save_state(study.folder.checkpoints, state)
    study.log.write("announced", round=state.round)
    begun = time.monotonic()
    found = run_sum(
        study,
        sums,
        rounds.plans(state, study.terms),
        f"round {state.round}",
        below="below_quorum",
        replaceable=replaceable(state, study.terms),
        wait_seconds=study.serving.wait_seconds,
    )
    rejected = _attendance(study, found).rejected
    result = found.void if found.total is None else found.total
    after, summary = rounds.close_sum(state, study.terms, found.heads, rejected, result)
    # Logged first: killed in between, the round is closed again, and never missing from the log.
    study.log.round(summary, time.monotonic() - begun, study.terms.training.rounds)
    save_state(study.folder.checkpoints, after)
    return after


def replaceable(state: RoundState, terms: Terms) -> bool:
    """Whether all the rounds of the terms can still be made where this number gives nothing."""
    return terms.last_round - state.round >= terms.training.rounds - state.made


def sum_of_tables(
    study: ServedStudy, plans: Sequence[RoundPlan], sums: Sums, wait_seconds: float
) -> tuple[TableSum, float]:
    """Carry out one evaluation, or a query; give the sum of its tables, and the seconds that it took.

    SumVoid where it gives none, or one whose norm no honest hospitals could have. Raises as ``run_sum`` does.
    """
    begun, number, request = time.monotonic(), plans[0].round, request_in(plans[0], study.terms)
    what, below = what_of(study.terms, number), "query" if study.terms.query is not None else "evaluation"
    found = run_sum(
        study,
        sums,
        plans,
        what,
        below=f"{below}_below_quorum",
        replaceable=False,
        wait_seconds=wait_seconds,
    )
    if found.total is None:
        raise SumVoid(f"{what}: no sum ({found.void}); {_stays(study)}")
    who = _attendance(study, found)
    summed = TableSum(
        round=number,
        weights_digest=plans[0].weights_digest,
        planned=who.planned,
        total=decode(found.total, request.sum_noise(study.terms, number).grid),
        accepted=who.accepted,
        rejected=who.rejected,
        missing=who.missing,
    )
    void = void_by_norm(study.terms, summed, request)
    if void:
        # Logged as a sum that does not open is: no restart asks for these tables again (``check_not_void``).
        line = f"{what}: no sum ({void}); it is charged, and gives nothing"
        study.log.write(VOID, line, round=number, account=request.account, why=void)
        raise SumVoid(f"{what}: no sum ({void}); {_stays(study)}")
    return summed, time.monotonic() - begun


def _stays(study: ServedStudy) -> str:
    """Say what a void sum of tables leaves."""
    return "ask in another study" if study.terms.query is not None else "the model stays unevaluated"


def check_not_void(study: ServedStudy, round_number: int, account: str = TABLES.account) -> None:
    """SumVoid where the log says that the tables of this round gave no sum: they are never asked for again."""
    for event in read_events(study.folder.events):
        if event.get("event") != VOID or event.get("account") != account:
            continue
        if event.get("round") == round_number:
            raise SumVoid(f"{what_of(study.terms, round_number)}: no sum ({event.get('why')})")


def _attendance(study: ServedStudy, found: ClosedSum) -> Answers:
    return attendance_of(study.terms.hospitals, found.accepted, found.refused)
