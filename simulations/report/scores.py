"""Every method of a run scored on the same held-out patients, once; summary, table and report read this."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats, Integers
from wardround.simulations.measures import metrics
from wardround.simulations.measures.metrics import Calibration


@dataclass(frozen=True)
class Method:
    """A method's place in the comparison: key in summary.json, name for a reader, who sees what."""

    key: str
    title: str
    note: str
    private: bool = False


METHODS = (
    Method("best_possible", "Best possible", "the true probabilities"),
    Method("pooled_boosting", "Pooled boosting", "every record in one place, tuned"),
    Method("pooled", "Pooled, same model", "every record in one place"),
    Method("federated", "Together", "federated, without privacy, converged"),
    Method("personalised", "Personalised, private", "together, plus each hospital's own part", private=True),
    Method(
        "federated_private", "Together, private", "federated: the model that a study releases", private=True
    ),
    Method("local", "Alone", "each hospital by itself"),
    Method("local_private", "Alone, private", "each hospital by itself", private=True),
)
METHOD_KEYS = tuple(method.key for method in METHODS)
SHARED, ALONE = "federated_private", "local_private"
"""The method whose model a study releases and keeps, and what each hospital would have by itself at the same ε."""


@dataclass(frozen=True, eq=False)
class MethodScores:
    """One method on the held-out patients; NaN where a number does not exist.

    hospital_auc: float64 [hospitals], NaN for one class or no patient. one_class: hospitals that macro_auc
    therefore leaves out. auc_known, auc_unknown: events of patients with history at the event, and without.
    """

    auc: float
    macro_auc: float
    one_class: int
    log_loss: float
    calibration: Calibration
    hospital_auc: Floats
    hospital_log_loss: Floats
    auc_known: float
    auc_unknown: float


def score_methods(heldout: Cohort, probabilities: Mapping[str, Floats]) -> dict[str, MethodScores]:
    """Score each method's probabilities, float64 [events] over ``heldout``, in the order of ``METHODS``."""
    hospital = heldout.hospital_of_patient[heldout.patient_of_event]
    return {
        method.key: _score(heldout, hospital, probabilities[method.key])
        for method in METHODS
        if method.key in probabilities
    }


def _score(heldout: Cohort, hospital: Integers, scores: Floats) -> MethodScores:
    labels, count = heldout.labels, heldout.hospital_count
    # Sorted once: all AUCs below ask for the order alone.
    ranks = metrics.dense_ranks(scores)
    by_hospital = metrics.auc_by_segment(labels, ranks, hospital, count)
    by_history = metrics.auc_by_segment(labels, ranks, heldout.known.astype(np.int64), 2)
    mean, left_out = metrics.macro_auc(by_hospital)
    return MethodScores(
        auc=metrics.auc(labels, ranks),
        macro_auc=mean,
        one_class=left_out,
        log_loss=metrics.log_loss(labels, scores),
        calibration=metrics.calibration(labels, scores),
        hospital_auc=by_hospital,
        hospital_log_loss=metrics.log_loss_by_segment(labels, scores, hospital, count),
        auc_known=float(by_history[1]),
        auc_unknown=float(by_history[0]),
    )
