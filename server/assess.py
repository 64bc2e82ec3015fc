"""After the last round: evaluate privately → audit → mitigate and evaluate again → decide on the release.

The same in a simulation and in a real study; who carries the plans (``ask``) is not known here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from conf.settings import ReviewSettings
from protocol.accounting import PrivacyEvent, compose_epsilon
from protocol.terms import Release, RoundPlan, Terms
from server.evaluation import Evaluation, due, evaluate_tables, plans, read_tables, settings_of
from server.fairness import HELD, Audit, audit
from server.mitigate import group_offsets, mitigated_weights
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

    weights: float64 [parameters], of the model to release, mitigated where that was done. findings: one per
    evaluation, in order. before: of the shared model; after: of the mitigated one; None where there was none.
    offsets: by attribute, float64 [groups]. event: what all of it cost a held-out patient, None for nothing.
    """

    weights: Floats
    findings: tuple[Finding, ...]
    before: Finding | None
    after: Finding | None
    offsets: dict[str, Floats]
    event: PrivacyEvent | None
    epsilon: float
    review: Review

    @property
    def released(self) -> Finding | None:
        """The finding about the model that is released."""
        return self.after or self.before


def evaluate_round(
    terms: Terms, state: RoundState, ask: Ask, weights: Floats, round_number: int | None = None
) -> Finding:
    """Ask for one evaluation and read it; by default that of the last closed round."""
    asked = plans(state, terms, weights, round_number)
    tables = read_tables(terms, asked[0], ask(asked))
    return Finding(evaluate_tables(tables, terms.fairness.confidence), audit(tables, terms.fairness))


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
    findings, offsets = list(earlier), dict[str, Floats]()
    before = after = None
    if finished(state, terms) and due(state, terms):
        asked = plans(state, terms, weights)
        tables = read_tables(terms, asked[0], ask(asked))
        found = audit(tables, terms.fairness)
        before = Finding(evaluate_tables(tables, terms.fairness.confidence), found)
        findings.append(before)
        unmet = any(verdict.outcome != HELD for verdict in found.verdicts)
        if unmet and terms.fairness.mitigation != "none":
            offsets = group_offsets(tables, terms.fairness, found)
            weights = mitigated_weights(terms, weights, offsets)
            after = evaluate_round(terms, state, ask, weights, settings_of(terms).rounds[-1])
            findings.append(after)
    event = PrivacyEvent(settings_of(terms).noise_multiplier, 1.0, len(findings)) if findings else None
    released = after or before
    return Assessment(
        weights=weights,
        findings=tuple(findings),
        before=before,
        after=after,
        offsets=offsets,
        event=event,
        epsilon=compose_epsilon([event], terms.privacy.delta) if event else 0.0,
        review=review(
            released.evaluation if released else None, released.audit if released else None, settings, today
        ),
    )
