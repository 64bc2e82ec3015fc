"""Interactions at the server: a posterior mean, a prior from the releases, a public rule, one round in the same ε."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant

from tests.builders import PUBLIC, small_contract
from wardround.client.cohort import Cohort
from wardround.client.train.check_closed_form import random_cohort
from wardround.client.train.interactions import interaction_sums
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.interactions import cell_count, cell_scale
from wardround.protocol.model.model import main_count, predict_logits
from wardround.protocol.model.prior import BERNOULLI_VARIANCE
from wardround.protocol.privacy.accounting import independent_epsilon
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.cost import study_epsilon, training_events
from wardround.protocol.terms.reading import terms_from_mapping
from wardround.protocol.terms.request import INTERACTIONS, MEAN_ROWS, UPDATE, misasked, request_in, request_of
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import RoundPlan, Terms, terms_to_mapping
from wardround.server.algorithm import interactions, rounds
from wardround.server.algorithm.interactions import LEAST_EVIDENCE, VARIANCES, Released, evidence, fit_chances
from wardround.server.algorithm.newton import chance_variance, released_shares
from wardround.server.algorithm.noise_schedule import INTERACTIONS_SHARE
from wardround.server.algorithm.propose import NEWTON_ROUNDS, propose

MODEL = ModelSettings(kind="interactions")
FEATURES = {
    name: {"kind": "categorical", "column": name, "vocabulary": ["a", "b", "c"]}
    for name in ("p", "q", "r", "s")
}
CONTRACT = contract_from_mapping({**small_contract(**PUBLIC), "features": FEATURES, "groups": []})
LAYOUT = CONTRACT.layout
MAIN = main_count(MODEL, LAYOUT)
DELTA = 1e-6


def study(kind: str = "interactions", noise: str = "local", hospitals: int = 6, **changes: Any) -> Terms:
    """A study whose hospitals declare so many patients that interactions stand out, at ε = 1."""
    given: dict[str, Any] = {
        "study": "tea",
        "contract": CONTRACT,
        "model": ModelSettings(kind=kind),
        "privacy": PrivacySettings(noise=noise, schedule="auto", delta=DELTA, clip_norm=0.0),
        "training": TrainingSettings(rounds=0, optimizer="auto"),
        "public_patients": {f"h{number}": 20_000 for number in range(hospitals)},
        "simulation": True,
    }
    return propose(**{**given, **changes})


def even_row(terms: Terms):
    """The mean design row, as released, of patients who are spread evenly."""
    row = np.full(LAYOUT.width, 1 / 4)
    row[0] = 1.0
    return row * terms.privacy.clip_norm / math.sqrt(1 + len(LAYOUT.fields))


def released(terms: Terms, gradient, noise: float = 1e-4) -> Released:
    return Released(
        mean_row=even_row(terms), row_noise_stddev=1e-6, gradient=np.asarray(gradient), noise_stddev=noise
    )


def planted(terms: Terms, pair: int, effects):
    """Mean gradient of the scaled cells where one pair has these effects: −h · shares · effects."""
    gradient = np.zeros(cell_count(LAYOUT))
    size = LAYOUT.interactions[pair].size
    found = -BERNOULLI_VARIANCE / size * np.ravel(effects) * cell_scale(LAYOUT)
    gradient[pair * size : (pair + 1) * size] = found
    return gradient


CHECKER = np.outer([1, -1, 1, -1], [1, -1, 1, -1]) * 0.5
"""An interaction of two fields of four bins without main effects."""


def test_a_planted_interaction_is_found_where_it_is_and_nowhere_else() -> None:
    terms = study()
    weights = interactions.weights_of(terms, released(terms, planted(terms, 2, CHECKER)))
    effects = weights.reshape(6, 4, 4) * cell_scale(LAYOUT)
    np.testing.assert_allclose(effects[2], CHECKER, atol=0.05)
    assert np.abs(np.delete(effects, 2, axis=0)).max() < 0.01


def test_events_that_weigh_little_tell_the_same_effects() -> None:
    """Weights by a propensity shrink gradient and information alike; forgotten, they differ fourfold."""
    propensity = {"propensity": {"column": "chance", "least": 0.1}}
    contract = contract_from_mapping(
        {**small_contract(**PUBLIC), "features": FEATURES, "groups": [], **propensity}
    )
    plain, weighed = study(), study(contract=contract)
    found = []
    for terms, share in ((plain, 1.0), (weighed, 0.25)):
        told = released(terms, share * planted(terms, 2, CHECKER), share * 1e-4)
        told = replace(told, mean_row=share * told.mean_row)
        found.append(interactions.weights_of(terms, told) * cell_scale(LAYOUT))
    np.testing.assert_allclose(found[1], found[0], atol=0.02)
    assert np.abs(found[0]).max() > 0.4


def test_an_interaction_has_no_main_effect_and_a_main_effect_is_none() -> None:
    terms = study()
    both = CHECKER + np.array([0.4, 0.1, -0.2, -0.3])[:, None]
    weights = interactions.weights_of(terms, released(terms, planted(terms, 0, both)))
    effects = weights.reshape(6, 4, 4) * cell_scale(LAYOUT)
    np.testing.assert_allclose(effects.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(effects.mean(axis=2), 0, atol=1e-9)
    np.testing.assert_allclose(effects[0], CHECKER, atol=0.1)


@pytest.mark.statistical
def test_noise_alone_adds_next_to_nothing_and_a_prior_without_nothing_would() -> None:
    """Root mean squares in log-odds over 20 seeds; the prior that always believes adds more than thrice as much."""
    terms, noise = study(), 3e-3
    rng, ours, believing = np.random.default_rng(5), [], []
    for _ in range(20):
        found = released(terms, rng.normal(0, noise, cell_count(LAYOUT)), noise)
        ours.append(interactions.weights_of(terms, found) * cell_scale(LAYOUT))
        spectra = interactions._spectra(terms, found)
        always = np.eye(len(VARIANCES))[-1]
        believing += [spectrum.posterior_mean(always) for spectrum in spectra]
    assert np.sqrt(np.mean(np.square(ours))) < 0.02
    assert np.sqrt(np.mean(np.square(believing))) > 0.06


def test_the_posterior_mean_is_that_of_the_gaussian_model_by_brute_force() -> None:
    """Without the factors: prior C, residuals D u + noise, u's mean C Dᵀ (D C Dᵀ + N)⁻¹ r."""
    terms, rng = study(), np.random.default_rng(1)
    gradient, noise = rng.normal(0, 1e-3, cell_count(LAYOUT)), 7e-4
    found = released(terms, gradient, noise)
    spectrum = next(interactions._spectra(terms, found))
    shares = released_shares(terms, found.mean_row, found.row_noise_stddev)[1:5]
    eye, ones, centre = np.eye(4), np.ones((4, 4)), np.eye(4) - shares
    design = BERNOULLI_VARIANCE * np.diag(np.kron(shares, shares))
    prior = np.kron(centre @ centre.T, centre @ centre.T)
    nuisance = interactions.MAIN_VARIANCE * (np.kron(eye, ones) + np.kron(ones, eye) + 1)
    spread = design @ nuisance @ design + chance_variance(terms) * design
    spread += (noise / cell_scale(LAYOUT)) ** 2 * np.eye(16)
    residuals = -gradient[:16] / cell_scale(LAYOUT)
    for place, variance in enumerate(VARIANCES):
        whole = variance * design @ prior @ design + spread
        expected = variance * prior @ design @ np.linalg.solve(whole, residuals)
        ours = spectrum.posterior_mean(np.eye(len(VARIANCES))[place])
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-10)
        likelihood = -0.5 * (np.linalg.slogdet(whole)[1] + residuals @ np.linalg.solve(whole, residuals))
        likelihood += 0.5 * (np.linalg.slogdet(spread)[1])
        assert spectrum.log_likelihood()[place] == pytest.approx(likelihood, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(("variance", "share"), [(0.1, 0.3), (0.01, 0.8), (0.0, 0.0)])
def test_the_prior_is_learned_from_the_releases_whatever_made_them(variance: float, share: float) -> None:
    """Of 200 pairs some have effects of one variance: how many is told within 0.1, their size within a factor of 3."""
    rng, strength = np.random.default_rng(3), np.full((200, 12), 200.0)
    active = np.arange(200) < share * 200
    along = rng.normal(0, np.sqrt(1 + variance * strength * active[:, None]))
    likelihoods = [
        interactions.Spectrum(s, a, np.eye(12)).log_likelihood() for s, a in zip(strength, along, strict=True)
    ]
    chances = fit_chances(np.array(likelihoods))
    assert chances.sum() == pytest.approx(1)
    assert chances[0] == pytest.approx(1 - share, abs=0.1)
    if share:
        mean = chances[1:] @ np.array(VARIANCES[1:]) / chances[1:].sum()
        assert variance / 3 < mean < 3 * variance


def test_a_federation_learns_an_interaction_that_its_additive_model_cannot() -> None:
    """The label is an exclusive or of two fields: additive effects tell nothing, the release nearly all of it."""
    terms, cohort = study(), xor_cohort(3000)
    gradient = interaction_sums(MODEL, LAYOUT, np.zeros((1, MAIN + cell_count(LAYOUT))), cohort, 1e9)[0]
    state = rounds.init(terms)
    start = np.concatenate([np.zeros(MAIN), gradient[MAIN:] / 3000])
    weights = interactions.weights_of(terms, released(terms, start[MAIN:], 1e-4))
    logits = predict_logits(MODEL, LAYOUT, np.concatenate([np.zeros(MAIN), weights]), cohort)
    assert ((logits > 0) == (cohort.labels > 0.5)).mean() > 0.75
    assert len(state.weights) == len(start)


def xor_cohort(patients: int) -> Cohort:
    cohort = random_cohort(LAYOUT, (patients,), 1, Keystream(derive_key("xor")))
    odd = (cohort.bins[:, 0] + cohort.bins[:, 1]) % 2
    noise = Keystream(derive_key("flip")).uniform(len(odd)) < 0.2
    return replace(cohort, labels=np.where(noise, 1 - odd, odd).astype(np.float64))


def test_more_noise_less_evidence_and_a_study_that_cannot_have_them_has_none() -> None:
    plain = study("additive")
    at = [
        evidence(study("additive", privacy=replace(plain.privacy, epsilon=e, clip_norm=0.5)))
        for e in (0.3, 1, 3)
    ]
    assert at == sorted(at)
    assert at[0] < at[2] / 3
    local, secure = (evidence(study("additive", noise, hospitals=30)) for noise in ("local", "secure"))
    assert secure > 1.5 * local
    assert evidence(study("additive", training=TrainingSettings(rounds=40, optimizer="sgd"))) == 0


def test_the_rule_gives_the_additive_model_where_noise_would_hide_interactions() -> None:
    few = {f"h{number}": 500 for number in range(6)}
    assert evidence(study("additive", public_patients=few)) < LEAST_EVIDENCE
    assert study(public_patients=few) == study("additive", public_patients=few)
    assert evidence(study("additive")) >= LEAST_EVIDENCE
    assert study().model == MODEL
    assert study().training.rounds == NEWTON_ROUNDS + 1


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_a_study_with_interactions_costs_what_it_says_and_no_more(noise: str) -> None:
    terms = study(noise=noise)
    assert terms.model == MODEL
    stated, google = study_epsilon(terms, DELTA)["training"], PLDAccountant()
    for number in range(1, terms.last_round + 1):
        google.compose(dp_event.GaussianDpEvent(terms.multiplier_of(number)))
    assert 0.99 * stated <= google.get_epsilon(DELTA) <= stated
    assert 0.998 <= stated <= 1.0
    assert stated <= independent_epsilon(training_events(terms), DELTA)
    budget = [terms.multiplier_of(number) ** -2 for number in range(1, terms.last_round + 1)]
    share = budget[terms.training.rounds - 1] / sum(budget)
    assert share == pytest.approx(INTERACTIONS_SHARE, abs=1e-3)


def test_the_last_round_asks_for_interactions_and_the_first_for_mean_rows() -> None:
    terms = study()
    asked = [request_of(terms, number) for number in range(1, terms.training.rounds + 1)]
    assert asked[0] is MEAN_ROWS
    assert asked[-1] is INTERACTIONS
    assert set(asked[1:-1]) == {UPDATE}
    assert len(asked) - 2 == terms.gradient_rounds
    assert terms_from_mapping(terms_to_mapping(terms)) == terms


def test_a_plan_of_a_sum_may_ask_for_interactions_only_where_the_terms_have_them() -> None:
    for kind, allowed in (("interactions", True), ("additive", False)):
        terms = study(kind, noise="secure")
        plan = RoundPlan(
            study="tea",
            hospital="h0",
            round=terms.training.rounds,
            terms_fingerprint=terms.fingerprint,
            weights=np.zeros(1, np.float32),
            asks="interactions",
        )
        assert request_in(plan, terms) is INTERACTIONS
        assert (misasked(plan, terms) == "") is allowed


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"optimizer": "sgd"}, r"training\.optimizer=sgd: must be newton with model\.kind=interactions"),
        ({"rounds": 2}, r"training\.rounds=2: must be at least 3 with model\.kind=interactions"),
    ],
)
def test_terms_without_what_interactions_rest_on_are_refused(changes: dict[str, Any], line: str) -> None:
    terms = study()
    training = replace(terms.training, moment_rounds=0 if "optimizer" in changes else 1)
    with pytest.raises(ConfigurationError, match=line):
        replace(
            terms,
            training=replace(training, **changes),
            round_noise_multipliers=(),
            privacy=replace(terms.privacy, schedule="equal"),
        )


def test_terms_of_too_many_fields_or_no_pair_are_refused_before_pairs_are_built() -> None:
    one = {"p": FEATURES["p"]}
    many = {f"f{number}": {**FEATURES["p"], "column": f"f{number}"} for number in range(65)}
    for features, line in ((one, "pairs of features with few bins=0"), (many, "features with few bins=65")):
        contract = contract_from_mapping({**small_contract(**PUBLIC), "features": features, "groups": []})
        with pytest.raises(ConfigurationError, match=line):
            replace(study(), contract=contract)
        assert "interactions" not in vars(contract.layout) or not contract.layout.interactions


def test_without_mean_rows_nothing_is_read_and_the_main_effects_stay() -> None:
    terms = study()
    last = replace(
        rounds.init(terms),
        round=terms.training.rounds,
        weights=np.arange(MAIN + cell_count(LAYOUT), dtype=float),
    )
    closed = rounds._close(last, terms, {"h0": ""}, (), "", np.ones(len(last.weights)))[0]
    np.testing.assert_array_equal(closed.weights, last.weights)
    assert rounds.finished(closed, terms)
