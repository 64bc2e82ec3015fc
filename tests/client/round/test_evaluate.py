"""Private evaluation at a hospital: one patient moves the tables by at most 1, and the other account pays."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import AGE, PUBLIC, SEX, cohort_with, small_contract
from wardround.client.cohort import Cohort, concatenate, no_patients
from wardround.client.ledger.port import MemoryLedger
from wardround.client.policy.policy import simulation_policy
from wardround.client.round.evaluate import evaluate, noised_tables, scaled_tables
from wardround.client.round.participate import participate
from wardround.client.round.ward import Ward
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import Refusal
from wardround.protocol.model.model import parameter_count
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.contrasts import contrasts
from wardround.protocol.terms.evaluation import EvaluationSettings, table_factors, table_rows, table_size
from wardround.protocol.terms.reading import terms_from_mapping
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release, RoundPlan, Terms, terms_to_mapping

HOSPITALS = ("north", "south")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = EvaluationSettings(rounds=(2, 3), score_bins=8, noise_multiplier=4.0)


def contract(groups: Sequence[str] = ("age", "sex")):
    return contract_from_mapping(
        small_contract(**PUBLIC, features={"age": AGE, "sex": SEX}, groups=list(groups))
    )


TERMS = Terms(
    study="tea",
    contract=contract(),
    model=ModelSettings(),
    privacy=PrivacySettings(),
    training=TrainingSettings(rounds=3, learning_rate=1.0, public_patients=dict.fromkeys(HOSPITALS, 50)),
    noise_multiplier=5.0,
    simulation=True,
    evaluation=SETTINGS,
)
PARAMETERS = parameter_count(TERMS.model, TERMS.contract.layout)


def plans_of(round_number: int = 3, account: str = "held_out", **changes: object) -> list[RoundPlan]:
    weights = np.linspace(-1, 1, PARAMETERS).astype(np.float32)
    return [
        RoundPlan(
            study="tea",
            hospital=hospital,
            round=round_number,
            terms_fingerprint=TERMS.fingerprint,
            weights=weights,
            account=account,
            **changes,
        )
        for hospital in HOSPITALS
    ]


def wards_of(epsilon: float = np.inf) -> list[Ward]:
    def ward(name: str) -> Ward:
        def stream(plan: RoundPlan) -> Keystream:
            return Keystream(derive_key(name, plan.round))

        return Ward(name, simulation_policy(1e-5, epsilon), MemoryLedger(), lambda: NOW, stream)

    return [ward(name) for name in HOSPITALS]


def admit(wards: Sequence[Ward], terms: Terms) -> Cohort:
    cohort = cohort_with(TERMS.contract.layout, [1, 2, 3, 4], seed=1, hospitals=2)
    return concatenate([cohort.hospital(HOSPITALS.index(ward.hospital)) for ward in wards])


def test_the_order_of_additions_does_not_touch_the_tables() -> None:
    """One patient more changes the order of all others: a sum that is not exact would move by more than 1."""
    cohort = cohort_with(TERMS.contract.layout, [1 + patient % 7 for patient in range(4000)])
    scores = np.random.default_rng(2).normal(size=cohort.event_count)
    turned = np.random.default_rng(3).permutation(4000)
    order = np.concatenate(
        [np.arange(cohort.events_from[patient], cohort.events_from[patient + 1]) for patient in turned]
    )
    plain = scaled_tables(contract(), SETTINGS, scores, cohort)
    other = scaled_tables(contract(), SETTINGS, scores[order], cohort.take(turned).pooled())
    np.testing.assert_array_equal(plain, other)


@settings(max_examples=150, deadline=None)
@given(
    events=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    who=st.integers(0, 7),
    groups=st.sampled_from([(), ("age",), ("age", "sex")]),
    share=st.floats(0.01, 0.99),
    bins=st.sampled_from([8, 8, 2, 3, 7, 100]),
    seed=st.integers(0, 10**6),
)
def test_one_patient_moves_the_tables_together_by_at_most_one(events, who, groups, share, bins, seed) -> None:
    who %= len(events)
    asked = replace(SETTINGS, overall_share=share, score_bins=bins)
    everyone = cohort_with(TERMS.contract.layout, events, seed=seed)
    # Alike events of one patient fall into one cell, which is the worst case.
    if seed % 2:
        everyone.bins[:] = everyone.bins[0]
        everyone.labels[:] = 1
    others = everyone.take(np.delete(np.arange(len(events)), who))
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=everyone.event_count) * 5
    scores[draw.random(len(scores)) < 0.05] = np.nan
    if seed % 2:
        scores[:] = 0.3
    kept = everyone.patient_of_event != who
    with_patient = scaled_tables(contract(groups), asked, scores, everyone)
    without = scaled_tables(contract(groups), asked, scores[kept], others)
    assert np.linalg.norm(with_patient - without) <= 1
    if seed % 2 and bins in (2, 8):  # the bound is not slack: less noise than is charged would show
        assert np.linalg.norm(with_patient - without) > 1 - 1e-6


def test_every_event_stands_once_in_every_attribute_with_its_patients_weight() -> None:
    cohort = cohort_with(TERMS.contract.layout, [1, 2, 5, 3], hospitals=2)
    rows, factors = table_rows(TERMS.contract), table_factors(TERMS.contract, SETTINGS)
    tables = scaled_tables(TERMS.contract, SETTINGS, np.zeros(cohort.event_count), cohort)
    assert tables.shape == (2, table_size(TERMS.contract, SETTINGS))
    released = tables.reshape(2, len(rows), 2, SETTINGS.score_bins) / factors[:, None, None]
    counts = contrasts(SETTINGS.score_bins).undone(released)
    for attribute in ("", "age", "sex"):
        own = [i for i, row in enumerate(rows) if row.attribute == attribute]
        assert counts[:, own].sum(axis=(1, 2, 3)) == pytest.approx([2, 2])
    weights = (1 / cohort.events_per_patient)[cohort.patient_of_event]
    assert counts[:, 0, 1].sum() == pytest.approx((weights * cohort.labels).sum())


def test_it_is_charged_on_the_held_out_account_alone() -> None:
    wards = wards_of()
    answers = evaluate(plans_of(2), wards, TERMS, "key", admit)
    evaluate(plans_of(3), wards, TERMS, "key", admit)
    assert all(isinstance(answer, Release) and answer.account == "held_out" for answer in answers)
    for ward in wards:
        assert ward.ledger.spent("held_out", 1e-5) == compose_epsilon([PrivacyEvent(4.0, 1.0, 2)], 1e-5)
        assert ward.ledger.spent("training", 1e-5) == 0


def test_a_repeat_is_free_and_identical_and_training_rounds_stay_possible() -> None:
    wards = wards_of()
    first = evaluate(plans_of(3), wards, TERMS, "key", admit)
    spent = wards[0].ledger.spent("held_out", 1e-5)
    again = evaluate(plans_of(3), wards, TERMS, "key", admit)
    assert spent == wards[0].ledger.spent("held_out", 1e-5)
    for one, other in zip(first, again, strict=True):
        assert isinstance(one, Release)
        assert isinstance(other, Release)
        assert one.vector.tobytes() == other.vector.tobytes()
    learned = participate(plans_of(1, account="training"), wards, TERMS, "key", admit)
    assert all(isinstance(answer, Release) for answer in learned)


@pytest.mark.parametrize(
    ("asked", "clause"),
    [
        (plans_of(1), "round"),
        (plans_of(3, account="training"), "account"),
        ([replace(plan, weights=plan.weights[1:]) for plan in plans_of(3)], "parameters"),
        ([replace(plan, terms_fingerprint="ab" * 32) for plan in plans_of(3)], "terms"),
    ],
)
def test_what_the_terms_do_not_name_is_refused_and_spends_nothing(asked, clause) -> None:
    wards = wards_of()
    answers = evaluate(asked, wards, TERMS, "key", admit)
    assert [answer.clause for answer in answers if isinstance(answer, Refusal)] == [clause] * 2
    assert wards[0].ledger.spent("held_out", 1e-5) == 0


def test_a_held_out_plan_is_not_answered_by_training_and_without_evaluation_by_nobody() -> None:
    (answer, _) = participate(plans_of(3), wards_of(), TERMS, "key", admit)
    assert isinstance(answer, Refusal)
    assert answer.clause == "account"
    silent = replace(TERMS, evaluation=None)
    plans = [replace(plan, terms_fingerprint=silent.fingerprint) for plan in plans_of(3)]
    (answer, _) = evaluate(plans, wards_of(), silent, "key", admit)
    assert isinstance(answer, Refusal)
    assert answer.clause == "round"


def test_a_budget_that_is_spent_refuses() -> None:
    (answer, _) = evaluate(plans_of(3), wards_of(epsilon=0.1), TERMS, "key", admit)
    assert isinstance(answer, Refusal)
    assert answer.clause == "max_epsilon_for_life"


@pytest.mark.parametrize(("factor", "fits"), [(1.0, True), (2 / 3, False), (1.5, False)])
def test_empty_hospitals_release_noise_of_the_right_size(factor: float, fits: bool) -> None:
    nobody = no_patients(TERMS.contract.layout, 40)
    streams = [Keystream(derive_key("noise", i)) for i in range(40)]
    weights = np.zeros((1, PARAMETERS))
    noise = noised_tables(TERMS, weights, nobody, streams, [])
    deviation = noise.std() / (factor * TERMS.table_noise_stddev)
    assert (abs(deviation - 1) < 0.02) == fits  # its own standard deviation is 0.006
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 0.5


def test_training_and_evaluation_of_one_round_do_not_share_their_noise() -> None:
    key, nobody = derive_key("same"), no_patients(TERMS.contract.layout, 1)
    tables = noised_tables(TERMS, np.zeros((1, PARAMETERS)), nobody, [Keystream(key)], [])[0]
    for stream in (Keystream(key), Keystream(key).child("step", 0)):
        same = stream.gaussian(len(tables)) * TERMS.table_noise_stddev
        assert np.abs(tables - same).max() > TERMS.table_noise_stddev


def test_weights_that_give_no_number_still_give_a_reply() -> None:
    huge = np.full(PARAMETERS, np.finfo(np.float32).max, np.float32)
    plans = [replace(plan, weights=huge) for plan in plans_of(3)]
    answers = evaluate(plans, wards_of(), TERMS, "key", admit)
    assert all(isinstance(answer, Release) and np.isfinite(answer.vector).all() for answer in answers)


def test_terms_with_an_evaluation_survive_the_way_through_plain_data() -> None:
    assert terms_from_mapping(terms_to_mapping(TERMS)) == TERMS
    assert terms_from_mapping(terms_to_mapping(TERMS)).fingerprint == TERMS.fingerprint
    assert replace(TERMS, evaluation=None).fingerprint != TERMS.fingerprint
