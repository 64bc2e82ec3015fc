"""Newton at the server: its gain between nothing and everything, its fixed point, its rounds and its rule."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from tests.builders import HOSPITALS, small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model import prior
from wardround.protocol.model.model import column_scale
from wardround.protocol.model.precondition import preconditioner_of
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.server.algorithm import newton, optimize, rounds
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.fisher import bin_shares
from wardround.server.algorithm.noise_choice import gradient_noise_stddev
from wardround.server.algorithm.prior_mean import prior_mean
from wardround.server.algorithm.propose import (
    NEWTON_LEAST_ROUNDS,
    NEWTON_STEP,
    NEWTON_TAIL_SHARE,
    NEWTON_WIDEST,
    choose_method,
    propose,
    without_moments,
)


def even_shares(layout):
    return bin_shares(layout, np.zeros(layout.width), 0.0)


def gain_with(terms, shares):
    return newton.gain_of(terms, newton.design_fisher(terms, shares))


NEWTON = {"optimizer": "newton", "moment_rounds": 1, "learning_rate": 0.5}


@pytest.fixture
def terms(make_terms):
    crossed = copy.deepcopy(make_terms().contract.to_mapping())
    crossed["features"]["sms"] = {"kind": "boolean", "column": "sms"}
    crossed["features"]["score"] = {"kind": "numeric", "column": "score", "range": [0, 1]}
    crossed["crosses"] = [["age", "sms"]]
    return replace(make_terms(**NEWTON, rounds=20), contract=contract_from_mapping(crossed))


@pytest.fixture
def gain(terms):
    return gain_with(terms, even_shares(terms.contract.layout))


def plain_gain(terms, fisher, noise_stddev):
    covariance = prior.EFFECT_STDDEV**2 * prior.prior_covariance(terms.contract)
    chance = newton.chance_variance(terms) * fisher
    inner = fisher @ covariance @ fisher + chance + noise_stddev**2 * np.eye(len(fisher))
    return covariance @ fisher @ np.linalg.inv(inner)


def test_the_prior_links_neighbouring_bins_and_crosses_of_them(terms) -> None:
    layout, covariance = terms.contract.layout, prior.prior_covariance(terms.contract)
    assert covariance.shape == (layout.width, layout.width)
    assert np.linalg.eigvalsh(covariance).min() > 0
    by_name = {field.name: start for field, start in zip(layout.fields, layout.offsets, strict=True)}
    age, sms, cross = by_name["age"], by_name["sms"], by_name["age × sms"]
    near = np.exp(-prior.RANGE_DECAY / 3)  # four bins, three steps from end to end
    np.testing.assert_allclose(covariance[age, age : age + 5], [1, near, near**2, near**3, 0])
    np.testing.assert_allclose(covariance[sms : sms + 3, sms : sms + 3], np.eye(3))
    assert covariance[cross, cross + 3] == pytest.approx(near)  # one age bin on, same sms
    assert covariance[cross, cross + 1] == 0  # same age bin, other sms
    assert covariance[0, 0] == prior.INTERCEPT_VARIANCE
    assert covariance[-1, -1] == 1


@pytest.mark.parametrize("noise", [1e-3, 0.1])
def test_the_factored_gain_is_the_posterior_mean_s(terms, gain, noise) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, len(gain.fisher)))
    expected = vectors @ plain_gain(terms, gain.fisher, noise).T
    np.testing.assert_allclose(gain.posterior(vectors, noise), expected, rtol=1e-6, atol=1e-9)
    by_row = gain.posterior(vectors, np.array([[noise], [1.0], [2.0]]))
    np.testing.assert_allclose(by_row[0], gain.posterior(vectors[0], noise), rtol=1e-12)
    np.testing.assert_allclose(by_row[2], gain.posterior(vectors[2], 2.0), rtol=1e-12)


def test_chance_among_patients_is_that_of_their_weighted_mean(make_terms) -> None:
    alike = make_terms(noise="secure")
    assert newton.chance_variance(alike) == pytest.approx(1 / sum(HOSPITALS.values()))
    counts = np.array(list(HOSPITALS.values()), np.float64)
    weights = counts**0.75 / (counts**1.75).sum()
    drawn = np.random.default_rng(3).normal(size=(4000, len(counts))) * np.sqrt(counts)
    # A hospital's sum over n patients of variance 1 has variance n.
    assert newton.chance_variance(make_terms()) == pytest.approx((drawn @ weights).var(), rel=0.1)


@pytest.mark.parametrize("patients", [10, 10_000])
def test_without_privacy_noise_the_gain_is_that_of_a_ridge_on_so_many_patients(terms, patients) -> None:
    training = replace(terms.training, public_patients=dict.fromkeys(HOSPITALS, patients))
    gain = gain_with(replace(terms, training=training), even_shares(terms.contract.layout))
    weights = np.random.default_rng(1).normal(size=len(gain.fisher))
    whole = len(HOSPITALS) * patients * gain.fisher
    ridge = np.linalg.inv(prior.EFFECT_STDDEV**2 * prior.prior_covariance(terms.contract))
    expected = np.linalg.solve(ridge + whole, whole @ weights)
    np.testing.assert_allclose(gain.posterior(gain.fisher @ weights, 1e-8), expected, atol=1e-6)


def test_without_noise_the_gain_inverts_and_in_noise_it_vanishes(terms, monkeypatch) -> None:
    monkeypatch.setattr(newton, "chance_variance", lambda _: 0.0)
    gain = gain_with(terms, even_shares(terms.contract.layout))
    seen = gain.fisher @ np.random.default_rng(1).normal(size=len(gain.fisher))
    exact = gain.posterior(seen, 1e-9)
    np.testing.assert_allclose(gain.fisher @ exact, seen, atol=1e-6 * np.abs(seen).max())
    assert np.linalg.norm(gain.posterior(seen, 1e6)) < 1e-9 * np.linalg.norm(exact)


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_the_fixed_point_is_the_posterior_mean_and_every_direction_contracts_alike(terms, gain, rate) -> None:
    generator, noise = np.random.default_rng(2), 0.02
    optimum, disturbance = generator.normal(size=(2, len(gain.fisher)))
    disturbance *= noise
    posterior = plain_gain(terms, gain.fisher, noise) @ (gain.fisher @ optimum - disturbance)
    weights = start = 10 * generator.normal(size=len(gain.fisher))
    for step in range(1, 61):
        gradient = gain.fisher @ (weights - optimum) + disturbance
        weights = gain.step(weights, gradient, noise, rate)
        np.testing.assert_allclose(weights - posterior, (1 - rate) ** step * (start - posterior), atol=1e-6)


def test_weights_are_the_posterior_mean_given_the_weighted_average_of_all_gradients(gain) -> None:
    generator, noise, count = np.random.default_rng(4), 0.02, 7
    weights, seen = np.zeros(len(gain.fisher)), np.zeros(len(gain.fisher))
    for number in range(1, count + 1):
        gradient = generator.normal(size=len(weights))
        seen += 2 * number / (count * (count + 1)) * (gradient - gain.fisher @ weights)
        weights = gain.step(weights, gradient, noise, newton.rate(number))
    np.testing.assert_allclose(weights, -gain.posterior(seen, noise), atol=1e-9 * np.abs(weights).max())


def test_the_noise_of_that_average_follows_from_its_weights(make_terms) -> None:
    terms = make_terms(**NEWTON, rounds=9)
    numbers = np.arange(1, 9)
    expected = 3.0 * terms.hospital_noise_stddev(1) * np.sqrt(np.square(numbers).sum()) / numbers.sum()
    assert newton.averaged_noise_stddev(terms, 3.0) == pytest.approx(expected)


def test_with_a_schedule_each_step_knows_the_noise_of_what_was_seen_so_far(make_terms) -> None:
    """w is the posterior mean of the average so far, by its own noise: the first step trusts a loud gradient less."""
    base = make_terms(**NEWTON | {"learning_rate": 1.0}, rounds=4)
    each = (1.0, 8.0, 4.0, 2.0)  # the first is the moment round
    privacy = replace(base.privacy, schedule="weighted")
    terms = replace(base, privacy=privacy, round_noise_multipliers=each, noise_multiplier=1.0)
    layout, noise = terms.contract.layout, noise_gain(terms)
    state = optimize.init(terms.training, layout.width)
    state = optimize.take_moments(
        state, terms.privacy.clip_norm * column_scale(terms.model, layout) * even_shares(layout)
    )
    fisher = newton.cached_fisher(terms, state.mean_row, terms.hospital_noise_stddev(1) * noise)
    own = np.array([terms.hospital_noise_stddev(number) for number in (2, 3, 4)])
    generator, weights, seen = np.random.default_rng(2), np.zeros(layout.width), []
    for count in (1, 2, 3):
        gradient = generator.normal(0, 0.01, layout.width)
        seen.append(gradient - weights @ fisher)
        # What the gradients before this one said of each field's spread.
        gain = newton.gain_of(terms, fisher, state.factors)
        state, weights = optimize.apply(state, terms, weights, gradient)
        numbers = np.arange(1, count + 1)
        average = numbers @ np.array(seen) / numbers.sum()
        spread = noise * np.hypot.reduce(numbers * own[:count]) / numbers.sum()
        np.testing.assert_allclose(weights, -gain.posterior(average, spread), rtol=1e-9, atol=1e-15)
    quiet = newton.averaged_noise_stddev(terms, noise)
    assert newton.averaged_noise_stddev(terms, noise, 1) > 2 * quiet


def even_releases(state, terms, make_release, shares=None):
    """What hospitals whose design is even would send without noise, in the units of a moment round."""
    layout = terms.contract.layout
    row = even_shares(layout) if shares is None else shares
    row = terms.privacy.clip_norm * column_scale(terms.model, layout) * row
    public = terms.training.public_patients
    return [make_release(plan, public[plan.hospital] * row) for plan in rounds.plans(state, terms)]


def test_a_moment_round_moves_no_weights_and_the_next_round_uses_it(terms, make_release) -> None:
    state = rounds.init(terms)
    after, summary = rounds.apply(state, terms, even_releases(state, terms, make_release))
    np.testing.assert_array_equal(after.weights, state.weights)
    assert (summary.update_norm, after.tail.count, after.optimizer.steps) == (0, 0, 0)
    assert after.optimizer.row_count == 1
    layout = terms.contract.layout
    row = column_scale(terms.model, layout) * even_shares(layout)
    np.testing.assert_allclose(after.optimizer.mean_row, row, rtol=1e-6)

    gradient = np.random.default_rng(3).normal(size=layout.width) / layout.width
    public = terms.training.public_patients
    sent = [make_release(plan, public[plan.hospital] * gradient) for plan in rounds.plans(after, terms)]
    stepped, _ = rounds.apply(after, terms, sent)
    noise = newton.averaged_noise_stddev(terms, noise_gain(terms))
    even = gain_with(terms, even_shares(layout))
    np.testing.assert_allclose(stepped.weights, -0.5 * even.posterior(gradient, noise), rtol=1e-2, atol=1e-6)


def test_what_moments_say_changes_the_step(terms, make_release) -> None:
    layout, found = terms.contract.layout, []
    skewed = even_shares(layout)
    skewed[1:6] = [0.8, 0.05, 0.05, 0.05, 0.05]
    for shares in (None, skewed):
        state = rounds.init(terms)
        state, _ = rounds.apply(state, terms, even_releases(state, terms, make_release, shares))
        sent = [make_release(plan, np.ones(layout.width)) for plan in rounds.plans(state, terms)]
        found.append(rounds.apply(state, terms, sent)[0].weights)
    assert np.abs(found[0] - found[1]).max() > 0.01 * np.abs(found[0]).max()


def test_moments_of_several_rounds_are_averaged(make_terms, make_release) -> None:
    terms = make_terms(optimizer="newton", moment_rounds=2, learning_rate=0.5, noise_multiplier=1e-3)
    state = rounds.init(terms)
    for size in (1, 3):
        releases = [make_release(plan, np.full(6, size)) for plan in rounds.plans(state, terms)]
        state, _ = rounds.apply(state, terms, releases)
    once = rounds.apply(
        rounds.init(terms),
        terms,
        [make_release(p, np.full(6, 2)) for p in rounds.plans(rounds.init(terms), terms)],
    )[0]
    np.testing.assert_allclose(state.optimizer.mean_row, once.optimizer.mean_row, rtol=1e-6)
    assert state.optimizer.row_count == 2


def test_without_a_moment_round_the_study_goes_on_by_sgd(terms, make_release) -> None:
    plain = replace(terms, training=without_moments(terms))
    assert (plain.training.optimizer, plain.training.momentum) == ("sgd", 0.9)
    found = []
    for one in (terms, plain):
        state, summary = rounds.apply(rounds.init(one), one, [])
        assert summary.discarded == "no release"
        for size in (0.1, 0.2):
            sent = [make_release(plan, np.full_like(plan.weights, size)) for plan in rounds.plans(state, one)]
            state, _ = rounds.apply(state, one, sent)
        found.append(state.weights)
    assert np.abs(found[0]).max() > 0
    np.testing.assert_array_equal(*found)


def test_one_hospital_alone_in_the_moment_round_says_the_same_of_shares(terms, make_release) -> None:
    layout = terms.contract.layout
    terms = replace(terms, noise_multiplier=1e-6)
    state = rounds.init(terms)
    releases = even_releases(state, terms, make_release)
    few, many = (rounds.apply(state, terms, part)[0].optimizer for part in (releases[:1], releases))
    gains = [newton.cached_gain(terms, one.mean_row, gradient_noise_stddev(terms)) for one in (few, many)]
    np.testing.assert_allclose(gains[0].fisher, gains[1].fisher, atol=1e-5)
    assert len(gains[0].fisher) == layout.width


def test_the_gain_is_found_once_per_study(terms, monkeypatch) -> None:
    calls = []
    real = newton.gain_of
    monkeypatch.setattr(newton, "gain_of", lambda *given: calls.append(1) or real(*given))
    row = np.full(terms.contract.layout.width, 0.1)
    first = newton.cached_gain(terms, row, 0.01)
    assert newton.cached_gain(terms, row.copy(), 0.01) is first
    assert newton.cached_gain(terms, 2 * row, 0.01) is not first
    assert len(calls) == 2
    newton.cached_gain(terms, 2 * row, 0.02)  # the same row under other noise says something else
    assert len(calls) == 3


RULE = {"model": ModelSettings(), "parameters": 300, "training": TrainingSettings(optimizer="auto")}


@pytest.mark.parametrize(
    ("changes", "training"),
    [
        ({}, {"rounds": NEWTON_LEAST_ROUNDS - 1}),
        ({}, {"local_steps": 2}),
        ({}, {"sampling_rate": 0.5}),
        ({}, {"learning_rate": 2.0}),
        ({"parameters": NEWTON_WIDEST + 1}, {}),
        ({"model": ModelSettings(kind="mlp", hidden=(4,))}, {}),
    ],
)
def test_the_rule_falls_back_to_sgd(changes, training) -> None:
    open_choice = replace(RULE["training"], **training)
    chosen = choose_method(**{**RULE, "training": open_choice, **changes})
    assert (chosen.optimizer, chosen.moment_rounds, chosen.momentum) == ("sgd", 0, 0.9)
    assert chosen.tail_average == 0.5
    assert replace(chosen, optimizer="auto", tail_average=None) == open_choice


def test_the_rule_chooses_newton_where_it_applies() -> None:
    chosen = choose_method(**RULE)
    assert (chosen.optimizer, chosen.moment_rounds, chosen.momentum) == ("newton", 1, 0)
    assert chosen.tail_average == NEWTON_TAIL_SHARE
    kept = choose_method(**{**RULE, "training": replace(RULE["training"], tail_average=0.2, moment_rounds=3)})
    assert (kept.tail_average, kept.moment_rounds) == (0.2, 3)


def test_moments_that_nobody_would_read_are_refused() -> None:
    asked = replace(RULE["training"], moment_rounds=1, sampling_rate=0.5)
    with pytest.raises(ConfigurationError, match=r"moment_rounds=1: must be 0 with training.optimizer=sgd"):
        choose_method(**{**RULE, "training": asked})


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_the_user_sets_stays(optimizer) -> None:
    asked = TrainingSettings(optimizer=optimizer, momentum=0.3, tail_average=0.1, learning_rate=0.2)
    assert choose_method(**{**RULE, "training": asked}) == asked


def test_terms_carry_what_was_chosen(make_terms) -> None:
    made = make_terms()
    terms = propose(
        study="tea",
        contract=made.contract,
        model=made.model,
        privacy=PrivacySettings(),
        training=TrainingSettings(optimizer="auto"),
        public_patients=made.training.public_patients,
        simulation=True,
    )
    training = terms.training
    assert (training.optimizer, training.moment_rounds, training.learning_rate) == ("newton", 1, NEWTON_STEP)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "auto"}, "training.optimizer=auto: must be resolved"),
        ({"optimizer": "newton"}, "training.moment_rounds=0: must be at least 1"),
        ({"optimizer": "newton", "local_steps": 2}, "training.local_steps=2: must be 1 with"),
        (
            {"optimizer": "sgd", "moment_rounds": 1},
            "training.moment_rounds=1: must be 0 with training.optimizer=sgd",
        ),
    ],
)
def test_terms_that_do_not_fit_are_refused(make_terms, changes, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_terms(**changes)


def test_newton_is_for_the_additive_model_within_bounds(make_terms) -> None:
    with pytest.raises(
        ConfigurationError, match=r"model.kind=mlp: must be additive with training.optimizer=newton"
    ):
        replace(make_terms(**NEWTON), model=ModelSettings(kind="mlp", hidden=(4,)))
    asked = TrainingSettings(optimizer="newton")
    with pytest.raises(
        ConfigurationError, match=r"newton: with 2001 parameters: must have at most 2000; use"
    ):
        choose_method(ModelSettings(), NEWTON_WIDEST + 1, asked)
    with pytest.raises(ConfigurationError, match=r"learning_rate=1.5: must be at most 1"):
        choose_method(ModelSettings(), 30, replace(asked, learning_rate=1.5))


@pytest.mark.parametrize("weight", [0.15, 0.6, 1.0])
def test_events_that_weigh_less_have_gradients_and_curvature_smaller_by_the_same_factor(
    terms, weight
) -> None:
    """Read without that factor, a model learned from events of weight 0.15 stays at 0.15 of its effects."""
    drawn = {**terms.contract.to_mapping(), "propensity": {"column": "chance", "least": 0.1}}
    weighed, layout = replace(terms, contract=contract_from_mapping(drawn)), terms.contract.layout
    unit = terms.privacy.clip_norm * column_scale(terms.model, layout)
    row, generator = unit * even_shares(layout), np.random.default_rng(5)
    plain = newton.cached_fisher(terms, row, 1e-9)
    fisher = newton.cached_fisher(weighed, weight * row, weight * 1e-9)
    np.testing.assert_allclose(fisher, weight * plain, rtol=1e-9, atol=1e-15)
    wanted = generator.normal(0, 0.3, layout.width)
    many = replace(weighed.training, public_patients=dict.fromkeys(weighed.hospitals, 10**9))
    gain = newton.gain_of(replace(weighed, training=many), fisher)
    # With next to no noise and no chance, one whole step from 0 finds what the gradient was taken from, as far as the
    # curvature tells it: gradients do not tell apart weights that no row does.
    found = gain.step(np.zeros(layout.width), -weight * plain @ wanted, 1e-6, 1.0)
    np.testing.assert_allclose(plain @ found, plain @ wanted, atol=2e-5)


@pytest.mark.parametrize(("entry", "importance"), [(-3.0, 0.1), (0.02, 0.1), (0.4, 0.4), (7.0, 1.0)])
def test_what_events_weigh_on_average_is_never_read_as_what_no_event_can_weigh(
    terms, entry, importance
) -> None:
    drawn = {**terms.contract.to_mapping(), "propensity": {"column": "chance", "least": 0.1}}
    weighed, layout = replace(terms, contract=contract_from_mapping(drawn)), terms.contract.layout
    row = np.zeros(layout.width)
    row[0] = entry * terms.privacy.clip_norm * column_scale(terms.model, layout)[0]
    assert newton.mean_importance(weighed, row) == pytest.approx(importance)
    assert newton.mean_importance(terms, row) == 1.0


def test_preconditioned_gradients_are_read_by_what_their_noise_has_become(terms) -> None:
    asked = replace(terms, precondition=0.01)
    known, plain = preconditioner_of(asked), gain_with(terms, even_shares(terms.contract.layout))
    assert known is not None
    fisher, noise = plain.fisher, 0.02
    gain, map_ = newton.gain_of(asked, fisher), known.matrix
    covariance = prior.EFFECT_STDDEV**2 * prior.prior_covariance(terms.contract)
    inner = fisher @ covariance @ fisher + newton.chance_variance(terms) * fisher
    # The server sees M g with noise that is alike in every coordinate.
    expected = (
        covariance @ fisher @ map_.T @ np.linalg.inv(map_ @ inner @ map_.T + noise**2 * np.eye(len(fisher)))
    )
    seen = np.random.default_rng(5).normal(size=(3, len(fisher)))
    np.testing.assert_allclose(gain.posterior(known.undo(seen), noise), seen @ expected.T, rtol=1e-6)
    total = newton.noise_covariance(asked, fisher, noise)
    np.testing.assert_allclose(
        map_ @ (total - newton.chance_variance(terms) * fisher) @ map_.T,
        noise**2 * np.eye(len(fisher)),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        newton.noise_covariance(terms, fisher, noise) - newton.chance_variance(terms) * fisher,
        noise**2 * np.eye(len(fisher)),
        atol=1e-15,
    )


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_less_of_the_log_odds_is_left_unknown_at_the_same_noise(noise) -> None:
    features = {
        "age": {"kind": "numeric", "column": "age", "edges": [10, 20, 30, 40, 50, 60, 70]},
        "word": {"kind": "categorical", "column": "word", "vocabulary": [f"w{one}" for one in range(30)]},
        "sex": {"kind": "categorical", "column": "sex", "vocabulary": ["F", "M"]},
    }
    terms = propose(
        study="tea",
        contract=contract_from_mapping(small_contract(features=features)),
        model=ModelSettings(),
        privacy=PrivacySettings(epsilon=1.0, noise=noise, clip_norm=0.5),
        training=TrainingSettings(optimizer="auto", rounds=0),
        public_patients={f"h{number}": 300 for number in range(8)},
        simulation=True,
    )
    assert terms.precondition == pytest.approx(
        newton.averaged_noise_stddev(terms, noise_gain(terms)), rel=5e-3
    )

    def unknown(one):
        gain = gain_with(one, even_shares(one.contract.layout))
        covariance = newton.scaled_prior(one.contract)
        stddev = newton.averaged_noise_stddev(one, noise_gain(one))
        left = covariance - gain.outward / (gain.strength + stddev**2) @ gain.outward.T
        return float(np.trace(gain.fisher @ left))

    assert unknown(terms) < 0.97 * unknown(replace(terms, precondition=0.0))


def test_a_round_s_gradient_is_undone_before_it_is_read(terms) -> None:
    asked = replace(terms, precondition=0.01)
    known, layout = preconditioner_of(asked), terms.contract.layout
    assert known is not None
    row = terms.privacy.clip_norm * column_scale(terms.model, layout) * even_shares(layout)
    state = optimize.take_moments(optimize.init(terms.training, layout.width), row)
    gradient, start = np.random.default_rng(6).normal(0, 0.01, (2, layout.width))
    _, found = optimize.apply(state, asked, start, known.apply(gradient))
    gain = newton.cached_gain(asked, row, optimize.row_noise_stddev(state, asked))
    expected = prior_mean(terms)
    stddev = newton.averaged_noise_stddev(terms, noise_gain(terms))
    rate = terms.training.learning_rate
    after = expected + gain.step(start - expected, gradient, stddev, rate)
    np.testing.assert_allclose(found, after, rtol=1e-9)
