"""The exact numbers beside those of a private evaluation: in a simulation alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Booleans, Floats
from wardround.protocol.contract.contract import Contract
from wardround.simulations.measures import metrics


@dataclass(frozen=True)
class Exact:
    """What noised tables estimate of the released scores, without noise: of all, and of each group."""

    measures: Mapping[str, float]
    groups: tuple[Mapping[str, object], ...]


def exact_of(heldout: Cohort, probabilities: Floats, contract: Contract, threshold: float) -> Exact:
    """Compute both. threshold: the common one; where groups have thresholds of their own, their rates are others."""
    groups = exact_groups(heldout, probabilities, contract, threshold)
    return Exact(exact_measures(heldout, probabilities), tuple(groups))


def exact_measures(heldout: Cohort, probabilities: Floats) -> dict[str, float]:
    """Give what the noised tables estimate, every patient weighing the same, without noise or bins."""
    weights = (1 / heldout.events_per_patient)[heldout.patient_of_event]
    losses = metrics.event_log_losses(heldout.labels, probabilities)
    return {
        "auc": weighted_auc(heldout.labels, probabilities, weights),
        "log_loss": float(np.average(losses, weights=weights)),
        "calibration_gap": float(np.average(probabilities - heldout.labels, weights=weights)),
        "prevalence": float(np.average(heldout.labels, weights=weights)),
        "patients": float(heldout.patient_count),
    }


def exact_groups(
    heldout: Cohort, probabilities: Floats, contract: Contract, threshold: float
) -> list[dict[str, object]]:
    """Give each group's numbers without noise or bins, in the group report's order, every patient weighing the same.

    threshold: probability from which an event counts as selected. A measure that a group has not (no events, or one
    label alone) is NaN.
    """
    fields, found = contract.layout.features, list[dict[str, object]]()
    names = [field.name for field in fields]
    for attribute in contract.groups:
        own = names.index(attribute)
        for group, label in enumerate(fields[own].labels):
            inside = heldout.bins[:, own] == group
            found.append(
                {"attribute": attribute, "group": label, **_of(heldout, probabilities, inside, threshold)}
            )
    return found


def _of(heldout: Cohort, probabilities: Floats, inside: Booleans, threshold: float) -> dict[str, float]:
    labels, scores = heldout.labels[inside], probabilities[inside]
    weights = (1 / heldout.events_per_patient)[heldout.patient_of_event][inside]
    selected = (scores >= threshold).astype(np.float64)
    return {
        "patients": float(weights.sum()),
        "selection": _mean(selected, weights),
        "true_positive": _mean(selected, weights * labels),
        "false_positive": _mean(selected, weights * (1 - labels)),
        "auc": weighted_auc(labels, scores, weights) if len(labels) else math.nan,
        "calibration": _mean(scores - labels, weights),
    }


def _mean(values: Floats, weights: Floats) -> float:
    return float(values @ weights / weights.sum()) if weights.sum() > 0 else math.nan


def weighted_auc(labels: Floats, scores: Floats, weights: Floats) -> float:
    """Area under the ROC curve with event weights, ties counted half; NaN for one class."""
    ranks = metrics.dense_ranks(scores)
    positives = np.bincount(ranks, weights * labels)
    negatives = np.bincount(ranks, weights * (1 - labels))
    pairs = positives.sum() * negatives.sum()
    # Each positive against the negatives below it, and half of those that it ties with.
    return float(positives @ (np.cumsum(negatives) - negatives / 2) / pairs) if pairs > 0 else math.nan
