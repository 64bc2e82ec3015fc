"""Private evaluation, fairness and release of a model as plain data, for files that programs read."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from wardround.server.evaluation.assess import Assessment, EvaluationResult
from wardround.server.evaluation.bands import calibration_bars, roc_band
from wardround.server.evaluation.estimates import Estimate
from wardround.server.evaluation.group_report import Gap, GroupReport

ACCOUNT = "held_out"


def summary_of(assessment: Assessment, exact: Mapping[str, float] | None = None) -> dict[str, object]:
    """Give the keys of summary.json: evaluation_epsilon, evaluation, fairness, releasable and what follows."""
    decision, released = assessment.release_decision, assessment.released
    return {
        "evaluation_epsilon": assessment.epsilon if assessment.event else None,
        "evaluation": None if released is None else {
            "account": ACCOUNT,
            "releases": len(assessment.findings),
            "epsilon_by_adversary": dict(assessment.epsilon_by_adversary),
            "round": released.evaluation.round,
            "hospitals": released.evaluation.hospitals,
            "confidence": released.evaluation.confidence,
            **_evaluated(released),
            **_curves(released),
            "exact": None if exact is None else dict(exact),
        },
        "fairness": None if released is None else {
            **_group_facts(released.group_report),
            "mitigation": _mitigated(assessment),
        },
        "releasable": decision.releasable,
        "usable_until": decision.usable_until.isoformat(),
        "release_blocks": list(decision.blocks),
        "exception": None if not decision.exception_by else
            {"by": decision.exception_by, "reason": decision.exception_reason},
    }  # fmt: skip


def _evaluated(found: EvaluationResult) -> dict[str, object]:
    e = found.evaluation
    names = ("auc", "log_loss", "calibration_gap", "prevalence", "patients")
    return {name: estimate_facts(getattr(e, name), e.confidence) for name in names}


def _curves(found: EvaluationResult) -> dict[str, object]:
    e, band = found.evaluation, roc_band(found.evaluation)
    return {
        "calibration": [
            {"predicted": p, "observed": estimate_facts(o, e.confidence)} for p, o in e.calibration
        ],
        "bands": {
            "at_once": True,
            "roc": {"upper": [list(p) for p in band.upper], "lower": [list(p) for p in band.lower]},
            "calibration": [asdict(bar) for bar in calibration_bars(e)],
        },
        "roc": [
            {"fpr": estimate_facts(f, e.confidence), "tpr": estimate_facts(t, e.confidence)} for f, t in e.roc
        ],
    }


def estimate_facts(found: Estimate, level: float) -> dict[str, float]:
    """Give a number with its interval at this level, and what each error adds to it; NaN where it does not exist."""
    low, high = found.interval(level)
    return {"value": found.value, "low": low, "high": high, "noise": found.noise, "sampling": found.sampling}


def _group_facts(report: GroupReport) -> dict[str, object]:
    return {
        "threshold": report.threshold,
        "groups": [
            {
                "attribute": group.attribute,
                "group": group.label,
                "suppressed": group.suppressed,
                "patients": None if group.suppressed else group.patients.value,
                **{name: estimate_facts(found, report.confidence) for name, found in group.measures.items()},
            }
            for group in report.groups
        ],
        "gaps": [_gap(gap, report.confidence) for gap in largest_gaps(report)],
        "limits": [
            {"attribute": v.attribute, "measure": v.measure, "limit": v.limit, "outcome": v.outcome}
            for v in report.verdicts
        ],
    }


def largest_gaps(report: GroupReport) -> list[Gap]:
    """Give the largest gap of every attribute and measure that has one."""
    found = [
        report.largest(*key) for key in dict.fromkeys((gap.attribute, gap.measure) for gap in report.gaps)
    ]
    return [gap for gap in found if gap is not None and gap.size >= 0]


def _gap(gap: Gap, level: float) -> dict[str, object]:
    return {
        "attribute": gap.attribute,
        "measure": gap.measure,
        "first": gap.first,
        "second": gap.second,
        **estimate_facts(gap.difference, level),
    }


def _mitigated(assessment: Assessment) -> dict[str, object] | None:
    if assessment.before is None or assessment.after is None:
        return None
    return {
        "offsets": {name: offsets.tolist() for name, offsets in assessment.offsets.items()},
        "thresholds": assessment.thresholds,
        "before": {**_evaluated(assessment.before), "gaps": _sizes(assessment.before)},
        "after": {**_evaluated(assessment.after), "gaps": _sizes(assessment.after)},
    }


def _sizes(found: EvaluationResult) -> list[dict[str, object]]:
    return [_gap(gap, found.group_report.confidence) for gap in largest_gaps(found.group_report)]


def null_where_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity: None instead, at any depth; numpy scalars become Python's."""
    if isinstance(value, Mapping):
        return {str(key): null_where_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [null_where_nan(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
