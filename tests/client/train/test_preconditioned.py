"""Gradients that are preconditioned before they are clipped: how far one patient moves a sum, and which sum it is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import CHANNEL, cohort_of, small_contract, stream
from wardround.client.train import check_closed_form as check
from wardround.client.train.check_closed_form import check_closed_form
from wardround.client.train.check_training import check_training
from wardround.client.train.update import Step, clipped_sums, private_update
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import WardroundError
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.precondition import Preconditioner, precondition
from wardround.protocol.privacy.mechanism import ordered_clip_norm
from wardround.protocol.terms.settings import ModelSettings

PLAIN = small_contract()
PLAIN["features"] |= {
    "channel": CHANNEL,
    "clinic": {"kind": "hierarchical", "column": "clinic", "tree": {"a": ["b", "c"], "d": []}},
    "score": {"kind": "numeric", "column": "score", "range": [0, 1]},
}
CONTRACT = contract_from_mapping({**PLAIN, "crosses": [["age", "channel"]]})
LAYOUT = CONTRACT.layout
ADDITIVE, INTERACTIONS = ModelSettings(), ModelSettings(kind="interactions")
LEVELS = (1e-6, 1e-3, 0.05, 1e6)
each_level = pytest.mark.parametrize("level", LEVELS)


def weights_of(seed: int = 0, scale: float = 2.0):
    return scale * stream("weights", seed).gaussian(LAYOUT.width)[np.newaxis]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(LEVELS),
    st.integers(0, 10_000),
    st.integers(1, 25),
    st.sampled_from([1e-6, 0.3, 50.0]),
    st.sampled_from([0.0, 5.0, 1e6]),
)
def test_one_patient_moves_a_preconditioned_sum_by_at_most_the_clip_norm(
    level: float, seed: int, events: int, clip_norm: float, scale: float
) -> None:
    cohort, known = cohort_of(LAYOUT, (4, 1, 6), events=events, seed=seed), precondition(CONTRACT, level)
    weights = weights_of(seed, scale)
    whole = clipped_sums(ADDITIVE, LAYOUT, weights, cohort, clip_norm, precondition=known)
    leaver = seed % cohort.patient_count
    hospital = int(cohort.hospital_of_patient[leaver])
    rest = cohort.take(np.delete(np.arange(cohort.patient_count), leaver))
    moved = whole - clipped_sums(ADDITIVE, LAYOUT, weights, rest, clip_norm, precondition=known)
    assert np.linalg.norm(moved[hospital]) <= clip_norm * (1 + 1e-9)
    assert not np.delete(moved, hospital, axis=0).any()
    alone = clipped_sums(
        ADDITIVE, LAYOUT, weights, cohort.take(np.array([leaver])), clip_norm, precondition=known
    )
    assert np.linalg.norm(alone, axis=1).max() <= clip_norm


@each_level
def test_the_map_before_the_clip_and_not_after_it(level: float) -> None:
    cohort, known, weights = cohort_of(LAYOUT, (9,), events=6), precondition(CONTRACT, level), weights_of()
    each = [cohort.take(np.array([patient])) for patient in range(cohort.patient_count)]
    gradients = np.concatenate([clipped_sums(ADDITIVE, LAYOUT, weights, one, 1e9) for one in each])
    seen = gradients @ known.matrix.T
    norms = np.linalg.norm(seen, axis=1)
    for clip_norm in (float(np.median(norms)), 10 * norms.max(), norms.min() / 3):
        clipped = seen * np.minimum(1, clip_norm / norms)[:, np.newaxis]
        ours = clipped_sums(ADDITIVE, LAYOUT, weights, cohort, clip_norm, precondition=known)[0]
        np.testing.assert_allclose(ours, clipped.sum(axis=0), rtol=1e-6, atol=1e-8 * clip_norm)


@each_level
@pytest.mark.parametrize("model", [ADDITIVE, INTERACTIONS], ids=lambda model: model.kind)
def test_opacus_clips_the_same_model_of_mapped_rows_alike(model: ModelSettings, level: float) -> None:
    assert check_closed_form(model, LAYOUT, 4, precondition=precondition(CONTRACT, level)) < 1e-5


def test_the_check_before_a_study_sees_a_closed_form_that_forgets_the_map(
    make_terms, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = make_terms(optimizer="newton", moment_rounds=1, learning_rate=0.5, rounds=20)
    terms = replace(terms, contract=CONTRACT, precondition=0.01)
    assert check_training(terms) < 1e-5
    real = check.clipped_sums

    def forgetful(*given, precondition: Preconditioner | None = None, **named):
        if isinstance(given[-1], str) and given[-1] == "closed_form":
            precondition = None
        return real(*given, precondition=precondition, **named)

    monkeypatch.setattr(check, "clipped_sums", forgetful)
    with pytest.raises(WardroundError, match="closed form and Opacus"):
        check_training(terms)


def test_a_release_is_the_mapped_sum_and_mean_rows_are_as_they_were(make_terms) -> None:
    terms = make_terms(optimizer="newton", moment_rounds=1, learning_rate=0.5, rounds=20)
    plain = replace(terms, contract=CONTRACT)
    mapped = replace(plain, precondition=0.01)
    cohort, weights = cohort_of(LAYOUT, (5, 4, 6)), weights_of()

    def released(terms, *, moments: bool):
        step = Step(terms=terms, layout=LAYOUT, cohort=cohort, round=1 if moments else 2, moments=moments)
        return private_update(step, weights, [stream("release", index) for index in range(3)])

    np.testing.assert_array_equal(released(mapped, moments=True), released(plain, moments=True))
    clip_norm, known = ordered_clip_norm(terms.privacy.clip_norm), precondition(CONTRACT, 0.01)
    change = released(mapped, moments=False) - released(plain, moments=False)
    sums = clipped_sums(ADDITIVE, LAYOUT, weights, cohort, clip_norm, precondition=known)
    expected = sums - clipped_sums(ADDITIVE, LAYOUT, weights, cohort, clip_norm)
    np.testing.assert_allclose(change, expected, atol=terms.hospital_noise_stddev(2) / 500)
    assert np.linalg.norm(expected) > 0.1


def test_parts_of_any_size_give_one_sum() -> None:
    cohort, known = cohort_of(LAYOUT, (30, 20), events=5), precondition(CONTRACT, 0.01)
    sums = [
        clipped_sums(ADDITIVE, LAYOUT, weights_of(), cohort, 0.2, memory_bytes=memory, precondition=known)
        for memory in (1 << 31, 20_000)
    ]
    np.testing.assert_allclose(sums[1], sums[0], atol=1e-12)
    chosen = stream("chosen").uniform(cohort.patient_count) < 0.5
    some = clipped_sums(ADDITIVE, LAYOUT, weights_of(), cohort, 0.2, sampled=chosen, precondition=known)
    left = cohort.take(np.flatnonzero(chosen))
    np.testing.assert_allclose(
        some, clipped_sums(ADDITIVE, LAYOUT, weights_of(), left, 0.2, precondition=known), atol=1e-12
    )


def test_interactions_get_the_map_in_the_place_of_main_effects() -> None:
    cohort, known = cohort_of(LAYOUT, (8,)), precondition(CONTRACT, 0.01)
    whole = np.pad(weights_of(), ((0, 0), (0, parameter_count(INTERACTIONS, LAYOUT) - LAYOUT.width)))
    found = clipped_sums(INTERACTIONS, LAYOUT, whole, cohort, 0.2, precondition=known)
    main = clipped_sums(ADDITIVE, LAYOUT, weights_of(), cohort, 0.2, precondition=known)
    np.testing.assert_array_equal(found[:, : LAYOUT.width], main)
    assert not found[:, LAYOUT.width :].any()
