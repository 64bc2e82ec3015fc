"""The group report: does the model serve every declared group alike? Read off the noised tables, so it costs nothing.

Definitions are fairlearn's: selection rate, true and false positive rate of each group, and the largest
difference between two groups of an attribute (Weerts et al. 2023). Selected are the events with the highest
scores, a public share of all. Added: AUC, and the calibration gap (mean predicted less observed). Every
patient weighs the same.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import expit

from wardround.protocol.terms.evaluation import FairnessSettings
from wardround.server.evaluation import measures
from wardround.server.evaluation.estimates import Estimate, Measure, NoisedTables, difference, estimate

RATES = ("selection", "true_positive", "false_positive")
HELD, EXCEEDED, NOT_SHOWN = "held", "exceeded", "not shown"
_LEAST_SIGNAL = 5.0
"""Groups whose number is below so many standard deviations of its noise are suppressed."""


@dataclass(frozen=True, eq=False)
class Group:
    """One group's measures; none where it is suppressed. patients is noised like everything else."""

    attribute: str
    label: str
    row: int
    patients: Estimate
    suppressed: bool
    measures: Mapping[str, Estimate]


@dataclass(frozen=True, eq=False)
class Gap:
    """A measure's difference between two groups of one attribute, the first less the second."""

    attribute: str
    measure: str
    first: str
    second: str
    difference: Estimate

    @property
    def size(self) -> float:
        """Absolute difference; -1 where it does not exist."""
        return abs(self.difference.value) if math.isfinite(self.difference.value) else -1.0


@dataclass(frozen=True)
class Verdict:
    """Whether a limit on one measure holds for one attribute.

    ``held``: every pair's whole interval is within the limit; ``exceeded``: a pair's whole interval is
    outside; ``not shown``: noise or few patients leave it open. worst is the pair with the largest difference.
    """

    attribute: str
    measure: str
    limit: float
    outcome: str
    worst: Gap | None


@dataclass(frozen=True, eq=False)
class GroupReport:
    """What was found. threshold: score from which an event counts as selected."""

    threshold: float
    first_selected: int
    groups: tuple[Group, ...]
    gaps: tuple[Gap, ...]
    verdicts: tuple[Verdict, ...]
    confidence: float

    def largest(self, attribute: str, measure: str) -> Gap | None:
        """Give the pair with the largest difference, or None where fewer than two groups can be shown."""
        found = [gap for gap in self.gaps if (gap.attribute, gap.measure) == (attribute, measure)]
        return max(found, key=lambda gap: gap.size, default=None)


@dataclass(frozen=True, eq=False)
class SelectionRule:
    """How events are selected where not by the released scores themselves: by other scores, from a fixed bin."""

    tables: NoisedTables
    first_selected: int


def group_report(
    tables: NoisedTables, settings: FairnessSettings, by: SelectionRule | None = None
) -> GroupReport:
    """Look at every group and every pair of groups of each attribute.

    tables: of the released scores. by: the tables of what selects, where that is something else; rates are
    then read off those.
    """
    first = by.first_selected if by else first_selected_bin(tables, settings.selected_share)
    asked = group_measures(tables, first)
    read = {name: by.tables if by and name in RATES else tables for name in asked}
    groups = tuple(
        _group(tables, row, asked, read, settings)
        for row in range(len(tables.rows))
        if tables.rows[row].attribute
    )
    gaps = tuple(
        Gap(one.attribute, name, one.label, other.label, _gap(read[name], measure, one, other))
        for one, other in combinations([group for group in groups if not group.suppressed], 2)
        if one.attribute == other.attribute
        for name, measure in asked.items()
    )
    found = GroupReport(float(expit(tables.edges[first - 1])), first, groups, gaps, (), settings.confidence)
    return GroupReport(found.threshold, first, groups, gaps, _verdicts(found, settings), settings.confidence)


def first_selected_bin(tables: NoisedTables, share: float) -> int:
    """Choose the bin edge above which the share of all events is nearest to ``share``."""
    by_bin = tables.counts[0].sum(axis=0)
    above = np.cumsum(by_bin[::-1])[::-1] / max(float(by_bin.sum()), 1e-9)
    # Not from edge 0: where everybody is selected no two groups can differ.
    return int(np.argmin(np.abs(above[1:] - share))) + 1


def group_measures(tables: NoisedTables, first_selected: int) -> dict[str, Measure]:
    """Give the measures by name, in the order of the limits in ``FairnessSettings``."""
    bins, shape = tables.bins, tables.shape
    return {
        "selection": measures.selection_rate(bins, first_selected),
        "true_positive": measures.true_positive_rate(bins, first_selected),
        "false_positive": measures.false_positive_rate(bins, first_selected),
        "auc": measures.auc(shape),
        "calibration": measures.calibration_gap(shape),
    }


def _group(
    tables: NoisedTables,
    row: int,
    asked: Mapping[str, Measure],
    read: Mapping[str, NoisedTables],
    settings: FairnessSettings,
) -> Group:
    number = estimate(tables, measures.patients(tables.bins), row)
    # By the noised number: to suppress by the exact one would be a release of its own, for which nobody paid.
    suppressed = number.value < max(settings.min_group_patients, _LEAST_SIGNAL * number.noise)
    found = (
        {} if suppressed else {name: estimate(read[name], measure, row) for name, measure in asked.items()}
    )
    return Group(tables.rows[row].attribute, tables.rows[row].label, row, number, suppressed, found)


def _gap(tables: NoisedTables, measure: Measure, one: Group, other: Group) -> Estimate:
    return difference(tables, measure, one.row, other.row)


def _verdicts(found: GroupReport, settings: FairnessSettings) -> tuple[Verdict, ...]:
    attributes = dict.fromkeys(group.attribute for group in found.groups)
    # 1 is no limit: no two shares differ by more.
    limited = {measure: limit for measure, limit in settings.limits.items() if limit < 1}
    return tuple(
        _verdict(found, attribute, measure, limit)
        for attribute in attributes
        for measure, limit in limited.items()
    )


def _verdict(found: GroupReport, attribute: str, measure: str, limit: float) -> Verdict:
    gaps = [gap for gap in found.gaps if (gap.attribute, gap.measure) == (attribute, measure)]
    intervals = [gap.difference.interval(found.confidence) for gap in gaps if gap.size >= 0]
    outcome = NOT_SHOWN
    if any(low > limit or high < -limit for low, high in intervals):
        outcome = EXCEEDED
    elif (
        gaps
        # A pair without an interval leaves the limit open: what noise hides is not held.
        and len(intervals) == len(gaps)
        and all(-limit <= low and high <= limit for low, high in intervals)
    ):
        outcome = HELD
    return Verdict(attribute, measure, limit, outcome, found.largest(attribute, measure))
