"""The release gate: whether a model may be used, decided by what was measured and by a named person."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from wardround.conf.settings import ReleaseDecisionSettings
from wardround.server.evaluation.estimates import Estimate
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
    if evaluation is not None and measured:
        unmet = (*_unshown(evaluation, settings), *unmet)
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


def _unshown(evaluation: Evaluation, settings: ReleaseDecisionSettings) -> Iterator[str]:
    """Say what was not shown of the model: better than its operator asks, known well enough, calibrated."""
    level, auc, gap = evaluation.confidence, evaluation.auc, evaluation.calibration_gap
    least, widest = settings.min_auc, settings.max_auc_halfwidth
    if least and auc.interval(level)[0] <= least:
        yield f"AUC {auc.text(level)}: not shown to be above {least:g}"
    # By the length and not by the ends: near 1 an end is cut, and noise would decide whether it is.
    if widest < 1 and auc.halfwidth(level) > widest:
        yield f"AUC {auc.text(level)}: known to ±{auc.halfwidth(level):.3f} only, must be ±{widest:g} or less"
    if settings.max_calibration_gap < 1:
        yield from _uncalibrated(gap, settings.max_calibration_gap, level)


def _uncalibrated(gap: Estimate, most: float, level: float) -> Iterator[str]:
    (low, high), halfwidth = gap.interval(level), gap.halfwidth(level)
    # Wider, and a model that is calibrated would pass in one seed of noise and fail in the next. "not … <=": where
    # the gap is lost in noise, it is within no bounds.
    if not halfwidth <= most / 2:
        yield f"calibration gap {gap.text(level)}: known to ±{halfwidth:.3f} only, must be ±{most / 2:g} or less"
    elif low < -most or high > most:
        yield f"calibration gap {gap.text(level)}: not shown to be within ±{most:g}"


def _sentence(verdict: Verdict) -> str:
    measure = verdict.measure.replace("_", " ")
    if verdict.worst is None:
        return f"{measure} by {verdict.attribute}: too few patients to show that the limit {verdict.limit:g} holds"
    worst = verdict.worst
    return (
        f"{measure} by {verdict.attribute}: {worst.first} and {worst.second} differ by {worst.size:.3f} "
        f"(limit {verdict.limit:g} {_OUTCOMES[verdict.outcome]})"
    )
