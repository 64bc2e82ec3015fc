"""A served study's evaluations: asked until a quorum has answered, kept, and then never asked for again.

    rounds closed → the terms name this one? → plans of account held_out → screen → sum, kept durably
    → findings, read off what is kept → assessment

A server that is killed asks again with the same weights, which is free; and whatever is reported of the model
is computed anew from the kept sums.
"""

import math
from collections.abc import Sequence

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.terms import RoundPlan
from wardround.server.algorithm.rounds import RoundState, finished, reported_weights
from wardround.server.evaluation.assess import (
    Ask,
    Assessment,
    EvaluationResult,
    Measure,
    assess,
    evaluate_round,
    result_of,
    unmeasured,
    with_cost,
)
from wardround.server.evaluation.estimates import NoisedTables
from wardround.server.evaluation.evaluation import TableSum, after_round, due, sum_tables, tables_of
from wardround.server.evaluation.measured import estimate_facts, null_where_nan
from wardround.server.store.event_log import ASKED, EVALUATED, read_events
from wardround.server.store.kept_sums import load_sum, save_sum
from wardround.server.study.carrier import Carrier
from wardround.server.study.exception_file import check_exception, signed_release_decision
from wardround.server.study.quorum import ask_until_quorum
from wardround.server.study.secure_sums import Sums
from wardround.server.study.served import Attendance, ServedStudy, attendance_facts, attendance_line
from wardround.server.study.sum_rounds import SumVoid, check_not_void, sum_of_tables


class NotKept(Exception):
    """An evaluation that the terms name has not been answered yet."""


class WeightsLost(ConfigurationError):
    """Held-out patients were measured under weights that a damaged checkpoint took away."""


def conclude(study: ServedStudy, state: RoundState) -> Assessment | None:
    """Assess the model from what is kept; None while rounds or evaluations are still to come."""
    if not finished(state, study.terms):
        return None
    decision, day = signed_release_decision(study)
    earlier = _earlier(study)
    try:
        found = assess(study.terms, state, _kept(study), decision, day, earlier)
    except NotKept:
        return None
    except (WeightsLost, SumVoid):
        found = unmeasured(study.terms, state, decision, day)
    check_exception(study, found)
    return _with_all_costs(study, found)


def not_yet_measured(study: ServedStudy, state: RoundState) -> Assessment:
    """Say of a trained model that its evaluation is still to come; its whole cost is stated before it is asked for."""
    decision, day = signed_release_decision(study)
    planned = len(study.terms.evaluation.rounds) if study.terms.evaluation else 0
    return unmeasured(study.terms, state, decision, day, planned)


def evaluate_between(study: ServedStudy, state: RoundState, ask: Carrier) -> None:
    """Evaluate after a round before the last, where the terms say so; a study does not wait for that long."""
    terms = study.terms
    if not due(state, terms) or finished(state, terms) or _load(study, after_round(state, terms)):
        return
    try:
        evaluate_round(terms, state, _asked_once(study, ask), reported_weights(state))
    except ConfigurationError as error:
        study.log.write("not_evaluated", str(error), round=after_round(state, terms))


def evaluate_last(study: ServedStudy, state: RoundState, ask: Carrier) -> None:
    """Evaluate the finished model, and once more where it is mitigated; ConfigurationError below quorum.

    Where a secure sum gave nothing the model stays unevaluated, which ``conclude`` then says.
    """
    decision, day = signed_release_decision(study)
    try:
        assess(study.terms, state, _asked(study, ask, study.serving.wait_seconds), decision, day)
    except SumVoid as error:
        study.log.write("not_evaluated", str(error), round=study.terms.training.rounds)


def _kept(study: ServedStudy) -> Measure:
    def measure(asked: Sequence[RoundPlan]) -> NoisedTables:
        found = _load(study, asked[0].round)
        # After a damaged checkpoint the weights may be others: then a kept sum speaks of another model.
        if found is not None and found.weights_digest == asked[0].weights_digest:
            return tables_of(study.terms, found)
        check_not_void(study, asked[0].round)
        _check_weights(study, asked[0])
        raise NotKept

    return measure


def _asked_once(study: ServedStudy, ask: Carrier) -> Measure:
    return _asked(study, ask, 0.0)


def _asked(study: ServedStudy, ask: Carrier, wait_seconds: float) -> Measure:
    kept = _kept(study)

    def measure(asked: Sequence[RoundPlan]) -> NoisedTables:
        try:
            return kept(asked)
        except NotKept:
            return tables_of(study.terms, _ask(study, asked, ask, wait_seconds))

    return measure


def _ask(study: ServedStudy, asked: Sequence[RoundPlan], ask: Carrier, wait_seconds: float) -> TableSum:
    """Ask until a quorum has answered, and keep the sum; ConfigurationError after ``wait_seconds`` in vain."""
    plan = asked[0]
    # Logged before anything leaves: held-out patients pay for what was asked, even if its sum is lost.
    study.log.write(ASKED, round=plan.round, weights=plan.weights_digest)

    if isinstance(ask, Sums):
        found, seconds = sum_of_tables(study, asked, ask, wait_seconds)
    else:
        found, seconds = _plain_sum(study, asked, ask, wait_seconds)
    # Logged before it is kept: killed in between, it is asked and logged again, and never missing from the log.
    _say(study, found, seconds)
    save_sum(study.folder.evaluations, study.terms.fingerprint, found)
    return found


def _plain_sum(
    study: ServedStudy, asked: Sequence[RoundPlan], ask: Ask, wait_seconds: float
) -> tuple[TableSum, float]:
    def ask_once() -> tuple[Attendance, TableSum]:
        found = sum_tables(study.terms, asked[0], ask(asked))
        return found, found

    return ask_until_quorum(
        study,
        ask_once,
        f"evaluation after round {asked[0].round}",
        round_number=asked[0].round,
        event="evaluation_below_quorum",
        wait_seconds=wait_seconds,
    )


def _say(study: ServedStudy, found: TableSum, seconds: float) -> None:
    """Log what was measured; these numbers are noised, and paid for."""
    terms = study.terms
    measured = result_of(terms, tables_of(terms, found)).evaluation
    level, auc = measured.confidence, measured.auc
    value = auc.text(level) if math.isfinite(auc.value) else "lost in noise"
    estimates = {"auc": estimate_facts(auc, level), "log_loss": estimate_facts(measured.log_loss, level)}
    # The evaluation of a mitigated model is numbered as one more round.
    mitigated = found.round > terms.training.rounds
    of = "as mitigated" if mitigated else f"after round {found.round}"
    line = f"evaluated {of}: AUC {value}, {attendance_line(found)}, {seconds:.1f} s"
    facts = {name: null_where_nan(one) for name, one in estimates.items()}
    took = {"seconds": round(seconds, 3), **attendance_facts(found)}
    study.log.write(EVALUATED, line, round=found.round, mitigated=mitigated, **facts, **took)


def _load(study: ServedStudy, round_number: int) -> TableSum | None:
    return load_sum(study.folder.evaluations, study.terms.fingerprint, round_number)


def _earlier(study: ServedStudy) -> list[EvaluationResult]:
    terms = study.terms
    named = terms.evaluation.rounds if terms.evaluation else ()
    found = [_load(study, number) for number in named if number < terms.training.rounds]
    return [result_of(terms, tables_of(terms, one)) for one in found if one is not None]


def _announced(study: ServedStudy) -> dict[int, str]:
    """Weights under which each evaluation was asked for, by round, from the log."""
    events = read_events(study.folder.events)
    return {int(str(e["round"])): str(e["weights"]) for e in events if e.get("event") == ASKED}


def _check_weights(study: ServedStudy, plan: RoundPlan) -> None:
    before = _announced(study).get(plan.round, plan.weights_digest)
    if before != plan.weights_digest:
        raise WeightsLost(
            f"evaluation after round {plan.round}: a damaged checkpoint lost the weights that were "
            "measured, and held-out patients pay only once; the model stays unevaluated"
        )


def _with_all_costs(study: ServedStudy, found: Assessment) -> Assessment:
    """Count evaluations that were asked for and lost: they were charged."""
    count = max(len(_announced(study)), len(found.findings))
    paid = found.event.count if found.event else 0
    return with_cost(study.terms, found, count) if count > paid else found
