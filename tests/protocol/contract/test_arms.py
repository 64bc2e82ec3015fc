"""A contract's arms: public words and shares, a reference, times where it has times; nothing of a personal part."""

import pytest

from tests.builders import small_contract, visits_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, ContractError

ARMS = {
    "column": "arm",
    "reference": "standard",
    "shares": {"standard": 0.5, "best_single": 0.2, "explored": 0.3},
}
TIMED = {**ARMS, "since": "since", "until": "until"}


def test_arms_stand_in_the_contract_the_reference_first_and_travel_whole():
    contract = contract_from_mapping(visits_contract(arms=TIMED))
    assert contract.arms.words == ("standard", "best_single", "explored")
    assert contract.columns("arms") == ("id", "arm", "since", "until")
    assert contract_from_mapping(contract.to_mapping()) == contract
    turned = {**TIMED, "shares": dict(reversed(ARMS["shares"].items()))}
    assert contract_from_mapping(visits_contract(arms=turned)).fingerprint == contract.fingerprint
    assert contract_from_mapping(visits_contract()).fingerprint != contract.fingerprint


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (
            {"reference": "nobody"},
            r"arms\.reference=nobody: must be one of the arms: best_single, explored, standard",
        ),
        (
            {"shares": {"standard": 1.0}},
            r"arms\.shares\.standard=1\.0: must be a share from 0\.01 to below 1",
        ),
        ({"shares": {"standard": 0.5}}, r"must name 2 to 20 different arms"),
        ({"shares": {"1": 0.5, "1.0": 0.5}, "reference": "1"}, r"must name 2 to 20 different arms"),
        ({"shares": {"standard": 0.8, "best_single": 0.3}}, r"sum to 1\.1, must be at most 1"),
        ({"shares": {"standard": 0.5, "Personal": 0.5}}, r"must not name personal"),
        ({"shares": {"standard": 0.5, "b": "half"}}, r"arms\.shares\.b=half"),
        ({"shares": {"standard": 0.5, "b": float("nan")}}, r"arms\.shares\.b=nan"),
        ({"since": "since"}, r"arms\.since and until: need decided_at and outcome_at"),
        ({"windows": 3}, r"arms\.windows: unknown key"),
        ({"column": "opened"}, r"contract\.arms: column=opened is the label"),
        ({"column": "patient"}, r"contract\.arms: column=patient is the patient's identifier"),
    ],
)
def test_a_mistake_is_one_line(changes, error):
    with pytest.raises((ConfigurationError, ContractError), match=error):
        contract_from_mapping(small_contract(arms={**ARMS, **changes}))


def test_with_times_both_ends_of_the_window_are_needed():
    with pytest.raises(ContractError, match="since and until: must both be given"):
        contract_from_mapping(visits_contract(arms=ARMS))
