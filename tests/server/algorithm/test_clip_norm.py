"""The rule for the clip norm: from public numbers alone, falling with the noise, and never below half."""

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import PUBLIC, small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.settings import BY_RULE, ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.clip_norm import noise_to_signal, share_of
from wardround.server.algorithm.propose import propose

CONTRACT = contract_from_mapping(small_contract(**PUBLIC))
RESIDUAL = CONTRACT.label.expected_residual


def ruled(noise: str = "local", patients: int = 1000, epsilon: float = 1.0, **changes: Any) -> Terms:
    given: dict[str, Any] = {
        "study": "tea",
        "contract": CONTRACT,
        "model": ModelSettings(),
        "privacy": PrivacySettings(noise=noise, epsilon=epsilon, clip_norm=BY_RULE, schedule="auto"),
        "training": TrainingSettings(rounds=BY_RULE, optimizer="auto"),
        "public_patients": {f"h{number}": patients for number in range(6)},
        "simulation": True,
    }
    return propose(**given | changes)


def clip_of(*given: Any, **changes: Any) -> float:
    return ruled(*given, **changes).privacy.clip_norm


def test_the_share_falls_from_one_to_a_half_and_is_three_quarters_halfway() -> None:
    shares = [share_of(ratio) for ratio in (0, 1e-3, 1e-2, 0.02, 0.1, 1, 1e9)]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], shares[3], round(shares[-1], 6)) == (1.0, 0.75, 0.5)


def test_the_more_noise_the_smaller_the_clip_norm() -> None:
    by_patients = [clip_of(patients=count) for count in (20, 200, 2000, 20_000)]
    assert by_patients == sorted(set(by_patients))
    by_epsilon = [clip_of(epsilon=epsilon) for epsilon in (0.1, 1.0, 10.0)]
    assert by_epsilon == sorted(set(by_epsilon))
    assert clip_of("secure") > clip_of("local")
    assert 0.5 * RESIDUAL <= clip_of(patients=20, epsilon=0.01) < 0.51 * RESIDUAL
    assert clip_of(epsilon=1e5, patients=10_000) == pytest.approx(RESIDUAL, rel=1e-3)


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_the_rule_s_number_does_not_depend_on_the_clip_norm(noise: str) -> None:
    privacy = PrivacySettings(noise=noise, schedule="auto")
    ratios = [
        noise_to_signal(ruled(privacy=replace(privacy, clip_norm=chosen), noise=noise)) for chosen in (0.1, 3)
    ]
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-3)
    terms = ruled(noise)
    assert terms.privacy.clip_norm == pytest.approx(RESIDUAL * share_of(noise_to_signal(terms)), rel=2e-3)


def test_a_clip_norm_that_was_chosen_stays_and_terms_always_have_one() -> None:
    terms = ruled(privacy=PrivacySettings(clip_norm=0.123, noise="secure"))
    assert terms.privacy.clip_norm == 0.123
    with pytest.raises(ConfigurationError, match="must be resolved in terms"):
        replace(terms, privacy=replace(terms.privacy, clip_norm=BY_RULE))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": ModelSettings(kind="wide_deep", hidden=(4,))},
        {"training": TrainingSettings(rounds=4, local_steps=3)},
        {"training": TrainingSettings(rounds=9, optimizer="auto", aggregate="trimmed")},
    ],
    ids=["hidden layers", "several steps", "trimmed"],
)
def test_where_the_argument_does_not_hold_the_bound_is_the_first_gradient_s(changes: dict[str, Any]) -> None:
    changes["privacy"] = PrivacySettings(clip_norm=BY_RULE)
    assert clip_of(patients=20, **changes) == RESIDUAL
