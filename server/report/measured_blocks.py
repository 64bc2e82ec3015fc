"""What was measured privately of a model, as blocks of a card or a report: how good it is, and how groups compare."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wardround.server.evaluation.assess import Assessment, EvaluationResult
from wardround.server.evaluation.bands import calibration_bars, roc_band
from wardround.server.evaluation.evaluation import Evaluation
from wardround.server.evaluation.group_report import GroupReport
from wardround.server.report.card_text import Block, CardFigure, CardTable
from wardround.server.report.curves import calibration_chart, roc_chart

MEASURES = {
    "selection": "selection rate",
    "true_positive": "true positive rate",
    "false_positive": "false positive rate",
    "auc": "AUC",
    "calibration": "predicted minus observed",
}


def accuracy_blocks(
    found: EvaluationResult | None, exact: Mapping[str, float] | None = None
) -> tuple[Block, ...]:
    """Say how good the model is. exact: the same measures without noise, which a simulation alone has."""
    if found is None:
        return ("Not evaluated.",)
    e = found.evaluation
    level = e.confidence
    named = {
        "auc": ("AUC", e.auc, 3),
        "log_loss": ("log-loss (nats)", e.log_loss, 3),
        "calibration_gap": ("predicted minus observed", e.calibration_gap, 3),
        "prevalence": ("share that engages", e.prevalence, 3),
        "patients": ("held-out patients", e.patients, 0),
    }
    rows = [
        (words, one.text(level, digits), *((f"{exact[key]:,.{digits}f}",) if exact else ()))
        for key, (words, one, digits) in named.items()
    ]
    header = ("measure", f"estimate [{level:.0%} interval]", *(("exact, without noise",) if exact else ()))
    return (
        f"Measured on held-out patients of {e.hospitals:,} hospitals, from noised tables of label × score. Every "
        "patient weighs the same, also in the AUC, however many events each has. "
        f"The {level:.0%} intervals include the noise and the draw of the patients. "
        "“–” means that a figure is lost in noise.",
        CardTable(header, tuple(rows)),
        *_calibration_figure(e),
        "Calibration: the mean prediction in each range of scores, and the share of events in it that engaged.",
        CardTable(
            ("score", "share that engaged"),
            tuple((f"{p:.2f}", o.text(level)) for p, o in e.calibration),
        ),
        *_roc_figure(e),
        "ROC curve, from the highest scores down: the share selected among events that did not engage, and among "
        "those that did.",
        CardTable(
            ("false positive rate", "true positive rate"),
            # Without the ends, which are (0, 0) and (1, 1) whatever was measured.
            tuple((f.text(level), t.text(level)) for f, t in e.roc[1:-1]),
        ),
    )


def _roc_figure(found: Evaluation) -> Iterator[Block]:
    band = roc_band(found)
    if band.curve:
        yield CardFigure(
            roc_chart(band),
            f"ROC curve, from the noised tables, with its {found.confidence:.0%} band: it includes the noise and the "
            "draw of the patients, and holds at all marked points at once (between them it is drawn straight).",
        )


def _calibration_figure(found: Evaluation) -> Iterator[Block]:
    bars = calibration_bars(found)
    if bars:
        yield CardFigure(
            calibration_chart(bars),
            f"Calibration, from the noised tables: right scores lie on the diagonal. The {found.confidence:.0%} bars "
            "of the shares hold at all ranges at once; where noise hides a range, there is none.",
        )


def fairness_blocks(
    assessment: Assessment, mitigation: str, exact: Sequence[Mapping[str, Any]] = ()
) -> tuple[Block, ...]:
    """Say how the groups compare. exact: each group's numbers without noise, in the report's order; a simulation's."""
    found = assessment.released
    if found is None:
        return ("No group report: the model was not evaluated.",)
    report = found.group_report
    if not report.groups:
        return ("The contract names no groups.",)
    blocks: list[Block] = [
        f"“Selected” means a score of {report.threshold:.2f} or more. Groups with too few patients for this noise are "
        "suppressed.",
        CardTable(("group", "patients", *MEASURES.values()), tuple(_group_rows(report))),
    ]
    if exact:
        blocks += [
            "The same of the same patients without noise, which only a simulation can know:",
            CardTable(("group", "patients", *MEASURES.values()), tuple(map(_exact_row, exact))),
        ]
    gaps = tuple(_gap_rows(report))
    if gaps:
        blocks += [
            "Largest differences between two groups:",
            CardTable(("attribute", "measure", "groups", "difference"), gaps),
        ]
    else:
        blocks.append("No two groups can be compared.")
    if report.verdicts:
        blocks += [
            "Limits on these differences:",
            CardTable(("attribute", "measure", "limit", "outcome"), tuple(_verdict_rows(report))),
        ]
    else:
        blocks.append("The study set no limits.")
    return (*blocks, *_mitigation(assessment, mitigation))


def _group_rows(report: GroupReport) -> list[tuple[str, ...]]:
    rows = []
    for group in report.groups:
        cells = [group.measures[name].text(report.confidence) for name in MEASURES if group.measures]
        cells = cells or ["suppressed", *[""] * (len(MEASURES) - 1)]
        number = "" if group.suppressed else f"{group.patients.value:,.0f}"
        rows.append((f"{group.attribute}: {group.label}", number, *cells))
    return rows


def _exact_row(group: Mapping[str, Any]) -> tuple[str, ...]:
    cells = [f"{group[name]:.3f}" if math.isfinite(group[name]) else "–" for name in MEASURES]
    return (f"{group['attribute']}: {group['group']}", f"{group['patients']:,.0f}", *cells)


def _gap_rows(report: GroupReport) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for attribute in dict.fromkeys(group.attribute for group in report.groups):
        for measure, name in MEASURES.items():
            gap = report.largest(attribute, measure)
            if gap is not None and gap.size >= 0:
                pair = f"{gap.first} minus {gap.second}"
                rows.append((attribute, name, pair, gap.difference.text(report.confidence)))
    return rows


def _verdict_rows(report: GroupReport) -> list[tuple[str, ...]]:
    return [(v.attribute, MEASURES[v.measure], f"{v.limit:g}", v.outcome) for v in report.verdicts]


def _mitigation(assessment: Assessment, kind: str) -> tuple[Block, ...]:
    if assessment.before is None or assessment.after is None:
        return ()
    rows = [("AUC", "", *(f.evaluation.auc.text(f.group_report.confidence) for f in _both(assessment)))]
    for attribute in assessment.offsets:
        for measure, name in MEASURES.items():
            gaps = [found.group_report.largest(attribute, measure) for found in _both(assessment)]
            sizes = [f"{gap.size:.3f}" if gap is not None and gap.size >= 0 else "–" for gap in gaps]
            rows.append((f"largest gap: {name}", attribute, *sizes))
    how = (
        "each group has its own score from which events are selected"
        if assessment.thresholds
        else ("each group's scores were moved by an offset")
    )
    blocks: list[Block] = [
        f"Mitigation “{kind.replace('_', ' ')}”: {how}, chosen from the noised tables. One more evaluation measured "
        "its effect" + (", which only those who select in this way get." if assessment.thresholds else "."),
        CardTable(("", "attribute", "before", "after"), tuple(rows)),
    ]
    for attribute, groups in assessment.thresholds.items():
        cells = tuple((f"{attribute}: {label}", f"{score:.3f}") for label, score in groups.items())
        blocks.append(CardTable(("group", "selected from a score of"), cells))
    return tuple(blocks)


def _both(assessment: Assessment) -> tuple[EvaluationResult, ...]:
    return tuple(found for found in (assessment.before, assessment.after) if found is not None)
