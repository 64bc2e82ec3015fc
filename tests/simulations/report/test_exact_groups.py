"""A simulation's exact numbers of each group, against scikit-learn, every patient weighing the same."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.builders import AGE, PUBLIC, SEX, cohort_with, small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.simulations.report.assessed import exact_groups

CONTRACT = contract_from_mapping(small_contract(**PUBLIC, features={"age": AGE, "sex": SEX}, groups=["sex"]))


def test_they_are_scikit_learns_and_add_up_to_all_patients() -> None:
    cohort = cohort_with(CONTRACT.layout, [1 + patient % 4 for patient in range(400)], seed=3)
    scores = np.random.default_rng(0).random(cohort.event_count)
    found = exact_groups(cohort, scores, CONTRACT, 0.6)
    assert sum(one["patients"] for one in found) == pytest.approx(400)  # type: ignore[misc]
    own = [field.name for field in CONTRACT.layout.features].index("sex")
    weights = (1 / cohort.events_per_patient)[cohort.patient_of_event]
    for group, one in enumerate(found):
        inside = cohort.bins[:, own] == group
        labels, kept = cohort.labels[inside], weights[inside]
        if len(set(labels)) < 2:
            assert np.isnan(one["auc"])  # type: ignore[call-overload]
            continue
        assert one["auc"] == pytest.approx(roc_auc_score(labels, scores[inside], sample_weight=kept))
        selected = scores[inside] >= 0.6
        assert one["selection"] == pytest.approx(np.average(selected, weights=kept))
        true = np.average(selected[labels == 1], weights=kept[labels == 1])
        assert one["true_positive"] == pytest.approx(true)
        assert one["calibration"] == pytest.approx(np.average(scores[inside] - labels, weights=kept))
