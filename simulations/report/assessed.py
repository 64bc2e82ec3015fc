"""The exact numbers beside those of a private evaluation: in a simulation alone."""

import math

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats
from wardround.simulations.measures import metrics


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


def weighted_auc(labels: Floats, scores: Floats, weights: Floats) -> float:
    """Area under the ROC curve with event weights, ties counted half; NaN for one class."""
    ranks = metrics.dense_ranks(scores)
    positives = np.bincount(ranks, weights * labels)
    negatives = np.bincount(ranks, weights * (1 - labels))
    pairs = positives.sum() * negatives.sum()
    # Each positive against the negatives below it, and half of those that it ties with.
    return float(positives @ (np.cumsum(negatives) - negatives / 2) / pairs) if pairs > 0 else math.nan
