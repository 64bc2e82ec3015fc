"""A hospital's own effects and their error: drawn hospitals are off as far as is stated, and half of it is refused."""

from dataclasses import replace

import numpy as np
import pytest

from tests.builders import AGE, PUBLIC, SEX, cohort_of, small_contract
from wardround.client.personal.own_effects import own_effects
from wardround.client.personal.personal_mixture import fit_mixture, mixture_logits
from wardround.client.personal.personalize import PersonalDesign, offset_and_slope
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.design import dense_rows

LAYOUT = contract_from_mapping(
    small_contract(**PUBLIC, features={"age": AGE, "sex": SEX}, groups=["sex"], crosses=[["age", "sex"]])
).layout
SHARED_ERROR = 0.1
SUPPOSED = 0.18
"""Standard deviation between hospitals that the stiffer candidate supposes: 1/√30."""


def part(design: PersonalDesign, events: slice) -> PersonalDesign:
    return replace(design, fixed=design.fixed[events], inputs=design.inputs[events])


def errors_over_stated(patients: int, spread: float, hospitals: int = 40) -> np.ndarray:
    """Draw hospitals; give (own effects − truth) / stated error of differences between two bins of each field."""
    draw, width = np.random.default_rng(0), LAYOUT.width
    truth = draw.normal(0, 0.5, width)
    shared = truth + SHARED_ERROR * draw.normal(size=width)
    own = truth + spread * draw.normal(size=(hospitals, width))
    own[:, 0] += 0.5 * draw.normal(size=hospitals)
    cohort = cohort_of(LAYOUT, [patients] * hospitals, seed=1)
    rows = dense_rows(LAYOUT, cohort)
    ends = cohort.events_from[cohort.patients_from]
    hospital = np.repeat(np.arange(hospitals), np.diff(ends))
    chance = 1 / (1 + np.exp(-(rows * own[hospital]).sum(axis=1)))
    cohort = replace(cohort, labels=(draw.random(len(chance)) < chance).astype(np.float64))
    design = offset_and_slope(rows @ shared)
    mixture = fit_mixture(LAYOUT, cohort, design)
    found = []
    for place in range(hospitals):
        mine = part(design, slice(int(ends[place]), int(ends[place + 1])))
        factor = SHARED_ERROR * np.eye(width)
        one = own_effects(LAYOUT, mixture, place, cohort.hospital(place), mine, shared, factor)
        for offset, field in zip(LAYOUT.offsets, LAYOUT.fields, strict=True):
            first, second = draw.choice(field.size, 2, replace=False)
            change = np.zeros(width)
            change[offset + first], change[offset + second] = 1, -1
            off = change @ (one.effects - own[place])
            found.append(off / np.linalg.norm(change @ one.error_factor))
    return np.array(found)


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("patients", [60, 300, 1000])
def test_own_effects_are_off_as_far_as_is_stated(patients: int) -> None:
    """Hospitals as different as the mixture supposes: no further off than stated; half of it is refused."""
    ratio = np.sqrt(np.mean(errors_over_stated(patients, SUPPOSED) ** 2))
    assert 0.5 < ratio < 1.0  # with half of the error the ratio is twice as large


@pytest.mark.statistical
def test_hospitals_that_do_not_differ_are_off_by_less_and_those_that_differ_far_more_by_more() -> None:
    """The limits that the page states: the error supposes how far hospitals differ."""
    same, apart = (np.sqrt(np.mean(errors_over_stated(300, spread) ** 2)) for spread in (0.0, 0.5))
    assert same < 0.7
    assert 1.0 < apart < 1.6


def test_a_hospital_of_few_patients_keeps_the_shared_effects_and_at_least_their_error() -> None:
    cohort = cohort_of(LAYOUT, [1], events=1, seed=2)
    shared = np.random.default_rng(3).normal(0, 0.5, LAYOUT.width)
    design = offset_and_slope(dense_rows(LAYOUT, cohort) @ shared)
    mixture = fit_mixture(LAYOUT, cohort, design)
    only_shared = replace(mixture, weights=np.eye(5)[[0]])
    factor = SHARED_ERROR * np.eye(LAYOUT.width)
    found = own_effects(LAYOUT, only_shared, 0, cohort, design, shared, factor)
    assert found.effects == pytest.approx(shared)
    assert found.error_factor @ found.error_factor.T == pytest.approx(factor @ factor.T)
    # Any weight on candidates that one patient tells nothing about adds error, and never takes some away.
    mixed = own_effects(LAYOUT, mixture, 0, cohort, design, shared, factor)
    differences = np.eye(LAYOUT.width)[2] - np.eye(LAYOUT.width)[1]
    assert np.linalg.norm(differences @ mixed.error_factor) > SHARED_ERROR * np.sqrt(2)


def test_the_logits_of_own_effects_are_the_mixtures() -> None:

    cohort = cohort_of(LAYOUT, [400], seed=4, engaged=0.7)
    shared = np.random.default_rng(5).normal(0, 0.5, LAYOUT.width)
    rows = dense_rows(LAYOUT, cohort)
    design = offset_and_slope(rows @ shared)
    mixture = fit_mixture(LAYOUT, cohort, design)
    factor = SHARED_ERROR * np.eye(LAYOUT.width)
    found = own_effects(LAYOUT, mixture, 0, cohort, design, shared, factor)
    assert rows @ found.effects == pytest.approx(mixture_logits(LAYOUT, mixture, cohort, design), abs=1e-9)
    assert "effects=" not in repr(found)
