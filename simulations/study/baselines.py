"""What the private federation is compared with, without privacy, each given its honest best.

Pooled boosting and the pooled additive model see every record; a hospital alone sees its own. The ridge's
strength is a fixed public number and boosting stops by training patients; held-out patients choose nothing.
``simulations.study.descents`` has the baselines that run by the study's own rounds.
"""

from collections.abc import Sequence

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.personal.ridge import fit_effects
from wardround.protocol.arrays import Floats, Floats32
from wardround.protocol.contract.layout import Layout

CATEGORY_LIMIT = 255
"""Bins that scikit-learn's histogram boosting can treat as categories."""


def pooled_boosting(
    training: Cohort, heldout: Cohort, categorical: Sequence[bool], seed: int, iterations: int = 200
) -> Floats:
    """Probabilities for the held-out events by scikit-learn's histogram gradient boosting on all records.

    categorical: whether each column of ``bins`` is unordered. A tenth of the training *patients* stops it
    early, so that a patient's events never stand on both sides. Constant where the labels have one class.
    """
    # Slow to import, and only needed here.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if training.labels.min() == training.labels.max():
        return np.full(heldout.event_count, training.labels[0])
    patient_stops = np.random.default_rng(seed).random(training.patient_count) < 0.1
    stops = patient_stops[training.patient_of_event]
    # Too few patients to stop by: then a fixed number of iterations, below.
    if len(np.unique(training.labels[stops])) < 2 or len(np.unique(training.labels[~stops])) < 2:
        stops = np.zeros_like(stops)
    sizes = training.bins.max(axis=0) + 1
    unordered = [bool(c) and size < CATEGORY_LIMIT for c, size in zip(categorical, sizes, strict=True)]
    mask = np.array(unordered + [False] * training.values.shape[1])
    model = HistGradientBoostingClassifier(
        learning_rate=0.1,
        max_iter=iterations if stops.any() else 60,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        l2_regularization=1.0,
        categorical_features=mask if mask.any() else None,
        early_stopping=bool(stops.any()),
        n_iter_no_change=10,
        random_state=seed,
    )
    table = _table(training)
    validation = {"X_val": table[stops], "y_val": training.labels[stops]} if stops.any() else {}
    # One thread: its OpenMP threads spin on each other when other processes want the cores (100 s for 2 s).
    with threadpool_limits(limits=1, user_api="openmp"):
        model.fit(table[~stops], training.labels[~stops], **validation)
        probabilities: Floats = model.predict_proba(_table(heldout))[:, 1]
    return probabilities


def _table(cohort: Cohort) -> Floats32:
    table: Floats32 = np.hstack([cohort.bins.astype(np.float32), cohort.values])
    return table


def pooled_ridge(layout: Layout, scale: Floats, training: Cohort) -> Floats:
    """Weights float64 [D] of the additive model on all records, per-patient mean loss, without privacy."""
    weights: Floats = alone_ridge(layout, scale, training.pooled())[0]
    return weights


def alone_ridge(layout: Layout, scale: Floats, training: Cohort) -> Floats:
    """Weights float64 [H, D] of the additive model fitted at each hospital alone, without privacy.

    scale: the model's public column scale [D]; effects are weights times it. An empty hospital's are zero.
    """
    return fit_effects(layout, training) / scale
