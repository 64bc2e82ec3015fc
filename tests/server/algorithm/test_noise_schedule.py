"""Noise that differs by round: the least variance at one ε, the same in terms, charge, release and accountant."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant

from tests.builders import PUBLIC, small_contract, stream
from wardround.client.cohort import no_patients
from wardround.client.round.charging import charge_of
from wardround.client.train.update import Step, private_update
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.accounting import compose_epsilon, independent_epsilon
from wardround.protocol.terms.cost import (
    epsilon_against,
    events_left,
    study_epsilon,
    training_events,
    two_hospitals_epsilon,
    unmasked_epsilon,
)
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.limits import Limits, limit_clauses
from wardround.protocol.terms.reading import require_countable, terms_from_mapping
from wardround.protocol.terms.request import UPDATE
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.sum_noise import sum_label, sum_noise
from wardround.protocol.terms.terms import (
    RoundPlan,
    Terms,
    terms_to_mapping,
)
from wardround.server.algorithm import newton, noise_schedule, rounds
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.noise_choice import gradient_noise_stddev, noise_costs, with_cap
from wardround.server.algorithm.noise_schedule import round_weights, weighted_multipliers, with_equal_noise
from wardround.server.algorithm.propose import propose

DELTA = 1e-5
NAMES = {f"h{number}": 100 * number for number in range(1, 6)}
CONTRACT = contract_from_mapping(small_contract(**PUBLIC))


def scheduled(noise: str = "local", rounds: int = 10, **changes: Any) -> Terms:
    """Ten rounds, of which one is of moments, at ε = 1; in secure sums one spare."""
    given: dict[str, Any] = {
        "study": "tea",
        "contract": CONTRACT,
        "model": ModelSettings(),
        "privacy": PrivacySettings(noise=noise, schedule="weighted"),
        "training": TrainingSettings(rounds=rounds, optimizer="newton"),
        "public_patients": NAMES,
        "simulation": True,
    }
    return propose(**given | changes)


def plan_of(terms: Terms, number: int) -> RoundPlan:
    return RoundPlan(
        study=terms.study,
        hospital="h1",
        round=number,
        terms_fingerprint=terms.fingerprint,
        weights=np.zeros(CONTRACT.layout.width, np.float32),
        asks="update" if terms.secure_sum else "",
    )


# The schedule ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0])
def test_the_whole_costs_epsilon_and_no_more(epsilon: float) -> None:
    weights = [4.5, *range(1, 10)]
    each = np.array(weighted_multipliers(weights, epsilon, DELTA))
    terms = replace(scheduled(), round_noise_multipliers=tuple(each), noise_multiplier=float(each.min()))
    spent = study_epsilon(terms, DELTA)["training"]
    assert 0.999 * epsilon <= spent <= epsilon
    np.testing.assert_allclose(each**4 * weights, each[0] ** 4 * weights[0], rtol=6e-4)


def test_the_schedule_is_near_the_least_variance_of_the_same_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = np.arange(1.0, 12.0)

    def variance(precision: Any) -> float:
        return float((weights**2 / precision).sum() / weights.sum() ** 2)

    ours = variance(1 / np.square(weighted_multipliers(weights, 1.0, DELTA)))
    monkeypatch.setattr(noise_schedule, "EXPONENT", 1.0)
    precisions = 1 / np.square(weighted_multipliers(weights, 1.0, DELTA))
    least = variance(precisions)
    equal = variance(np.full(11, precisions.sum() / 11))
    assert equal / least == pytest.approx(4 / 3, rel=0.05)  # (4n + 2) ÷ (3n + 3) for n rounds
    assert ours / least == pytest.approx(1.06, abs=0.015)
    generator = np.random.default_rng(5)
    for _ in range(200):
        other = precisions * np.exp(generator.normal(0, 0.3, 11))
        assert variance(other * precisions.sum() / other.sum()) > least


def test_spare_rounds_weigh_as_the_mean_and_only_newton_s_rounds_differ() -> None:
    training = TrainingSettings(rounds=4, optimizer="newton", moment_rounds=1)
    assert round_weights(training, 2) == (2.0, 1.0, 2.0, 3.0, 2.0, 2.0)
    assert set(round_weights(replace(training, optimizer="sgd", moment_rounds=0), 1)) == {1.0}
    plain = scheduled(training=TrainingSettings(rounds=10, optimizer="sgd"))
    assert plain.round_noise_multipliers == ()


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_the_average_that_newton_reads_has_the_noise_that_the_server_counts_on(noise: str) -> None:
    terms = scheduled(noise)
    stddevs = np.array([gradient_noise_stddev(terms, number) for number in range(2, 11)])
    weights = np.arange(1, 10)
    expected = math.sqrt((weights**2 * stddevs**2).sum()) / weights.sum()
    assert newton.averaged_noise_stddev(terms, noise_gain(terms)) == pytest.approx(expected)
    equal = with_equal_noise(terms)
    evenly = newton.averaged_noise_stddev(equal, noise_gain(equal))
    assert 0.9 * evenly < expected < 0.93 * evenly


# Accounting ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_google_s_pld_gives_the_same_epsilon_from_the_rounds_own_noise(noise: str) -> None:
    """Within 1 %, and never above what is stated: PLD errs upwards, by less than the stated ε is rounded up.

    Rényi DP's, a looser bound, is never below it.
    """
    terms = scheduled(noise, rounds=12)
    stated, google = study_epsilon(terms, DELTA)["training"], PLDAccountant()
    assert len(terms.round_noise_multipliers) == terms.last_round == (13 if noise == "secure" else 12)
    for multiplier in terms.round_noise_multipliers:
        google.compose(dp_event.GaussianDpEvent(multiplier))
    assert 0.99 * stated <= google.get_epsilon(DELTA) <= stated
    assert stated <= terms.privacy.epsilon
    assert stated <= independent_epsilon(training_events(terms), DELTA)


def test_what_rounds_cost_adds_up_and_is_never_that_of_the_average_round() -> None:
    terms = scheduled()
    first, rest = training_events(terms, 4), events_left(terms, "training", 4)
    assert compose_epsilon([*first, *rest], DELTA) == study_epsilon(terms, DELTA)["training"]
    assert compose_epsilon(first, DELTA) < compose_epsilon(rest, DELTA)
    assert events_left(terms, "training", 10) == ()


def test_each_adversary_s_epsilon_is_composed_over_the_rounds_own_noise() -> None:
    terms = scheduled("secure")
    costs = epsilon_against(terms, UPDATE, terms.last_round)
    assert costs["model"] <= costs["secure_sum_and_hospitals"] <= 1.0 < costs["masks_failed"]
    assert costs["masks_failed"] == unmasked_epsilon(terms, DELTA)["training"]
    # The same as with equal noise of the same ε: every figure follows from Σ 1/σ².
    equal = epsilon_against(with_equal_noise(terms), UPDATE, terms.last_round)
    assert costs == {key: pytest.approx(value, rel=0.01) for key, value in equal.items()}
    assert two_hospitals_epsilon(terms, DELTA) == pytest.approx(costs["patient_at_two_hospitals"], rel=0.01)


def test_a_cap_on_the_unmasked_epsilon_raises_every_round_s_noise() -> None:
    terms = scheduled("secure")
    cap = 0.8 * unmasked_epsilon(terms, DELTA)["training"]
    capped = with_cap(terms, cap)
    assert 0.995 * cap < unmasked_epsilon(capped, DELTA)["training"] <= cap
    pairs = zip(terms.round_noise_multipliers, capped.round_noise_multipliers, strict=True)
    factors = [after / before for before, after in pairs]
    assert min(factors) > 1.1
    assert max(factors) / min(factors) < 1.001


def test_the_noise_modes_are_compared_by_equal_noise() -> None:
    costs, equal = (
        noise_costs(scheduled(), SecureSumChoice()),
        noise_costs(with_equal_noise(scheduled()), SecureSumChoice()),
    )
    assert costs == equal


# Terms and policy ------------------------------------------------------------------------------------


def test_terms_carry_each_round_s_noise_and_equal_noise_is_no_part_of_them() -> None:
    terms = scheduled()
    assert terms_from_mapping(terms_to_mapping(terms)) == terms
    assert terms.noise_multiplier == min(terms.round_noise_multipliers) == terms.multiplier_of(10)
    assert terms.quietest_round == 10
    plain = terms_to_mapping(with_equal_noise(terms))
    assert "round_noise_multipliers" not in plain
    assert "schedule" not in plain["privacy"]  # type: ignore[operator]
    other = (2 * terms.multiplier_of(1), *terms.round_noise_multipliers[1:])
    assert replace(terms, round_noise_multipliers=other).fingerprint != terms.fingerprint


WRONG: list[tuple[str, Callable[[Terms], Any], str]] = [
    (
        "one too few",
        lambda t: {"round_noise_multipliers": t.round_noise_multipliers[1:]},
        "must be 10, one for",
    ),
    ("a quieter round", lambda t: {"noise_multiplier": 1.01 * t.noise_multiplier}, "must be the least"),
    ("no number", lambda t: {"round_noise_multipliers": (math.nan,) * 10}, "must be the least"),
    (
        "no noise",
        lambda t: {"round_noise_multipliers": (0.0, *t.round_noise_multipliers[1:])},
        "must be the least",
    ),
    ("a word too little", lambda t: {"privacy": PrivacySettings()}, "left out with schedule=equal"),
]


@pytest.mark.parametrize(("_what", "change", "line"), WRONG, ids=[one[0] for one in WRONG])
def test_terms_whose_rounds_say_other_than_the_limits_see_do_not_exist(
    _what: str, change: Any, line: str
) -> None:
    terms = scheduled()
    with pytest.raises(ConfigurationError, match=line):
        replace(terms, **change(terms))


def test_noise_beyond_what_can_be_counted_is_refused_in_any_round() -> None:
    terms = scheduled()
    huge = replace(terms, round_noise_multipliers=(1e30, *terms.round_noise_multipliers[1:]))
    with pytest.raises(ConfigurationError, match="round_noise_multipliers"):
        require_countable(huge)


@pytest.mark.parametrize("settings", [{"sampling_rate": 0.5}, {"local_steps": 2}])
def test_a_schedule_is_for_one_unsampled_step_a_round(settings: dict[str, Any]) -> None:
    training = TrainingSettings(rounds=10, optimizer="sgd", **settings)
    with pytest.raises(ConfigurationError, match=r"must be 1 with privacy\.schedule=weighted"):
        scheduled(training=training)


def test_the_policy_s_floor_holds_for_every_round() -> None:
    terms = scheduled()
    least, most = min(terms.round_noise_multipliers), max(terms.round_noise_multipliers)

    def held(floor: float) -> bool:
        limits = Limits(delta=DELTA, min_noise_multiplier=floor)
        clauses = {clause.name: clause for clause in limit_clauses(limits, terms)}
        return clauses["min_noise_multiplier"].holds

    assert held(least)
    assert not held(math.nextafter(least, 2 * least))
    assert not held((least + most) / 2)


def test_the_policy_s_floor_holds_for_evaluations() -> None:
    """Where the caps on ε are wide, the floor alone keeps a table's noise above what one patient moves it by."""
    terms = scheduled(evaluation=EvaluationSettings(epsilon=8.0))
    assert terms.evaluation is not None
    least = terms.evaluation.noise_multiplier
    assert least < 1 < terms.noise_multiplier

    def held(floor: float) -> bool:
        limits = Limits(delta=DELTA, min_noise_multiplier=floor)
        return all(c.holds for c in limit_clauses(limits, terms) if c.name == "min_noise_multiplier")

    assert held(least)
    assert not held(math.nextafter(least, 1.0))


# Hospital and server ---------------------------------------------------------------------------------


def test_each_round_is_charged_its_own_noise() -> None:
    terms = scheduled("secure")
    charged = [charge_of(plan_of(terms, number), terms, "key").event for number in range(1, 12)]
    assert [event.noise_multiplier for event in charged] == list(terms.round_noise_multipliers)
    assert compose_epsilon(charged, DELTA) == study_epsilon(terms, DELTA)["training"]
    # The spare round stands in for the end of the study, with more noise than that, and is charged for what it has.
    assert charged[-1].noise_multiplier > charged[-2].noise_multiplier


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_a_release_has_its_round_s_noise_and_no_other_s(noise: str) -> None:
    terms = replace(scheduled(noise), contract=_wide())
    if terms.secure_sum is not None:
        terms = replace(terms, secure_sum=replace(terms.secure_sum, parameters=_wide().layout.width))
    layout = terms.contract.layout
    for number in (1, 2, 10):
        step = Step(terms=terms, layout=layout, cohort=no_patients(layout, 5), round=number)
        streams = [stream(noise, number, index) for index in range(5)]
        drawn = private_update(step, np.zeros((1, layout.width)), streams)
        if noise == "secure":
            drawn = drawn * sum_noise(terms, plan_of(terms, number)).grid.step
        # 10,000 draws: a standard deviation is known to 0.7 %, and neighbouring rounds differ by 5 % and more.
        assert drawn.std() == pytest.approx(terms.hospital_noise_stddev(number), rel=0.025)


def _wide() -> Any:
    vocabulary = [f"w{index}" for index in range(330)]
    fields = {
        f"word{n}": {"kind": "categorical", "column": f"word{n}", "vocabulary": vocabulary} for n in range(6)
    }
    return contract_from_mapping(small_contract(**PUBLIC, features=fields))


def test_members_of_a_sum_agree_on_the_grid_of_its_round() -> None:
    terms = scheduled("secure")
    grids = {sum_label(plan_of(terms, number), bytes(32), terms).digest() for number in (2, 10)}
    assert len(grids) == 2
    # Every slot's noise is at least what is charged for it.
    for number in range(1, 12):
        shares = terms.update_noise(number).shares
        assert shares.multiplier(terms.thresholds.honest_shares) >= terms.multiplier_of(number)


def test_a_round_that_the_terms_do_not_have_has_no_noise() -> None:
    for number in (0, 11):
        with pytest.raises(ValueError, match="these terms have rounds 1 to 10"):
            scheduled().multiplier_of(number)


def test_a_server_reads_each_round_s_sum_in_its_own_unit() -> None:
    terms = scheduled("secure")
    width = CONTRACT.layout.width
    state = rounds.init(terms)
    wanted = np.full(width, 0.01)
    for number in (1, 2):
        grid = terms.update_noise(number).grid
        whole = np.rint(wanted * sum(NAMES.values()) / grid.step).astype(np.int64)
        heads = dict.fromkeys(NAMES, "ab" * 32)
        state, summary = rounds.close_sum(state, terms, heads, (), whole)
        assert not summary.discarded
        assert summary.gradient_norm == pytest.approx(0.01 * math.sqrt(width), rel=0.01)
