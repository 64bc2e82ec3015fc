"""Moment rounds at a hospital: what one patient moves, that outcomes do not enter, that all paths agree."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import LAYOUT, cohort_of, step_terms, stream
from wardround.client.cohort import Cohort, concatenate
from wardround.client.train.moments import moment_sums
from wardround.client.train.update import Step, draw_sample, private_update
from wardround.protocol.model.design import dense_rows
from wardround.protocol.model.model import column_scale
from wardround.protocol.privacy.mechanism import add_noise, ordered_clip_norm
from wardround.protocol.terms.settings import ModelSettings

ADDITIVE = ModelSettings()
NEWTON = {"optimizer": "newton", "moment_rounds": 1}
NOWHERE = np.full((1, LAYOUT.width), np.nan)  # the weights of a moment round: nobody may read them


def plain_sum(cohort: Cohort, clip_norm: float):
    """Patient by patient, event by event."""
    rows = dense_rows(LAYOUT, cohort) * column_scale(ADDITIVE, LAYOUT)
    starts = cohort.events_from
    return clip_norm * sum(rows[a:b].mean(axis=0) for a, b in pairwise(starts))


@pytest.mark.parametrize("clip_norm", [0.01, 1.0, 30.0])
def test_the_sum_is_that_of_the_patients_mean_rows(clip_norm: float) -> None:
    cohort = cohort_of(LAYOUT, (11,), events=6)
    ours = moment_sums(ADDITIVE, LAYOUT, cohort, clip_norm)[0]
    np.testing.assert_allclose(ours, plain_sum(cohort, clip_norm), rtol=1e-8)
    assert ours[0] == pytest.approx(11 * clip_norm * column_scale(ADDITIVE, LAYOUT)[0], rel=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25), st.sampled_from([1e-6, 0.3, 1.0, 50.0]))
def test_one_patient_moves_one_hospitals_moments_by_at_most_the_clip_norm(
    seed: int, events: int, clip_norm: float
) -> None:
    cohort = cohort_of(LAYOUT, (4, 1, 6), events=events, seed=seed)
    # Rows of the largest norm there is: ranged values at their bounds.
    cohort = replace(cohort, values=np.sign(cohort.values).astype(np.float32))
    whole = moment_sums(ADDITIVE, LAYOUT, cohort, clip_norm)
    leaver = seed % cohort.patient_count
    hospital = int(cohort.hospital_of_patient[leaver])
    rest = cohort.take(np.delete(np.arange(cohort.patient_count), leaver))
    moved = whole - moment_sums(ADDITIVE, LAYOUT, rest, clip_norm)
    assert 0 < np.linalg.norm(moved[hospital]) <= clip_norm * (1 + 1e-12)
    assert not np.delete(moved, hospital, axis=0).any()


def test_many_events_alike_weigh_as_one() -> None:
    once = cohort_of(LAYOUT, (1,), events=1)
    often = replace(
        once,
        bins=np.repeat(once.bins, 9, axis=0),
        values=np.repeat(once.values, 9, axis=0),
        labels=np.repeat(once.labels, 9),
        rows=np.arange(9),
        known=np.repeat(once.known, 9),
        events_from=np.array([0, 9]),
    )
    one, nine = (moment_sums(ADDITIVE, LAYOUT, cohort, 1.0) for cohort in (once, often))
    np.testing.assert_allclose(nine, one, rtol=1e-8)


def test_neither_weights_nor_outcomes_enter() -> None:
    cohort = cohort_of(LAYOUT, (5, 7, 1))
    others = replace(cohort, labels=1 - cohort.labels)
    streams = [[stream("n", h) for h in range(3)] for _ in range(2)]
    first = private_update(
        Step(terms=step_terms(**NEWTON), layout=LAYOUT, round=1, cohort=cohort, moments=True),
        NOWHERE,
        streams[0],
    )
    second = private_update(
        Step(terms=step_terms(**NEWTON), layout=LAYOUT, round=1, cohort=others, moments=True),
        7 * NOWHERE,
        streams[1],
    )
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()


def test_a_patient_whose_values_are_not_finite_adds_zero() -> None:
    cohort = cohort_of(LAYOUT, (6,), events=3)
    values = cohort.values.copy()
    values[cohort.events_from[2]] = np.inf
    rest = cohort.take(np.array([0, 1, 3, 4, 5]))
    with np.errstate(invalid="ignore"):
        sums = moment_sums(ADDITIVE, LAYOUT, replace(cohort, values=values), 1.0)
    np.testing.assert_allclose(sums, moment_sums(ADDITIVE, LAYOUT, rest, 1.0), rtol=1e-12)


@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_moments_are_sampled_and_noised_as_gradients_are(rate: float) -> None:
    terms, cohort = step_terms(**NEWTON, sampling_rate=rate), cohort_of(LAYOUT, (40, 0, 25))
    streams = [stream("n", h) for h in range(3)]
    update = private_update(
        Step(terms=terms, layout=LAYOUT, round=1, cohort=cohort, moments=True), NOWHERE, streams
    )
    children = [stream("n", h).child("step", 0) for h in range(3)]
    sampled = draw_sample(cohort, rate, children)
    clip_norm = ordered_clip_norm(0.5)
    sums = moment_sums(ADDITIVE, LAYOUT, cohort, clip_norm, sampled=sampled)
    np.testing.assert_array_equal(update, add_noise(sums, 0.5, children))
    if rate < 1:
        chosen = cohort.take(np.flatnonzero(sampled))
        np.testing.assert_allclose(sums, moment_sums(ADDITIVE, LAYOUT, chosen, clip_norm), rtol=1e-12)
        assert 0 < chosen.patient_count < cohort.patient_count


@pytest.mark.parametrize("rate", [0.5, 1.0])
@pytest.mark.parametrize("simulation", [True, False])
def test_moments_of_many_hospitals_equal_theirs_one_by_one(rate: float, simulation: bool) -> None:
    """The batch of a simulation, and each hospital alone: by itself (simulated) or through Opacus (real)."""
    terms = step_terms(**NEWTON, sampling_rate=rate)
    parts = [cohort_of(LAYOUT, (size,), events=6, seed=seed) for seed, size in enumerate((8, 1, 20))]
    streams = [stream("n", h) for h in range(3)]
    together = private_update(
        Step(terms=terms, layout=LAYOUT, round=1, cohort=concatenate(parts), moments=True), NOWHERE, streams
    )
    terms.simulation = simulation
    weights = np.zeros((1, LAYOUT.width))  # a real plan's are finite; a torch module takes them
    for h, part in enumerate(parts):
        own = [stream("n", h)]
        alone = private_update(
            Step(terms=terms, layout=LAYOUT, round=1, cohort=part, hospitals=[f"h{h}"], moments=True),
            weights,
            own,
        )
        np.testing.assert_array_equal(alone[0], together[h])


def test_parts_that_do_not_fit_into_memory_add_up() -> None:
    cohort = cohort_of(LAYOUT, (30, 0, 50), events=6)
    whole = moment_sums(ADDITIVE, LAYOUT, cohort, 1.0)
    pieces = moment_sums(ADDITIVE, LAYOUT, cohort, 1.0, memory_bytes=20_000)
    np.testing.assert_allclose(pieces, whole, rtol=1e-12)
