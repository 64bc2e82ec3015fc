"""After the last round: evaluate privately → group report → mitigate and evaluate again → decide on the release.

The same in a simulation and in a real study; who carries the plans (``measure``) is not known here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.arrays import Floats
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.terms.cost import epsilon_against, events
from wardround.protocol.terms.request import TABLES
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.server.algorithm.rounds import RoundState, finished, reported_weights
from wardround.server.algorithm.screen import NoRelease
from wardround.server.evaluation.estimates import NoisedTables
from wardround.server.evaluation.evaluation import (
    Evaluation,
    due,
    evaluate_tables,
    plans,
    read_tables,
    settings_of,
)
from wardround.server.evaluation.group_report import HELD, GroupReport, SelectionRule, group_report
from wardround.server.evaluation.mitigate import (
    changes_scores,
    group_offsets,
    group_thresholds,
    mitigated_weights,
)
from wardround.server.evaluation.pooled import pooled
from wardround.server.evaluation.release_decision import ReleaseDecision, decide_release

Ask = Callable[[Sequence[RoundPlan]], Iterable[Release | NoRelease]]
Measure = Callable[[Sequence[RoundPlan]], NoisedTables]
"""From the plans of one evaluation to its tables; where they are kept, nobody need be asked again."""


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """One evaluation: of which model, and what its tables say. tables: those that it was read off."""

    evaluation: Evaluation
    group_report: GroupReport
    tables: NoisedTables


@dataclass(frozen=True, eq=False)
class Assessment:
    """What the study may say of its model, and whether it may be used.

    weights: float64 [parameters], of the model to release, recalibrated where that was the mitigation.
    findings: one per evaluation, in order. before: of the shared model; after: with the mitigation; None where
    there was none. offsets: by attribute, float64 [groups]. thresholds: attribute → group → score from which
    events are selected, where the mitigation is of that kind. event: what all of it cost a held-out patient;
    epsilon: against whoever gets the model, and epsilon_by_adversary against each, as for training patients.
    """

    weights: Floats
    findings: tuple[EvaluationResult, ...]
    before: EvaluationResult | None
    after: EvaluationResult | None
    offsets: dict[str, Floats]
    thresholds: dict[str, dict[str, float]]
    event: PrivacyEvent | None
    epsilon: float
    epsilon_by_adversary: Mapping[str, float]
    release_decision: ReleaseDecision

    @property
    def released(self) -> EvaluationResult | None:
        """The finding about the model that is released."""
        return self.after or self.before


def measuring(terms: Terms, ask: Ask) -> Measure:
    """Turn what carries plans into what measures: whoever answers is screened and summed up at once."""
    return lambda asked: read_tables(terms, asked[0], ask(asked))


def evaluate_round(terms: Terms, state: RoundState, measure: Measure, weights: Floats) -> EvaluationResult:
    """Ask for the evaluation of the last closed round, and read it."""
    return result_of(terms, measure(plans(state, terms, weights)))


def assess(
    terms: Terms,
    state: RoundState,
    measure: Measure,
    settings: ReleaseDecisionSettings,
    today: date,
    earlier: Sequence[EvaluationResult] = (),
) -> Assessment:
    """Assess a finished study's model. earlier: findings of rounds before the last.

    Mitigation happens where the terms name one and a limit was not shown to hold. ConfigurationError where
    an evaluation got no answer.
    """
    weights = reported_weights(state)
    findings, mitigated = list(earlier), None
    before = None
    if finished(state, terms) and due(state, terms):
        others = [one.tables for one in earlier]
        own = measure(plans(state, terms, weights))
        tables = pooled(own, others)
        before = result_of(terms, tables)
        findings.append(before)
        # What was not shown to hold counts as unmet: noise is no excuse.
        unmet = any(verdict.outcome != HELD for verdict in before.group_report.verdicts)
        if unmet and terms.fairness.mitigation != "none":
            mitigated = _mitigate(terms, state, measure, weights, before, [own, *others])
            findings.append(mitigated.finding)
    return _assessment(terms, weights, findings, before, mitigated, settings, today)


def unmeasured(
    terms: Terms, state: RoundState, settings: ReleaseDecisionSettings, today: date, evaluations: int = 0
) -> Assessment:
    """Say of a model that nothing is known of it: not releasable.

    evaluations: how many were asked for all the same; held-out patients have paid for them.
    """
    nothing = _assessment(terms, reported_weights(state), [], None, None, settings, today)
    # Asked for is paid for: hospitals charge before they compute, whether an answer arrives or not.
    return with_cost(terms, nothing, evaluations) if evaluations else nothing


def _assessment(
    terms: Terms,
    weights: Floats,
    findings: Sequence[EvaluationResult],
    before: EvaluationResult | None,
    mitigated: "_Mitigated | None",
    settings: ReleaseDecisionSettings,
    today: date,
) -> Assessment:
    after = mitigated.finding if mitigated else None
    released = after or before
    evaluation, groups = (released.evaluation, released.group_report) if released else (None, None)
    made = Assessment(
        weights=mitigated.weights if mitigated else weights,
        findings=tuple(findings),
        before=before,
        after=after,
        offsets=mitigated.offsets if mitigated else {},
        thresholds=mitigated.thresholds if mitigated else {},
        event=None,
        epsilon=0.0,
        epsilon_by_adversary={},
        release_decision=decide_release(evaluation, groups, settings, today),
    )
    return with_cost(terms, made, len(findings)) if findings else made


def with_cost(terms: Terms, made: Assessment, evaluations: int) -> Assessment:
    """State what ``evaluations`` evaluations cost a held-out patient, also where some gave nothing."""
    (event,) = events(terms, TABLES, evaluations)
    epsilon = compose_epsilon([event], terms.privacy.delta)
    return replace(
        made, event=event, epsilon=epsilon, epsilon_by_adversary=epsilon_against(terms, TABLES, evaluations)
    )


@dataclass(frozen=True, eq=False)
class _Mitigated:
    weights: Floats
    finding: EvaluationResult
    offsets: dict[str, Floats]
    thresholds: dict[str, dict[str, float]]


def _mitigate(
    terms: Terms,
    state: RoundState,
    measure: Measure,
    weights: Floats,
    before: EvaluationResult,
    others: Sequence[NoisedTables],
) -> _Mitigated:
    """Choose offsets, and measure by one more evaluation what they do. others: all tables so far, as they came."""
    tables = before.tables
    offsets = group_offsets(tables, terms.fairness, before.group_report)
    moved = mitigated_weights(terms, weights, offsets)
    # The round after the last: terms plan and charge it for this model alone.
    asked = measure(plans(state, terms, moved, settings_of(terms).rounds[-1]))
    again = pooled(asked, others)
    if changes_scores(terms.fairness):
        return _Mitigated(moved, result_of(terms, again), offsets, {})
    by = SelectionRule(again, before.group_report.first_selected)
    # The scores stay, and with them AUC and calibration; the second tables say who is selected.
    finding = EvaluationResult(before.evaluation, group_report(tables, terms.fairness, by), tables)
    return _Mitigated(weights, finding, offsets, group_thresholds(before.group_report, offsets))


def result_of(terms: Terms, tables: NoisedTables) -> EvaluationResult:
    """Read one evaluation's tables."""
    return EvaluationResult(
        evaluate_tables(tables, terms.fairness.confidence), group_report(tables, terms.fairness), tables
    )
