"""A query at a hospital: one patient moves the table by at most 1, training patients pay once, nothing is trained."""

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
from wardround.client.round.answer_request import answer_request
from wardround.client.round.bounded_tables import bounded_tables
from wardround.client.round.query import noised_query, query_cells
from wardround.client.round.ward import Ward
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.query import NO_TRAINING, QuerySettings, query_shape, query_size
from wardround.protocol.terms.reading import terms_from_mapping
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings
from wardround.protocol.terms.terms import Release, RoundPlan, Terms, terms_to_mapping

HOSPITALS = ("north", "south")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUERY = QuerySettings()


def contract(groups: Sequence[str] = ("age", "sex")):
    return contract_from_mapping(
        small_contract(**PUBLIC, features={"age": AGE, "sex": SEX}, groups=list(groups))
    )


TERMS = Terms(
    study="counts",
    contract=contract(),
    model=ModelSettings(),
    privacy=PrivacySettings(),
    training=replace(NO_TRAINING, public_patients=dict.fromkeys(HOSPITALS, 50)),
    noise_multiplier=5.0,
    simulation=True,
    query=QUERY,
)


def secure_terms() -> Terms:
    sums = SecureSumSettings(
        threshold=3, colluding=1, parameters=query_size(TERMS.contract, QUERY), spare_slots=0
    )
    three = replace(NO_TRAINING, public_patients=dict.fromkeys((*HOSPITALS, "west"), 50))
    return replace(TERMS, training=three, privacy=PrivacySettings(noise="secure"), secure_sum=sums)


def plans_of(terms: Terms = TERMS, number: int = 1, weights: int = 0, **changes: object) -> list[RoundPlan]:
    return [
        RoundPlan(
            study="counts",
            hospital=hospital,
            round=number,
            terms_fingerprint=terms.fingerprint,
            weights=np.zeros(weights, np.float32),
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


def answer(plans: Sequence[RoundPlan], wards: Sequence[Ward], terms: Terms = TERMS):
    return answer_request(plans, wards, terms, "key", {"training": admit, "held_out": admit})


def table_of(groups: Sequence[str], cohort: Cohort):
    asked = contract(groups)
    return bounded_tables(asked, query_shape(asked, QUERY), query_cells(QUERY, cohort), cohort)


@settings(max_examples=100, deadline=None)
@given(
    events=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    who=st.integers(0, 7),
    groups=st.sampled_from([(), ("age",), ("age", "sex")]),
    seed=st.integers(0, 10**6),
)
def test_one_patient_moves_a_querys_table_by_at_most_one(events, who, groups, seed) -> None:
    who %= len(events)
    everyone = cohort_with(TERMS.contract.layout, events, seed=seed)
    if seed % 2:  # all in one cell of each row: the worst case
        everyone.bins[:] = everyone.bins[0]
        everyone.labels[:] = 1
    others = everyone.take(np.delete(np.arange(len(events)), who))
    moved = np.linalg.norm(table_of(groups, everyone) - table_of(groups, others))
    assert moved <= 1
    if seed % 2:  # the bound is not slack: less noise than is charged would show
        assert moved > 1 - 1e-6


def test_every_patient_counts_once_by_label_in_all_and_in_every_attribute() -> None:
    cohort = cohort_with(TERMS.contract.layout, [1, 2, 5, 3], hospitals=2)
    shape = query_shape(TERMS.contract, QUERY)
    table = bounded_tables(TERMS.contract, shape, query_cells(QUERY, cohort), cohort)
    assert table.shape == (2, query_size(TERMS.contract, QUERY))
    counts = table.reshape(2, len(shape.rows), 2) / shape.factors[:, None]
    for attribute in ("", "age", "sex"):
        own = [i for i, row in enumerate(shape.rows) if row.attribute == attribute]
        assert counts[:, own].sum(axis=(1, 2)) == pytest.approx([2, 2])
    weights = (1 / cohort.events_per_patient)[cohort.patient_of_event]
    assert counts[:, 0, 1].sum() == pytest.approx((weights * cohort.labels).sum())


@pytest.mark.parametrize("terms", [TERMS, secure_terms()], ids=["local", "secure"])
@pytest.mark.parametrize(("factor", "fits"), [(1.0, True), (2 / 3, False), (1.5, False)])
def test_a_query_of_nobody_is_noise_of_the_right_size(terms: Terms, factor: float, fits: bool) -> None:
    nobody = no_patients(terms.contract.layout, 600)
    streams = [Keystream(derive_key("noise", i)) for i in range(600)]
    noise = noised_query(terms, nobody, streams).astype(float)
    if terms.secure_sum is not None:
        noise *= terms.update_noise(1).grid.step
    deviation = noise.std() / (factor * terms.hospital_noise_stddev(1))
    assert (abs(deviation - 1) < 0.03) == fits  # its own standard deviation is 0.006
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 0.7


def test_training_patients_pay_once_and_held_out_ones_nothing() -> None:
    wards = wards_of()
    answers = answer(plans_of(), wards)
    assert all(isinstance(one, Release) and one.account == "training" for one in answers)
    assert all(one.vector.shape == (query_size(TERMS.contract, QUERY),) for one in answers)
    again = answer(plans_of(), wards)
    assert [one.vector.tobytes() for one in again] == [one.vector.tobytes() for one in answers]
    for ward in wards:
        assert ward.ledger.spent("training", 1e-5) == compose_epsilon([PrivacyEvent(5.0, 1.0, 1)], 1e-5)
        assert ward.ledger.spent("held_out", 1e-5) == 0


@pytest.mark.parametrize(
    ("plans", "clause"),
    [
        (plans_of(number=2), "round"),
        (plans_of(weights=6), "parameters"),
        (plans_of(account="held_out"), "round"),
        (plans_of(asks="update"), "asks"),
        (plans_of(asks="query"), "asks"),
    ],
    ids=["twice", "weights", "held_out", "update", "spelt_out"],
)
def test_a_plan_that_asks_more_than_a_querys_terms_is_refused_and_spends_nothing(plans, clause) -> None:
    wards = wards_of()
    answers = answer(plans, wards)
    assert [one.clause for one in answers if isinstance(one, Refusal)] == [clause] * 2
    assert [ward.ledger.spent(account, 1e-5) for ward in wards for account in ("training", "held_out")] == [
        0
    ] * 4


def test_a_secure_query_says_what_it_asks_and_nothing_else_is_answered() -> None:
    terms = secure_terms()
    assert all(isinstance(one, Release) for one in answer(plans_of(terms, asks="query"), wards_of(), terms))
    for word, clause in {"": "asks", "update": "asks", "mean_rows": "asks", "tables": "account"}.items():
        refused = answer(plans_of(terms, asks=word), wards_of(), terms)
        assert [one.clause for one in refused] == [clause] * 2


def test_a_study_that_trains_answers_no_query() -> None:
    trained = replace(TERMS, query=None)
    (refused, _) = answer(plans_of(trained), wards_of(), trained)
    assert refused.clause == "parameters"  # a plan of training carries weights
    with pytest.raises(ConfigurationError, match="train a model"):
        noised_query(trained, no_patients(trained.contract.layout, 1), [Keystream(derive_key("x"))])


@pytest.mark.parametrize(
    "changes",
    [
        {"model": ModelSettings(kind="mlp", hidden=(4,))},
        {"training": replace(TERMS.training, rounds=2)},
        {"training": replace(TERMS.training, sampling_rate=0.5)},
        {"privacy": PrivacySettings(clip_norm=2.0)},
    ],
    ids=["model", "rounds", "sampling", "bound"],
)
def test_terms_of_a_query_have_one_spelling(changes) -> None:
    with pytest.raises(ConfigurationError, match="with a query"):
        replace(TERMS, **changes)


def test_terms_of_a_query_are_read_back_and_are_other_terms() -> None:
    assert terms_from_mapping(terms_to_mapping(TERMS)) == TERMS
    assert terms_from_mapping(terms_to_mapping(secure_terms())) == secure_terms()
    assert replace(TERMS, query=None).fingerprint != TERMS.fingerprint
    with pytest.raises(ConfigurationError, match="query"):
        terms_from_mapping({**terms_to_mapping(TERMS), "query": {"kind": "names"}})
    wrong = replace(secure_terms().secure_sum, parameters=5)
    with pytest.raises(ConfigurationError, match="the cells of the query's table"):
        replace(secure_terms(), secure_sum=wrong)
