"""After the last round: evaluate privately → audit → mitigate and evaluate again → decide on the release.

The same in a simulation and in a real study; who carries the plans (``ask``) is not known here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from conf.settings import ReviewSettings
from protocol.accounting import PrivacyEvent, compose_epsilon, epsilon_by_adversary
from protocol.terms import Release, RoundPlan, Terms
from server.estimates import Tables
from server.evaluation import Evaluation, due, evaluate_tables, plans, read_tables, settings_of
from server.fairness import HELD, Audit, Selection, audit
from server.mitigate import changes_scores, group_offsets, group_thresholds, mitigated_weights
from server.review import Review, review
from server.rounds import RoundState, finished, reported_weights
from server.screen import NoRelease

Floats = NDArray[np.float64]
Ask = Callable[[Sequence[RoundPlan]], Iterable[Release | NoRelease]]


@dataclass(frozen=True, eq=False)
class Finding:
    """One evaluation: of which model, and what its tables say."""

    evaluation: Evaluation
    audit: Audit


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
    findings: tuple[Finding, ...]
    before: Finding | None
    after: Finding | None
    offsets: dict[str, Floats]
    thresholds: dict[str, dict[str, float]]
    event: PrivacyEvent | None
    epsilon: float
    epsilon_by_adversary: Mapping[str, float]
    review: Review

    @property
    def released(self) -> Finding | None:
        """The finding about the model that is released."""
        return self.after or self.before


def evaluate_round(terms: Terms, state: RoundState, ask: Ask, weights: Floats) -> Finding:
    """Ask for the evaluation of the last closed round, and read it."""
    return _finding(terms, _tables(terms, state, ask, weights))


def assess(
    terms: Terms,
    state: RoundState,
    ask: Ask,
    settings: ReviewSettings,
    today: date,
    earlier: Sequence[Finding] = (),
) -> Assessment:
    """Assess a finished study's model. earlier: findings of rounds before the last.

    Mitigation happens where the terms name one and a limit was not shown to hold. ConfigurationError where
    an evaluation got no answer.
    """
    weights = reported_weights(state)
    findings, mitigated = list(earlier), None
    before = None
    if finished(state, terms) and due(state, terms):
        tables = _tables(terms, state, ask, weights)
        before = _finding(terms, tables)
        findings.append(before)
        unmet = any(verdict.outcome != HELD for verdict in before.audit.verdicts)
        if unmet and terms.fairness.mitigation != "none":
            mitigated = _mitigate(terms, state, ask, weights, tables, before)
            findings.append(mitigated.finding)
    after = mitigated.finding if mitigated else None
    event = PrivacyEvent(settings_of(terms).noise_multiplier, 1.0, len(findings)) if findings else None
    released = after or before
    return Assessment(
        weights=mitigated.weights if mitigated else weights,
        findings=tuple(findings),
        before=before,
        after=after,
        offsets=mitigated.offsets if mitigated else {},
        thresholds=mitigated.thresholds if mitigated else {},
        event=event,
        epsilon=compose_epsilon([event], terms.privacy.delta) if event else 0.0,
        epsilon_by_adversary=_by_adversary(terms, event) if event else {},
        review=review(
            released.evaluation if released else None, released.audit if released else None, settings, today
        ),
    )


def _by_adversary(terms: Terms, event: PrivacyEvent) -> dict[str, float]:
    """Give a held-out patient's ε against each adversary; one other hospital may collude."""
    hospitals = len(terms.hospitals)
    noise, delta = terms.privacy.noise, terms.privacy.delta
    return epsilon_by_adversary(
        noise, event.noise_multiplier, hospitals, 1.0, event.count, delta, min(1, hospitals - 1)
    )


@dataclass(frozen=True, eq=False)
class _Mitigated:
    weights: Floats
    finding: Finding
    offsets: dict[str, Floats]
    thresholds: dict[str, dict[str, float]]


def _mitigate(
    terms: Terms, state: RoundState, ask: Ask, weights: Floats, tables: Tables, before: Finding
) -> _Mitigated:
    """Choose offsets, and measure by one more evaluation what they do."""
    offsets = group_offsets(tables, terms.fairness, before.audit)
    moved = mitigated_weights(terms, weights, offsets)
    again = _tables(terms, state, ask, moved, settings_of(terms).rounds[-1])
    if changes_scores(terms.fairness):
        return _Mitigated(moved, _finding(terms, again), offsets, {})
    by = Selection(again, before.audit.first_selected)
    # The scores stay, and with them AUC and calibration; the second tables say who is selected.
    finding = Finding(before.evaluation, audit(tables, terms.fairness, by))
    return _Mitigated(weights, finding, offsets, group_thresholds(before.audit, offsets))


def _tables(
    terms: Terms, state: RoundState, ask: Ask, weights: Floats, round_number: int | None = None
) -> Tables:
    asked = plans(state, terms, weights, round_number)
    return read_tables(terms, asked[0], ask(asked))


def _finding(terms: Terms, tables: Tables) -> Finding:
    return Finding(evaluate_tables(tables, terms.fairness.confidence), audit(tables, terms.fairness))
