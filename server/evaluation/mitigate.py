"""Mitigation from the noised tables alone: a threshold for each group, or an offset that recalibrates it.

Post-processing of what was released, so it costs no ε; whether it helped is then measured by one more,
charged evaluation. Thresholds per group (Hardt, Price and Srebro 2016, "Equality of opportunity in
supervised learning"; fairlearn's ThresholdOptimizer) leave every score, and so the AUC, as it is: only who is
selected changes. Recalibration per group (Pleiss et al. 2017) changes the scores.

Both are offsets of the logit: to add d to a group's logits is to lower its threshold by d. The group
attributes are binned features of the contract, and the linear part of the model has one weight for each of
their bins, so that offsets fold into weights: those of the released model, or of the rule that selects.
"""

import math
from collections.abc import Mapping

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import column_scale, named_parameters
from wardround.protocol.terms.evaluation import FairnessSettings
from wardround.protocol.terms.structure import kinds_with
from wardround.protocol.terms.terms import Terms
from wardround.server.evaluation.estimates import NoisedTables
from wardround.server.evaluation.group_report import HELD, Group, GroupReport

_LARGEST_OFFSET = 3.0


def group_offsets(tables: NoisedTables, settings: FairnessSettings, found: GroupReport) -> dict[str, Floats]:
    """Choose each group's offset, in log-odds, of every attribute with a limit that was not shown to hold.

    attribute → float64 [groups], 0 for suppressed groups: the one at which the group's rate is that of all.
    """
    unmet = dict.fromkeys(v.attribute for v in found.verdicts if v.outcome != HELD)
    return {
        attribute: np.array(
            [
                _offset(tables, settings, found, group)
                for group in found.groups
                if group.attribute == attribute
            ]
        )
        for attribute in unmet
    }


def changes_scores(settings: FairnessSettings) -> bool:
    """Tell whether the mitigation changes the released scores, or only who is selected."""
    return settings.mitigation == "calibration"


def group_thresholds(found: GroupReport, offsets: Mapping[str, Floats]) -> dict[str, dict[str, float]]:
    """Give the score from which an event of each group is selected: attribute → group → probability.

    With several attributes their distances from the common threshold, in log-odds, add up.
    """
    common = _logit(found.threshold)
    labels = {
        attribute: [group.label for group in found.groups if group.attribute == attribute]
        for attribute in offsets
    }
    return {
        attribute: {
            label: 1 / (1 + math.exp(float(d) - common))
            for label, d in zip(labels[attribute], offset, strict=True)
        }
        for attribute, offset in offsets.items()
    }


def mitigated_weights(terms: Terms, weights: Floats, offsets: Mapping[str, Floats]) -> Floats:
    """Fold offsets into the weights, float64 [parameters]: a group's logits rise by exactly its offset.

    ConfigurationError for a model without a linear part.
    """
    layout, result = terms.contract.layout, weights.copy()
    # A view of `result`: what is added to it is in the vector that is returned.
    linear = named_parameters(terms.model, layout, result).get("linear")
    if linear is None:
        raise ConfigurationError(
            f"fairness.mitigation={terms.fairness.mitigation}: model.kind={terms.model.kind} has no effects "
            f"per bin; choose {kinds_with('linear')}"
        )
    starts = dict(zip((field.name for field in layout.fields), layout.offsets, strict=True))
    scale = column_scale(terms.model, layout)
    for attribute, offset in offsets.items():
        columns = slice(starts[attribute], starts[attribute] + len(offset))
        # A logit takes a weight times its column's scale.
        linear[columns] += offset / scale[columns]
    return result


def _offset(tables: NoisedTables, settings: FairnessSettings, found: GroupReport, group: Group) -> float:
    if group.suppressed:
        # Nothing is known of a suppressed group that noise could not have made: its scores stay.
        return 0.0
    counts = tables.counts[group.row]
    if settings.mitigation == "calibration":
        return _recalibrating_offset(counts, tables.shape.middle)
    labels = slice(0, 2) if settings.mitigation == "equal_selection" else slice(1, 2)
    own = _share_above(counts[labels].sum(axis=0))
    whole = _share_above(tables.counts[0][labels].sum(axis=0))
    # np.interp wants ascending points, and shares fall with the threshold: both are negated.
    threshold = float(np.interp(-whole[found.first_selected], -own, _ends(tables.edges)))
    return _bounded(_logit(found.threshold) - threshold)


def _ends(edges: Floats) -> Floats:
    """Give all edges, the outermost bins closed at twice the width of their neighbours."""
    first, last = edges[0] - edges[1 % len(edges)], edges[-1] - edges[-2 % len(edges)]
    return np.concatenate([[edges[0] + 2 * first], edges, [edges[-1] + 2 * last]])


def _share_above(by_bin: Floats) -> Floats:
    """Share of a table above each edge, float64 [bins + 1], made to fall from 1 to 0 where noise has it rise."""
    above = np.append(np.cumsum(by_bin[::-1])[::-1], 0.0) / float(by_bin.sum())
    falling: Floats = np.clip(
        (np.minimum.accumulate(above) + np.maximum.accumulate(above[::-1])[::-1]) / 2, 0, 1
    )
    return falling


def _recalibrating_offset(counts: Floats, logits: Floats) -> float:
    """Find the offset at which the group's mean prediction is its observed share, by bisection."""
    by_bin = counts.sum(axis=0)
    low, high = -_LARGEST_OFFSET, _LARGEST_OFFSET
    for _ in range(40):
        middle = (low + high) / 2
        predicted = float(by_bin @ (1 / (1 + np.exp(-(logits + middle)))))
        low, high = (middle, high) if predicted < counts[1].sum() else (low, middle)
    return (low + high) / 2


def _logit(probability: float) -> float:
    # The outermost thresholds are 0 and 1, whose log-odds are infinite.
    inside = min(max(probability, 1e-3), 1 - 1e-3)
    return math.log(inside / (1 - inside))


def _bounded(offset: float) -> float:
    return min(max(offset, -_LARGEST_OFFSET), _LARGEST_OFFSET)
