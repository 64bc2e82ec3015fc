"""δ against the number of patients, and a person who is a patient at two hospitals."""

import math
from dataclasses import replace

import pytest

from tests.builders import PUBLIC, small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, independent_epsilon
from wardround.protocol.terms.cost import study_epsilon, two_hospitals_epsilon
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.limits import delta_clause
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.propose import propose

CONTRACT = contract_from_mapping(small_contract(**PUBLIC))


def proposed(delta: float, largest: int, epsilon: float = 1.0, **more: object) -> Terms:
    return propose(
        study="tea",
        contract=CONTRACT,
        model=ModelSettings(),
        privacy=PrivacySettings(delta=delta),
        training=TrainingSettings(rounds=10),
        public_patients={"north": largest, "south": 10},
        evaluation=EvaluationSettings(epsilon=epsilon),
        **{"simulation": False, **more},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("delta", "most"), [(1e-5, 10_000), (1e-6, 100_000), (0.01, 10)])
def test_delta_times_patients_is_bounded_for_operator_and_hospital(delta: float, most: int) -> None:
    assert proposed(delta, most).privacy.delta == delta
    assert delta_clause(delta, most, 0.1).holds
    assert not delta_clause(delta, most + 1, 0.1).holds
    with pytest.raises(ConfigurationError) as refused:
        proposed(delta, most + 1)
    said = str(refused.value)
    assert said.startswith(
        f"privacy.delta={delta}: times the {most + 1} patients of the largest hospital is 0.1"
    )
    remedy = float(said.rpartition("privacy.delta=")[2])
    assert proposed(remedy, most + 1)  # the remedy mends it
    assert proposed(delta, most + 1, simulation=True)  # nobody is to be protected, and the report says so


def test_a_simulation_too_keeps_delta_below_one_over_the_patients() -> None:
    with pytest.raises(ConfigurationError, match=r"must be below 1; set privacy\.delta=1e-04"):
        proposed(0.001, 1000, simulation=True)


def test_the_worst_pair_of_accounts_is_what_two_hospitals_cost() -> None:
    terms = proposed(1e-5, 100, epsilon=0.5)
    steps = PrivacyEvent(terms.noise_multiplier, 1.0, 10)
    assert two_hospitals_epsilon(terms, 1e-5) == compose_epsilon([steps, steps], 1e-5)
    terms = proposed(1e-5, 100, epsilon=3.0)
    tables = PrivacyEvent(terms.evaluation.noise_multiplier)  # type: ignore[union-attr]
    two = two_hospitals_epsilon(terms, 1e-5)
    assert two == compose_epsilon([tables, tables], 1e-5)
    assert two > compose_epsilon([steps, tables], 1e-5) > study_epsilon(terms, 1e-5)["held_out"]
    assert (
        0.8 * independent_epsilon([tables, tables], 1e-5)
        <= two
        <= independent_epsilon([tables, tables], 1e-5)
    )


def test_one_sum_that_holds_a_person_twice_costs_twice_the_parameter() -> None:
    terms = proposed(1e-5, 100, simulation=True)
    three = replace(terms.training, public_patients=dict.fromkeys(("a", "b", "c"), 100))
    terms = replace(terms, training=three)
    sums = SecureSumSettings(threshold=3, colluding=1, parameters=3, spare_slots=0)
    secure = replace(terms.privacy, noise="secure")
    shared = replace(terms, privacy=secure, evaluation=None, secure_sum=sums)
    one = PrivacyEvent(terms.noise_multiplier / 2, 1.0, 10)
    assert two_hospitals_epsilon(shared, 1e-5) == pytest.approx(compose_epsilon([one], 1e-5))
    assert math.isfinite(two_hospitals_epsilon(shared, 1e-5))
