"""The release gate: whether a model may be used, decided by what was measured and by a named person."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from wardround.conf.settings import ReleaseDecisionSettings
from wardround.server.evaluation.evaluation import Evaluation
from wardround.server.evaluation.group_report import EXCEEDED, HELD, NOT_SHOWN, GroupReport, Verdict

_OUTCOMES = {HELD: "held", EXCEEDED: "exceeded", NOT_SHOWN: "not shown to hold"}


@dataclass(frozen=True)
class ReleaseDecision:
    """The gate's answer.

    blocks: why the model may not be used as it is, one line each. An exception lifts the limits that were not
    shown to hold, never a missing evaluation. limits_unmet: whether an exception would lift all of them.
    """

    releasable: bool
    usable_until: date
    blocks: tuple[str, ...]
    exception_by: str = ""
    exception_reason: str = ""
    limits_unmet: bool = False

    def to_facts(self) -> Mapping[str, str]:
        """Texts for the model file's metadata."""
        facts = {
            "releasable": "yes" if self.releasable else "no",
            "usable_until": self.usable_until.isoformat(),
        }
        if self.blocks:
            facts["release_blocks"] = "; ".join(self.blocks)
        if self.exception_by:
            facts |= {"exception_by": self.exception_by, "exception_reason": self.exception_reason}
        return facts


def decide_release(
    evaluation: Evaluation | None, found: GroupReport | None, settings: ReleaseDecisionSettings, today: date
) -> ReleaseDecision:
    """Decide from what was measured of the model as it is released; None where it was not evaluated."""
    unmet = () if found is None else tuple(_sentence(v) for v in found.verdicts if v.outcome != HELD)
    # An AUC that is lost in noise says as much of the model as no evaluation.
    measured = evaluation is not None and math.isfinite(evaluation.auc.value)
    if measured:
        unmet = (*_weak(evaluation, settings.min_auc), *unmet)
    # An exception is for unmet limits: where all of them hold, none is shown.
    signed = bool(settings.exception_by and unmet)
    blocks = unmet
    if evaluation is None:
        blocks = ("it was not evaluated on held-out patients",)
    elif not measured:
        blocks = ("its evaluation is lost in noise: too few held-out patients for this ε", *unmet)
    return ReleaseDecision(
        releasable=measured and (not unmet or signed),
        usable_until=today + timedelta(days=settings.days),
        blocks=blocks,
        exception_by=settings.exception_by if signed else "",
        exception_reason=settings.exception_reason if signed else "",
        limits_unmet=measured and bool(unmet),
    )


def _weak(evaluation: Evaluation | None, least: float) -> tuple[str, ...]:
    """Say that a model was not shown to be better than the least that its operator would use."""
    if evaluation is None or not least:
        return ()
    level = evaluation.confidence
    low, _ = evaluation.auc.interval(level)
    return () if low > least else (f"AUC {evaluation.auc.text(level)}: not shown to be above {least:g}",)


def _sentence(verdict: Verdict) -> str:
    measure = verdict.measure.replace("_", " ")
    if verdict.worst is None:
        return f"{measure} by {verdict.attribute}: too few patients to show that the limit {verdict.limit:g} holds"
    worst = verdict.worst
    return (
        f"{measure} by {verdict.attribute}: {worst.first} and {worst.second} differ by {worst.size:.3f} "
        f"(limit {verdict.limit:g} {_OUTCOMES[verdict.outcome]})"
    )
