"""An uplift query at a hospital: one patient moves a table by at most 1, each account pays once, and for its own."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trials import COMPARED, in_arms, trial_contract, trial_terms
from wardround.client.cohort import Cohort, no_patients
from wardround.client.ledger.port import MemoryLedger
from wardround.client.policy.policy import simulation_policy
from wardround.client.round.answer_request import answer_request
from wardround.client.round.query import noised_query, query_table
from wardround.client.round.ward import Ward
from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.cost import study_epsilon
from wardround.protocol.terms.query import query_shape, query_size
from wardround.protocol.terms.reading import terms_from_mapping
from wardround.protocol.terms.request import HELD_OUT_QUERY, QUERY, TABLES
from wardround.protocol.terms.sum_noise import slots_of
from wardround.protocol.terms.terms import Release, Terms, terms_to_mapping
from wardround.protocol.terms.uplift import uplift_scale
from wardround.server.study.ask_query import query_plans

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = {"north": 40, "south": 25}
TERMS = trial_terms(SIZES)
CONTRACT = TERMS.contract


def wards_of(epsilon: float = np.inf) -> list[Ward]:
    def ward(name: str) -> Ward:
        return Ward(
            name,
            simulation_policy(1e-5, epsilon),
            MemoryLedger(),
            lambda: NOW,
            lambda plan: Keystream(derive_key(name, plan.round)),
        )

    return [ward(name) for name in SIZES]


def admitting(seed: int):
    def admit(wards: Sequence[Ward], terms: Terms) -> Cohort:
        return in_arms(terms, SIZES, (0.2, 0.4), np.random.default_rng(seed))

    return admit


def answer(request, wards, **changes):
    plans = [replace(plan, **changes) for plan in query_plans(TERMS, request)]
    return answer_request(plans, wards, TERMS, "key", {"training": admitting(1), "held_out": admitting(2)})


@settings(max_examples=150, deadline=None)
@given(
    events=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    who=st.integers(0, 5),
    rate=st.sampled_from([None, 0.02, 0.2, 0.5, 0.97]),
    groups=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_one_patient_moves_a_table_by_at_most_one(events, who, rate, groups, seed) -> None:
    who, rng = who % len(events), np.random.default_rng(seed)
    contract = trial_contract(rate, **({} if groups else {"groups": []}))
    total = sum(events)
    everyone = replace(
        in_arms(trial_terms({"north": 1}), {"north": total}, (0.5, 0.5), rng),
        tokens=np.zeros((len(events), 16), np.uint8),
        events_from=np.concatenate([[0], np.cumsum(events)]),
        patients_from=np.array([0, len(events)]),
    )
    if seed % 2:  # one outcome in one arm: the worst case
        everyone.labels[:], everyone.arms[:], everyone.bins[:] = seed % 3 == 0, 1, 0
    others = everyone.take(np.delete(np.arange(len(events)), who))
    moved = np.linalg.norm(
        query_table(contract, COMPARED, everyone) - query_table(contract, COMPARED, others)
    )
    assert moved <= 1
    if seed % 2:  # the bound is not slack: less noise than is charged would show
        assert moved > 1 - 1e-6


def test_sums_and_patients_of_each_arm_are_what_the_table_says() -> None:
    cohort = in_arms(TERMS, SIZES, (0.2, 0.4), np.random.default_rng(3), events=3)
    shape, scale = query_shape(CONTRACT, COMPARED), uplift_scale(CONTRACT)
    table = query_table(CONTRACT, COMPARED, cohort)
    assert table.shape == (2, query_size(CONTRACT, COMPARED))
    cells = table.reshape(2, len(shape.rows), 2, 2) / shape.factors[:, None, None] * scale.length
    arms, means = cohort.arms[cohort.events_from[:-1]], cohort.labels.reshape(-1, 3).mean(axis=1)
    for hospital in range(2):
        own = cohort.hospital_of_patient == hospital
        for arm in range(2):
            there = means[own & (arms == arm)]
            assert cells[hospital, 0, arm, 1] / scale.count == pytest.approx(len(there), rel=1e-5)
            assert cells[hospital, 0, arm, 0] == pytest.approx((there - 0.5).sum(), abs=1e-4)


@pytest.mark.parametrize("noise", ["local", "secure"])
@pytest.mark.parametrize(("factor", "fits"), [(1.0, True), (2 / 3, False), (1.5, False)])
def test_nobodys_table_is_noise_of_the_right_size_in_either_account(noise, factor, fits) -> None:
    terms = trial_terms({f"h{at}": 50 for at in range(6)}, noise)
    for word in (QUERY.word, HELD_OUT_QUERY.word):
        streams = [Keystream(derive_key("noise", at)) for at in range(600)]
        found = noised_query(terms, no_patients(CONTRACT.layout, 600), streams, word).astype(float)
        if terms.secure_sum is not None:
            found *= terms.update_noise(1).grid.step
        assert (abs(found.std() / (factor * terms.hospital_noise_stddev(1)) - 1) < 0.03) == fits


def test_the_two_accounts_noise_is_not_the_same() -> None:
    wards = wards_of()
    first, second = (answer(request, wards)[0].vector for request in (QUERY, HELD_OUT_QUERY))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.9
    assert not np.any(first == second)


def test_each_account_pays_for_its_own_table_once() -> None:
    wards = wards_of()
    cost = compose_epsilon([PrivacyEvent(TERMS.noise_multiplier, 1.0, 1)], 1e-5)
    assert study_epsilon(TERMS, 1e-5) == {"training": cost, "held_out": cost}
    for spent, request in (({"training": cost, "held_out": 0}, QUERY), (dict.fromkeys(
        ("training", "held_out"), cost), HELD_OUT_QUERY)):  # fmt: skip
        answers = answer(request, wards)
        assert all(isinstance(one, Release) and one.account == request.account for one in answers)
        again = answer(request, wards)
        assert [one.vector.tobytes() for one in again] == [one.vector.tobytes() for one in answers]
        for ward in wards:
            assert {account: ward.ledger.spent(account, 1e-5) for account in spent} == spent


@pytest.mark.parametrize("request_kind", [QUERY, HELD_OUT_QUERY], ids=["training", "held_out"])
@pytest.mark.parametrize(
    ("changes", "clause"),
    [
        ({"round": 2}, "round"),
        ({"weights": np.zeros(2, np.float32)}, "parameters"),
        ({"asks": "tables"}, "asks"),
        ({"asks": "held_out_query"}, "asks"),
    ],
    ids=["twice", "weights", "tables", "spelt_out"],
)
def test_a_plan_that_asks_more_is_refused_and_spends_nothing(request_kind, changes, clause) -> None:
    wards = wards_of()
    # Words of the other account's kind are refused for the account that they do not fit.
    clauses = {one.clause for one in answer(request_kind, wards, **changes)}
    assert clauses in ({clause}, {"account"} if "asks" in changes else {clause})
    spent = [ward.ledger.spent(account, 1e-5) for ward in wards for account in ("training", "held_out")]
    assert spent == [0] * 4


def test_a_cap_that_one_account_would_exceed_refuses_that_account_alone() -> None:
    once = compose_epsilon([PrivacyEvent(TERMS.noise_multiplier, 1.0, 1)], 1e-5)
    wards = wards_of(epsilon=once * 1.01)
    assert all(isinstance(one, Release) for one in answer(QUERY, wards))
    assert all(isinstance(one, Release) for one in answer(HELD_OUT_QUERY, wards))
    poor = wards_of(epsilon=once * 0.5)
    assert all(
        isinstance(one, Refusal) for request in (QUERY, HELD_OUT_QUERY) for one in answer(request, poor)
    )


def test_a_secure_trial_has_a_slot_for_each_account() -> None:
    terms = trial_terms({f"h{at}": 50 for at in range(6)}, "secure")
    assert [(slot.account, slot.number) for slot in slots_of(terms)] == [("training", 1), ("held_out", 1)]
    assert HELD_OUT_QUERY.sum_noise(terms, 1) == QUERY.sum_noise(terms, 1)
    assert [plan.asks for plan in query_plans(terms, HELD_OUT_QUERY)] == ["held_out_query"] * 6
    with pytest.raises(ValueError, match="evaluate nothing"):
        TABLES.sum_noise(terms, 1)


def test_patients_without_arms_are_never_counted_in_one() -> None:
    cohort = replace(in_arms(TERMS, SIZES, (0.2, 0.4), np.random.default_rng(3)), arms=None)
    with pytest.raises(ValueError, match="read without their arms"):
        query_table(CONTRACT, COMPARED, cohort)


def test_terms_without_arms_compare_nothing_and_terms_travel_whole() -> None:
    assert terms_from_mapping(terms_to_mapping(TERMS)) == TERMS
    bare = replace(CONTRACT, arms=None)
    with pytest.raises(ConfigurationError, match=r"query\.kind=uplift: needs a contract that names arms"):
        replace(TERMS, contract=bare)
