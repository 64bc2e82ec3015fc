"""A contract's propensity: one column, one public constant, and weights that are never above 1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import small_contract, visits_contract
from wardround.protocol.contract.propensity import Propensity
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, ContractError
from wardround.protocol.terms.query import QuerySettings

DRAWN = {"column": "chance", "least": 0.1}


def test_it_stands_in_the_contract_and_travels_whole():
    contract = contract_from_mapping(visits_contract(propensity=DRAWN))
    assert contract.propensity == Propensity(column="chance", least=0.1)
    assert "chance" in contract.columns("messages")
    assert contract_from_mapping(contract.to_mapping()) == contract
    prints = {
        contract_from_mapping(visits_contract(**changes)).fingerprint
        for changes in ({}, {"propensity": DRAWN}, {"propensity": {**DRAWN, "least": 0.2}})
    }
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"least": 0}, r"contract\.propensity\.least=0: must be a probability from 0\.001 to 0\.999"),
        ({"least": 1}, r"propensity\.least=1: must be a probability"),
        ({"least": True}, r"propensity\.least=true: must be a probability"),
        ({"least": "half"}, r"propensity\.least=half: must be a probability"),
        ({"least": float("nan")}, r"propensity\.least=nan: must be a probability"),
        ({"most": 1}, r"propensity\.most: unknown key"),
        ({"column": "opened"}, r"contract\.propensity: column=opened is the label"),
        ({"column": "patient"}, r"contract\.propensity: column=patient is the patient's identifier"),
        ({"column": "age"}, r"contract\.features\.age: column=age is the propensity"),
    ],
)
def test_a_mistake_is_one_line(changes, error):
    with pytest.raises((ConfigurationError, ContractError), match=error):
        contract_from_mapping(small_contract(propensity={**DRAWN, **changes}))


def test_a_message_weighs_by_its_inverse_chance_up_to_the_public_bound():
    weights = Propensity(column="chance", least=0.1).weights(np.array([0.1, 0.2, 1.0, 0.01, np.nan]))
    assert weights[:4].tolist() == [1.0, 0.5, 0.1, 1.0]
    assert np.isnan(weights[4])


@given(st.floats(0.001, 0.999), st.floats(0, 1, exclude_min=True))
def test_no_message_weighs_more_than_1_or_less_than_least(least, propensity):
    (weight,) = Propensity(column="chance", least=least).weights(np.array([propensity]))
    assert least <= weight <= 1
    assert (weight == 1) == (propensity <= least)


def test_an_uplift_query_refuses_it_for_an_arm_counts_all_its_outcomes():
    arms = {"column": "arm", "reference": "a", "shares": {"a": 0.5, "b": 0.5}}
    both = contract_from_mapping(small_contract(arms=arms, propensity=DRAWN))
    with pytest.raises(ConfigurationError, match="without propensity: an uplift counts every outcome"):
        QuerySettings(kind="uplift").check_contract(both)
    QuerySettings(kind="feasibility").check_contract(both)
