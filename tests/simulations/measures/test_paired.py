"""Paired differences of AUC: against scikit-learn, a bootstrap over patients, and who is worse off."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wardround.client.cohort import Cohort
from wardround.simulations.measures.paired import auc_difference, no_worse_off, placements
from wardround.simulations.report.assessed import exact_measures, weighted_auc


def scored(cohort: Cohort, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two scores that share much of their error; patients' events hang together."""
    draw = np.random.default_rng(seed)
    patient = draw.normal(size=cohort.patient_count)[cohort.patient_of_event]
    common = cohort.labels + patient + draw.normal(size=cohort.event_count)
    return common + draw.normal(size=len(common)) * 0.5, np.round(
        common + draw.normal(size=len(common)) * 1.5, 1
    )


def test_the_mean_placement_of_either_class_is_the_auc(small: Callable) -> None:
    cohort = small([40, 0, 200]).cohort
    score = scored(cohort, 0)[1]
    hospital = cohort.hospital_of_patient[cohort.patient_of_event]
    found = placements(cohort.labels, score, hospital, 3)
    for index in (0, 2):
        own = hospital == index
        expected = roc_auc_score(cohort.labels[own], score[own])
        for label in (0, 1):
            assert found[own & (cohort.labels == label)].mean() == pytest.approx(expected)


@pytest.mark.slow
def test_differences_and_their_errors_are_those_of_a_bootstrap_over_patients(small: Callable) -> None:
    cohort = small([250, 150]).cohort
    first, second = scored(cohort, 1)
    found = auc_difference(cohort, first, second)
    draw = np.random.default_rng(2)
    for index in range(2):
        part = cohort.hospital(index)
        start = cohort.events_from[cohort.patients_from[index]]
        one, other = (score[start : start + part.event_count] for score in (first, second))
        exact = roc_auc_score(part.labels, one) - roc_auc_score(part.labels, other)
        assert found.value[index] == pytest.approx(exact)
        events = [np.arange(a, b) for a, b in zip(part.events_from[:-1], part.events_from[1:], strict=True)]
        drawn = []
        for _ in range(150):
            rows = np.concatenate([events[i] for i in draw.integers(0, len(events), len(events))])
            drawn.append(
                roc_auc_score(part.labels[rows], one[rows]) - roc_auc_score(part.labels[rows], other[rows])
            )
        assert found.error[index] == pytest.approx(np.std(drawn), rel=0.25)


def test_one_class_and_no_patients_have_no_difference(small: Callable) -> None:
    cohort = small([3, 0, 50]).cohort
    cohort.labels[: cohort.events_from[3]] = 1
    found = auc_difference(cohort, *scored(cohort, 0))
    assert np.isnan(found.value[:2]).all()
    assert np.isfinite(found.value[2])


def test_only_hospitals_that_are_clearly_worse_count_as_exceptions(small: Callable) -> None:
    cohort = small([300, 300, 300, 20]).cohort
    hospital = cohort.hospital_of_patient[cohort.patient_of_event]
    draw = np.random.default_rng(0)
    good = cohort.labels + draw.normal(size=cohort.event_count)
    noise = draw.normal(size=cohort.event_count)
    personalised = np.where((hospital == 1) | (hospital == 3), noise, good)
    patients = np.array([400, 400, 400, 25])
    found = no_worse_off(auc_difference(cohort, personalised, good), ["a", "b", "c", "d"], patients)
    assert found.exceptions == ("b",)
    assert found.hospitals == 3
    assert found.share == pytest.approx(2 / 3)
    nobody = no_worse_off(auc_difference(cohort, good, good), ["a", "b", "c", "d"], np.zeros(4, np.int64))
    assert np.isnan(nobody.share)
    assert not nobody.exceptions


def test_exact_measures_weigh_every_patient_the_same(small: Callable) -> None:
    found = small([60])
    weights = (1 / found.cohort.events_per_patient)[found.cohort.patient_of_event]
    exact = exact_measures(found.cohort, found.truth)
    assert exact["auc"] == pytest.approx(
        roc_auc_score(found.cohort.labels, found.truth, sample_weight=weights)
    )
    assert exact["patients"] == 60
    assert np.isnan(weighted_auc(np.ones(3), np.arange(3.0), np.ones(3)))
