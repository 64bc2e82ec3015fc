"""The rule that chooses a noise mode, the cap on the unmasked ε, and what each mode costs."""

import math
from typing import Any

import pytest

from tests.builders import PUBLIC, small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.cost import study_epsilon, unmasked_epsilon
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.limits import Limits, limit_clauses
from wardround.protocol.terms.reading import terms_from_mapping
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms, terms_to_mapping
from wardround.protocol.wire.signing import new_key
from wardround.server.algorithm.noise_choice import chosen_noise, noise_costs, raised_by_cap
from wardround.server.algorithm.propose import propose

KEYS = [new_key().public for _ in range(20)]
CHOICE = SecureSumChoice()


def terms(hospitals: int = 20, noise: str = "auto", cap: float = 25.0, **changes: Any) -> Terms:
    names = [f"h{number:02d}" for number in range(hospitals)]
    given: dict[str, Any] = {
        "study": "tea",
        "contract": contract_from_mapping(small_contract(**PUBLIC)),
        "model": ModelSettings(),
        "privacy": PrivacySettings(noise=noise),
        "training": TrainingSettings(rounds=8, optimizer="newton"),
        "public_patients": dict.fromkeys(names, 1000),
        "simulation": False,
        "evaluation": EvaluationSettings(),
        "secure_sum": SecureSumChoice(max_epsilon_unmasked=cap),
        "members": dict(zip(names, KEYS, strict=False)),
    }
    return propose(**given | changes)


@pytest.mark.parametrize(
    ("hospitals", "changes", "expected"),
    [
        (4, {}, "local"),
        (5, {}, "secure"),
        (1000, {}, "secure"),
        (1001, {}, "local"),
        (20, {"aggregate": "median"}, "local"),
        (20, {"aggregate": "trimmed"}, "local"),
        (20, {"aggregate": "mine"}, "local"),
        (20, {"local_steps": 2}, "local"),
    ],
)
def test_secure_from_five_hospitals_on_where_the_sum_may_be_private_as_a_whole(
    hospitals: int, changes: dict[str, Any], expected: str
) -> None:
    training = TrainingSettings(**changes)
    assert chosen_noise("auto", hospitals, training, simulation=False) == expected
    assert chosen_noise("local", hospitals, training, simulation=False) == "local"
    assert chosen_noise("secure", hospitals, training, simulation=False) == "secure"


def test_a_simulation_may_be_larger_than_any_real_study() -> None:
    assert chosen_noise("auto", 10_000, TrainingSettings(), simulation=True) == "secure"


def test_terms_carry_what_was_chosen() -> None:
    assert terms(5).privacy.noise == "secure"
    few = terms(4)
    assert (few.privacy.noise, few.secure_sum) == ("local", None)
    plain: dict[str, Any] = terms_to_mapping(few)
    with pytest.raises(ConfigurationError, match=r"privacy\.noise=auto: must be resolved"):
        terms_from_mapping({**plain, "privacy": {**plain["privacy"], "noise": "auto"}})


def test_noise_is_raised_until_the_unmasked_epsilon_is_within_the_cap() -> None:
    free, held = terms(noise="secure"), terms(noise="secure", cap=3.0)
    assert min(unmasked_epsilon(free, 1e-5).values()) > 3.0
    for account, epsilon in unmasked_epsilon(held, 1e-5).items():
        assert 0.99 * 3.0 < epsilon <= 3.0
        assert study_epsilon(held, 1e-5)[account] < 1.0
    clauses = {c.name: c for c in limit_clauses(Limits(delta=1e-5, max_epsilon_unmasked=3.0), held)}
    assert clauses["max_epsilon_unmasked"].holds
    clauses = {c.name: c for c in limit_clauses(Limits(delta=1e-5, max_epsilon_unmasked=2.9), held)}
    assert not clauses["max_epsilon_unmasked"].holds


def test_simulations_do_not_apply_the_cap_and_local_studies_have_no_such_clause() -> None:
    loose = terms(noise="secure", cap=3.0, simulation=True, members=None)
    assert unmasked_epsilon(loose, 1e-5)["training"] > 3.0
    local = terms(noise="local")
    assert "max_epsilon_unmasked" not in {c.name for c in limit_clauses(Limits(delta=1e-5), local)}


def test_the_rule_falls_to_local_where_the_cap_asks_for_more_noise_than_local_has() -> None:
    assert terms(cap=0.5).privacy.noise == "local"
    assert terms(noise="secure", cap=0.5).privacy.noise == "secure"  # a person's word stays


def test_size_alone_does_not_make_the_rule_fall_to_local() -> None:
    """One hospital with nearly all patients: local noise is less, and the sums are still what nobody sees through."""
    sizes = {"h00": 100_000, **{f"h{number:02d}": 10 for number in range(1, 5)}}
    given: dict[str, Any] = {"public_patients": sizes, "privacy": PrivacySettings(delta=1e-7, noise="auto")}
    real, simulated = terms(5, **given), terms(5, **given, simulation=True, members=None)
    costs = noise_costs(real, CHOICE)
    assert costs["local"] < costs["secure"]
    assert (real.privacy.noise, simulated.privacy.noise) == ("secure", "secure")
    held = terms(5, cap=1.0, **given)
    assert (held.privacy.noise, raised_by_cap(real), raised_by_cap(held)) == ("local", False, False)


@pytest.mark.parametrize(
    ("hospitals", "epsilon", "spent"), [(81, 1.0, 1.0), (81, 3.0, 2.26), (300, 1.0, 1.0), (300, 8.0, 1.1)]
)
def test_the_rule_keeps_secure_sums_at_the_least_noise_that_the_cap_allows(
    hospitals: int, epsilon: float, spent: float
) -> None:
    """At the shipped cap of 25; the noise that local needs for the whole ε is more each time."""
    privacy = PrivacySettings(epsilon=epsilon, noise="auto")
    found = terms(
        hospitals,
        privacy=privacy,
        evaluation=None,
        members={f"h{number:02d}": f"key {number}" for number in range(hospitals)},
    )
    costs = noise_costs(found, CHOICE)
    assert found.privacy.noise == "secure"
    assert costs["secure"] < costs["local"]
    assert raised_by_cap(found) == (spent < epsilon)
    assert study_epsilon(found, 1e-5)["training"] == pytest.approx(spent, rel=0.01)
    assert unmasked_epsilon(found, 1e-5)["training"] <= 25.0


def test_costs_are_those_of_the_composed_studies() -> None:
    """Equal hospitals: local costs √H, secure √(H/m), and both are told from either's terms."""
    secure, local = noise_costs(terms(), CHOICE), noise_costs(terms(noise="local"), CHOICE)
    m = terms().thresholds.honest_shares
    assert local["local"] == pytest.approx(math.sqrt(20), rel=1e-3)
    spare = math.sqrt(9 / 8)  # one release more is counted
    assert secure["secure"] == pytest.approx(math.sqrt(20 / m) * spare, rel=0.01)
    assert secure == pytest.approx(local, rel=0.01)
    assert set(noise_costs(terms(2, noise="local"), CHOICE)) == {"local"}


@pytest.mark.parametrize(
    "choice",
    [CHOICE, SecureSumChoice(max_epsilon_unmasked=12.0), SecureSumChoice(colluding=90, spare_slots=4)],
)
def test_a_local_study_is_told_what_its_own_secure_sums_would_cost(choice: SecureSumChoice) -> None:
    """At ε = 3 and 200 hospitals the cap asks for more noise than ε does."""
    members = {f"h{number:02d}": f"key {number}" for number in range(200)}
    changes = {"privacy": PrivacySettings(epsilon=3.0, noise="secure"), "evaluation": None}
    secure = terms(200, secure_sum=choice, members=members, **changes)
    local = terms(200, **changes | {"privacy": PrivacySettings(epsilon=3.0, noise="local")})
    told = noise_costs(local, choice)["secure"]
    assert told == pytest.approx(noise_costs(secure, choice)["secure"], rel=1e-3)
    if choice == CHOICE:
        assert study_epsilon(secure, 1e-5)["training"] < 2.9  # so the cap did ask for more
    simulated = terms(200, simulation=True, members=None, **changes)
    assert noise_costs(simulated, choice)["secure"] <= told


def test_a_choice_that_does_not_fit_a_local_study_has_no_cost() -> None:
    assert set(noise_costs(terms(5, noise="local"), SecureSumChoice(colluding=90))) == {"local"}
