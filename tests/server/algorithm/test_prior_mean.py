"""What is known before any release: the expected rate, and a Beta-binomial reading of a patient's past."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.builders import visits_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.model import parameter_count, predict_probabilities
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.text.bounds import EXPECTED_RATES
from wardround.server.algorithm import rounds
from wardround.server.algorithm.newton import averaged_noise_stddev
from wardround.server.algorithm.prior_mean import (
    CONCENTRATION,
    MESSAGES_OF_A_RATE,
    prior_effects,
    prior_mean,
)

COUNTS = {
    "kept": {"kind": "history", "statistic": "engaged", "edges": [1, 2, 3]},
    "missed": {"kind": "history", "statistic": "missed", "edges": [1, 3]},
}


def contract_with(features, rate=0.8):
    label = {"column": "came", "engaged": ["1"], "not_engaged": ["0"], "expected_rate": rate}
    if rate is None:
        del label["expected_rate"]
    age = {"kind": "numeric", "column": "age", "edges": [18, 65]}
    return contract_from_mapping(visits_contract(features={"age": age, **features}, label=label))


@pytest.fixture
def terms(make_terms):
    return replace(make_terms(), contract=contract_with(COUNTS))


def chance(terms, *bins):
    events = SimpleNamespace(bins=np.array([bins]), values=np.zeros((1, 0)))
    return float(predict_probabilities(terms.model, terms.contract.layout, prior_mean(terms), events)[0])


@pytest.mark.parametrize(
    ("engaged", "missed_bin", "missed"), [(0, 0, 0), (2, 0, 0), (1, 1, 1.5), (2, 1, 1.5)]
)
def test_the_model_before_round_1_is_the_beta_binomial_s(terms, engaged, missed_bin, missed) -> None:
    # Bins of one count hold just that; the second bin of ``missed`` holds 1 and 2.
    seen = CONCENTRATION * 0.8 + engaged
    expected = seen / (seen + CONCENTRATION * 0.2 + missed)
    assert chance(terms, 1, engaged, missed_bin) == pytest.approx(expected)


def test_who_has_no_past_is_expected_at_the_rate(terms) -> None:
    assert chance(terms, 0, 0, 0) == pytest.approx(0.8)
    missing = (3, 4, 3)
    assert chance(terms, *missing) == pytest.approx(0.8)


def test_the_last_bin_counts_as_its_least(terms) -> None:
    layout = terms.contract.layout
    start = layout.offsets[1]
    effects = prior_effects(terms.contract)[start : start + 5]
    expected = [math.log1p(count / (CONCENTRATION * 0.8)) for count in (0, 1, 2, 3)]
    np.testing.assert_allclose(effects, [*expected, 0])


@pytest.mark.parametrize("rate", [None, *EXPECTED_RATES])
@pytest.mark.parametrize(
    ("statistic", "edges"),
    [("engaged", [-30, -20]), ("missed", [-30]), ("rate", [-20.0, 30.0]), ("engaged", [1e14])],
)
def test_bins_that_nothing_falls_into_and_the_outermost_rates_leave_numbers(statistic, edges, rate) -> None:
    history = {"past": {"kind": "history", "statistic": statistic, "edges": edges}}
    with np.errstate(all="raise"):
        effects = prior_effects(contract_with(history, rate))
    assert np.isfinite(effects).all()
    assert np.abs(effects).max() < 50


def test_a_rate_is_read_where_no_count_says_the_same() -> None:
    rate = {"share": {"kind": "history", "statistic": "rate", "edges": [0.5, 1.0]}}
    alone = prior_effects(contract_with(rate, 0.5))
    start = contract_with(rate, 0.5).layout.offsets[1]
    low, high = (MESSAGES_OF_A_RATE * share / (CONCENTRATION / 2) for share in (0.25, 0.75))
    expected = [math.log1p(low) - math.log1p(high), math.log1p(high) - math.log1p(low)]
    np.testing.assert_allclose(alone[start : start + 2], expected)
    both = contract_with({**COUNTS, **rate})
    place = both.layout.offsets[3]
    assert not prior_effects(both)[place : place + 4].any()


def test_nothing_is_expected_of_other_fields_or_of_parts_of_the_past() -> None:
    topic = {"topic": {"kind": "categorical", "column": "topic", "vocabulary": ["a", "b"]}}
    by = {"kept": {**COUNTS["kept"], "by": "topic"}}
    assert not prior_effects(contract_with({**topic, **by}, 0.5)).any()
    assert not prior_effects(contract_with({**topic, **by}, None)).any()


@pytest.mark.parametrize("kind", ["additive", "wide_deep", "mlp"])
def test_a_study_starts_there_where_its_model_has_a_linear_part(terms, kind) -> None:
    other = replace(terms, model=ModelSettings(kind=kind, hidden=() if kind == "additive" else (4,)))
    expected = prior_mean(other)
    assert len(expected) == parameter_count(other.model, other.contract.layout)
    assert np.count_nonzero(expected) == (0 if kind == "mlp" else 6)
    if kind == "additive":
        np.testing.assert_array_equal(rounds.init(other).weights, expected)


@pytest.mark.parametrize("schedule", [(), (1e4, 9e3, 8e3, 7e3)])
def test_what_noise_hides_stays_at_what_was_expected(terms, make_release, schedule) -> None:
    newton = replace(terms.training, optimizer="newton", moment_rounds=1)
    privacy = replace(terms.privacy, schedule="weighted" if schedule else "equal")
    own = replace(
        terms, privacy=privacy, training=newton, noise_multiplier=min(schedule, default=1e4),
        round_noise_multipliers=schedule,
    )  # fmt: skip
    state, zeros = rounds.init(own), np.zeros(own.contract.layout.width)
    for _ in range(2):
        state, _ = rounds.apply(state, own, [make_release(plan, zeros) for plan in rounds.plans(state, own)])
    assert state.optimizer.steps == 1
    assert averaged_noise_stddev(own, 1.0, 1) > 1e3
    np.testing.assert_allclose(state.weights, prior_mean(own), atol=1e-3)
    far = replace(state, weights=state.weights + 1)
    after, _ = rounds.apply(far, own, [make_release(plan, zeros) for plan in rounds.plans(far, own)])
    assert np.abs(after.weights - prior_mean(own)).max() < 0.6  # and it returns there
