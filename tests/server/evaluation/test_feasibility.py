"""What a feasibility query says: intervals that cover, numbers that may be declared, and what a study could do."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.builders import AGE, PUBLIC, SEX, cohort_with, small_contract
from wardround.client.cohort import concatenate, no_patients
from wardround.client.round.query import noised_query
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, noise_multiplier_for
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.cost import training_events
from wardround.protocol.terms.query import QuerySettings
from wardround.protocol.terms.request import QUERY
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import PrivacySettings
from wardround.protocol.terms.terms import Release
from wardround.server.algorithm.propose_query import propose_query
from wardround.server.algorithm.screen import COUNT_SLACK, expect, norm_bound, screen
from wardround.server.evaluation.estimates import Estimate
from wardround.server.evaluation.evaluation import sum_tables
from wardround.server.evaluation.feasibility import feasibility, number_to_declare
from wardround.server.study.ask_query import query_plans
from wardround.server.study.feasibility_facts import feasibility_facts, feasibility_lines

CONTRACT = contract_from_mapping(
    small_contract(**PUBLIC, features={"age": AGE, "sex": SEX}, groups=["age", "sex"])
)
SIZES = {"north": 900, "south": 400, "east": 200, "west": 300, "centre": 2200}


def terms_of(noise: str = "local", epsilon: float = 0.5, hospitals=tuple(SIZES)):
    return propose_query(
        study="counts",
        query=QuerySettings(),
        contract=CONTRACT,
        privacy=PrivacySettings(epsilon=epsilon, noise=noise),
        # A guess, and a poor one.
        public_patients=dict.fromkeys(hospitals, 10),
        simulation=True,
        secure_sum=SecureSumChoice(spare_slots=0),
        members={},
    )


def cohort():
    """Every hospital's patients, of one to four events each."""
    parts = [
        cohort_with(CONTRACT.layout, [1 + i % 4 for i in range(size)], seed=size) for size in SIZES.values()
    ]
    return concatenate(parts)


def asked(terms, patients, seed):
    """Let every hospital answer, and read the sum."""
    plans = query_plans(terms)
    streams = [Keystream(derive_key("query", seed, plan.hospital)) for plan in plans]
    vectors = noised_query(terms, patients, streams)
    kind = np.float32 if terms.secure_sum is None else np.int64
    releases = [
        Release(
            study=plan.study,
            hospital=plan.hospital,
            round=1,
            terms_fingerprint=terms.fingerprint,
            weights_digest=plan.weights_digest,
            vector=vector.astype(kind),
            simulation=True,
        )
        for plan, vector in zip(plans, vectors, strict=True)
    ]
    return feasibility(terms, sum_tables(terms, plans[0], releases))


def exact(patients):
    """Give training patients of each row, in the order of the answer's groups."""
    columns = [field.name for field in CONTRACT.layout.features]
    weights = (1 / patients.events_per_patient)[patients.patient_of_event]
    for name in CONTRACT.groups:
        own = patients.bins[:, columns.index(name)]
        size = next(field.size for field in CONTRACT.layout.features if field.name == name)
        yield from np.bincount(own, weights, minlength=size)


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_intervals_of_counts_cover_at_their_level_and_shorter_ones_do_not(noise):
    terms, patients = terms_of(noise), cohort()
    truth, hits, short, total = list(exact(patients)), 0, 0, 0
    for seed in range(12):
        found = asked(terms, patients, seed)
        pairs = [(found.everyone.patients, patients.patient_count)]
        pairs += [(group.patients, true) for group, true in zip(found.groups, truth, strict=True)]
        pairs += [(one, SIZES[name]) for name, one in found.by_hospital.items()]
        for one, true in pairs:
            low, high = one.interval(0.95, noise_only=True)
            hits += low <= true <= high
            short += abs(one.value - true) <= (high - low) / 3
            total += 1
    assert 0.9 < hits / total < 0.99
    assert short / total < 0.87


def test_under_local_noise_each_hospital_is_told_and_in_a_secure_sum_none():
    patients = cohort()
    local, secure = (asked(terms_of(noise, epsilon=2.0), patients, 1) for noise in ("local", "secure"))
    assert set(local.by_hospital) == set(SIZES)
    assert local.declare["centre"] in (2000, 3000)
    assert secure.by_hospital == {}
    assert set(secure.declare.values()) == {800}
    assert secure.everyone.patients.noise < local.everyone.patients.noise
    assert secure.held_out.value == pytest.approx(secure.everyone.patients.value / 3)
    assert secure.held_out.sampling == pytest.approx(math.sqrt(4000 * 4 / 9), rel=0.05)


@pytest.mark.parametrize("noise", [0.0, 3.0, 40.0, 500.0])
@pytest.mark.parametrize("patients", [1, 12, 149, 1180, 9951])
def test_what_is_declared_holds_the_true_number_with_its_confidence(patients, noise):
    draws = np.random.default_rng(patients).normal(patients, noise, 200)
    declared = [number_to_declare(Estimate(value, noise, 0.0)) for value in draws]
    assert all(number == 10 or number % 10 ** (len(str(number)) - 1) == 0 for number in declared)
    assert np.mean([patients < COUNT_SLACK * number for number in declared]) > 0.93


def test_a_guess_of_patients_bounds_no_honest_answer():
    terms = terms_of()
    (plan, *_) = query_plans(terms)
    vector = np.zeros(2 * 8, np.float32)
    expected = expect(terms, 1, plan.weights_digest, len(vector), request=QUERY)
    vector[0] = 5000.0
    release = Release(
        study="counts",
        hospital="north",
        round=1,
        terms_fingerprint=terms.fingerprint,
        weights_digest=plan.weights_digest,
        vector=vector,
        simulation=True,
    )
    assert screen(release, expected, ()) is not None
    assert norm_bound(expected, "north") < 1.01 / terms.privacy.delta


def test_a_study_is_looked_ahead_to_by_its_expected_interval_and_its_fields():
    few = concatenate([cohort_with(CONTRACT.layout, [1] * 300, seed=i) for i in range(len(SIZES))])
    found = asked(terms_of(epsilon=2.0), few, 3)
    by_epsilon = {one.epsilon: one for one in found.outlooks}
    assert list(by_epsilon) == [0.5, 1.0, 3.0, 8.0]
    halfwidths = [one.auc_halfwidth for one in found.outlooks]
    assert halfwidths == sorted(halfwidths, reverse=True)
    assert "±" in by_epsilon[0.5].why_not
    assert by_epsilon[8.0].why_not == ""
    assert by_epsilon[0.5].auc_halfwidth > 0.06 > by_epsilon[8.0].auc_halfwidth
    said = "\n".join(feasibility_lines(terms_of(), found))
    assert "a study at ε = 0.5: would not work: its AUC would be known to ±" in said
    assert "a study at ε = 8: can work" in said
    assert feasibility_facts(terms_of(), found)["outlooks"][-1]["works"] is True


def test_counts_that_noise_hides_say_so_and_recommend_nothing_of_a_study():
    terms = terms_of(epsilon=0.05)
    nobody = no_patients(CONTRACT.layout, len(SIZES))
    found = asked(terms, nobody, 5)
    assert found.outlooks == ()
    assert "noise hides how many patients there are" in "\n".join(feasibility_lines(terms, found))
    assert all(number >= 10 for number in found.declare.values())


def test_who_does_not_answer_is_not_counted():
    terms = terms_of()
    plans = query_plans(terms)
    (vector, *_) = noised_query(terms, cohort(), [Keystream(derive_key(name)) for name in SIZES])
    release = Release(
        study="counts",
        hospital="north",
        round=1,
        terms_fingerprint=terms.fingerprint,
        weights_digest=plans[0].weights_digest,
        vector=vector.astype(np.float32),
        simulation=True,
    )
    summed = sum_tables(terms, plans[0], [release, replace(release, hospital="nobody")])
    assert (summed.accepted, set(summed.missing)) == (("north",), set(SIZES) - {"north"})
    found = feasibility(terms, summed)
    assert found.hospitals == ("north",)
    assert found.everyone.patients.value == pytest.approx(found.by_hospital["north"].value)


def test_counts_cost_little_beside_a_study():
    counts = training_events(terms_of(epsilon=0.2))
    study = [PrivacyEvent(noise_multiplier_for(1.0, 1e-5, 1.0, 12), 1.0, 12)]
    assert compose_epsilon(study, 1e-5) == pytest.approx(1.0, abs=1e-3)
    assert compose_epsilon([*counts, *study], 1e-5) == pytest.approx(1.03, abs=0.005)
