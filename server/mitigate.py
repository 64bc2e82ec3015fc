"""Mitigation from the noised tables alone: an offset per group, folded into the shared model's weights.

Post-processing of what was released, so it costs no ε; whether it helped is then measured by one more,
charged evaluation. Thresholds per group (Hardt, Price and Srebro 2016, "Equality of opportunity in
supervised learning") and recalibration per group (Pleiss et al. 2017) are both offsets of the logit: to add
d to a group's logits is to lower its threshold by d. The group attributes are binned features of the
contract, and the linear part of the model has one weight for each of their bins.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from protocol.evaluation import FairnessSettings
from protocol.model import column_scale, named_parameters
from protocol.terms import Terms
from server import estimates
from server.estimates import Tables
from server.fairness import HELD, Audit, Group

Floats = NDArray[np.float64]
MEASURE = {"equal_selection": "selection", "equal_opportunity": "true_positive", "calibration": "calibration"}
_LEAST_AIM = 0.6
"""Where noise allows, this share of every group's distance from the whole is taken away: more than half."""
_WITHIN_LIMIT = 0.5
"""Where there is a limit the aim is this share of it, so that noise leaves room for an interval."""
STRENGTHS = tuple((np.arange(20, 0, -1) / 20).tolist())
_COST_MARGIN = 0.9
_LARGEST_OFFSET = 3.0


def group_offsets(tables: Tables, settings: FairnessSettings, found: Audit) -> dict[str, Floats]:
    """Choose each group's offset, in log-odds, of every attribute with a limit that was not shown to hold.

    attribute → float64 [groups], 0 for suppressed groups. No more is moved than the limits ask, and no more
    than costs ``max_auc_cost``, as the same tables foresee it.
    """
    unmet = dict.fromkeys(v.attribute for v in found.verdicts if v.outcome != HELD)
    cost = _COST_MARGIN * settings.max_auc_cost / max(len(unmet), 1)
    return {attribute: _offsets(tables, settings, found, attribute, cost) for attribute in unmet}


def mitigated_weights(terms: Terms, weights: Floats, offsets: Mapping[str, Floats]) -> Floats:
    """Fold offsets into the weights, float64 [parameters]: a group's logits rise by exactly its offset.

    ConfigurationError for a model without a linear part.
    """
    layout, result = terms.contract.layout, weights.copy()
    linear = named_parameters(terms.model, layout, result).get("linear")
    if linear is None:
        raise ConfigurationError(
            f"fairness.mitigation={terms.fairness.mitigation}: model.kind={terms.model.kind} has no effects "
            "per bin; choose additive or wide_deep"
        )
    starts = dict(zip((field.name for field in layout.fields), layout.offsets, strict=True))
    scale = column_scale(terms.model, layout)
    for attribute, offset in offsets.items():
        columns = slice(starts[attribute], starts[attribute] + len(offset))
        linear[columns] += offset / scale[columns]
    return result


def _offsets(
    tables: Tables, settings: FairnessSettings, found: Audit, attribute: str, cost: float
) -> Floats:
    measure = MEASURE[settings.mitigation]
    gap, limit = found.largest(attribute, measure), settings.limits[measure]
    size = gap.size if gap is not None else 0.0
    aim = _WITHIN_LIMIT * limit if limit < 1 else math.inf
    wanted = max(_LEAST_AIM, 1 - aim / size if size > 0 else 0.0)
    groups = [group for group in found.groups if group.attribute == attribute]
    for strength in [share for share in STRENGTHS if share <= wanted + 1e-9]:
        offsets = np.array([_offset(tables, settings, found, group, strength) for group in groups])
        if foreseen_auc_cost(tables, [group.row for group in groups], offsets) <= cost:
            return offsets
    return np.zeros(len(groups))


def foreseen_auc_cost(tables: Tables, rows: Sequence[int], offsets: Floats) -> float:
    """Foresee by how much the AUC of all events falls when the groups in these rows move by these offsets."""
    moved = sum(tables.counts[row] @ _moving(tables.probabilities, d) for row, d in zip(rows, offsets, strict=True))
    auc = estimates.auc(len(tables.probabilities)).of
    return auc(tables.counts[0])[0] - auc(np.asarray(moved))[0]


def _moving(probabilities: Floats, offset: float) -> Floats:
    """Give the share [bins, bins] of each bin that an offset moves to each other bin."""
    bins = len(probabilities)
    after = 1 / (1 + np.exp(-(np.log(probabilities / (1 - probabilities)) + offset)))
    place = np.clip(after * bins - 0.5, 0, bins - 1)
    low = np.minimum(place.astype(int), bins - 2)
    shares = np.zeros((bins, bins))
    shares[np.arange(bins), low] = 1 - (place - low)
    shares[np.arange(bins), low + 1] = place - low
    return shares


def _offset(tables: Tables, settings: FairnessSettings, found: Audit, group: Group, strength: float) -> float:
    if group.suppressed:
        return 0.0
    counts = tables.counts[group.row]
    if settings.mitigation == "calibration":
        return strength * _recalibrating_offset(counts, tables.probabilities)
    labels = slice(0, 2) if settings.mitigation == "equal_selection" else slice(1, 2)
    own = _share_above(counts[labels].sum(axis=0))
    whole = _share_above(tables.counts[0][labels].sum(axis=0))
    aim = own[found.first_selected] + strength * (whole[found.first_selected] - own[found.first_selected])
    edges = np.linspace(0, 1, len(own))
    threshold = float(np.interp(-aim, -own, edges))
    return _bounded(_logit(found.threshold) - _logit(threshold))


def _share_above(by_bin: Floats) -> Floats:
    """Share of a table above each edge, float64 [bins + 1], made to fall from 1 to 0 where noise has it rise."""
    above = np.append(np.cumsum(by_bin[::-1])[::-1], 0.0) / float(by_bin.sum())
    falling: Floats = np.clip((np.minimum.accumulate(above) + np.maximum.accumulate(above[::-1])[::-1]) / 2, 0, 1)
    return falling


def _recalibrating_offset(counts: Floats, probabilities: Floats) -> float:
    """Find the offset at which the group's mean prediction is its observed share, by bisection."""
    by_bin, logits = counts.sum(axis=0), np.log(probabilities / (1 - probabilities))
    low, high = -_LARGEST_OFFSET, _LARGEST_OFFSET
    for _ in range(40):
        middle = (low + high) / 2
        predicted = float(by_bin @ (1 / (1 + np.exp(-(logits + middle)))))
        low, high = (middle, high) if predicted < counts[1].sum() else (low, middle)
    return (low + high) / 2


def _logit(probability: float) -> float:
    inside = min(max(probability, 1e-3), 1 - 1e-3)
    return math.log(inside / (1 - inside))


def _bounded(offset: float) -> float:
    return min(max(offset, -_LARGEST_OFFSET), _LARGEST_OFFSET)
