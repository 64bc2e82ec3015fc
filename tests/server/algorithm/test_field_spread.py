"""Factors of the prior's variance by field: the most likely ones, useful where fields differ, silent in noise."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.prior import columns_of_fields
from wardround.server.algorithm import newton
from wardround.server.algorithm.field_spread import (
    COMMON_FREEDOM,
    FIELD_FREEDOM,
    by_column,
    read_fields,
)
from wardround.server.algorithm.fisher import bin_shares

NOISE = 0.002


@pytest.fixture
def terms(make_terms):
    """Eight fields with effects, a cross of two of them, and a ranged value."""
    wide = copy.deepcopy(make_terms().contract.to_mapping())
    for index in range(6):
        words = [f"w{number}" for number in range(6)]
        wide["features"][f"f{index}"] = {"kind": "categorical", "column": f"f{index}", "vocabulary": words}
    wide["features"]["score"] = {"kind": "numeric", "column": "score", "range": [0, 1]}
    wide["crosses"] = [["f0", "f1"]]
    made = make_terms(optimizer="newton", moment_rounds=1, learning_rate=1.0)
    return replace(made, contract=contract_from_mapping(wide))


@pytest.fixture
def model(terms):
    """Give places, prior, H and the noise's covariance, as the server hands them over."""
    layout = terms.contract.layout
    fisher = newton.design_fisher(terms, bin_shares(layout, np.zeros(layout.width), 0.0))
    noise = newton.chance_variance(terms) * fisher + NOISE**2 * np.eye(layout.width)
    return columns_of_fields(layout), newton.scaled_prior(terms.contract), fisher, noise


def drawn(model, factors, seed):
    """Draw true weights by these factors, and what the gradients then show."""
    places, prior, fisher, noise = model
    generator = np.random.default_rng(seed)
    spread = np.sqrt(
        np.concatenate([np.full(p.stop - p.start, f) for p, f in zip(places, factors, strict=True)])
    )
    weights = spread * generator.multivariate_normal(np.zeros(len(prior)), prior)
    return weights, -fisher @ weights + generator.multivariate_normal(np.zeros(len(prior)), noise)


def read(model, seen, factors, steps=1):
    places, prior, fisher, noise = model
    for _ in range(steps):
        weights, factors = read_fields(places, prior, fisher, seen, noise, factors)
    return weights, factors


def test_every_column_belongs_to_one_field_in_the_order_of_the_design(terms) -> None:
    layout = terms.contract.layout
    places = columns_of_fields(layout)
    columns = [column for place in places for column in range(layout.width)[place]]
    assert columns == list(range(layout.width))
    assert len(places) == 1 + len(layout.fields) + len(layout.values)
    assert (
        by_column(layout, np.arange(len(places)) + 1.0)[places[3]].tolist() == [4.0] * layout.fields[2].size
    )
    assert by_column(layout, np.zeros(0)).tolist() == [1.0] * layout.width


def test_weights_are_the_posterior_mean_under_the_factors(terms, model) -> None:
    factors = np.random.default_rng(1).uniform(0.2, 4, len(model[0]))
    _, seen = drawn(model, factors, 2)
    gain = newton.gain_of(terms, model[2], factors)
    np.testing.assert_allclose(
        read(model, seen, factors)[0], -gain.posterior(seen, NOISE), rtol=1e-7, atol=1e-10
    )


def test_one_step_is_that_of_the_formulas_written_out(model) -> None:
    factors = np.random.default_rng(6).uniform(0.2, 4, len(model[0]))
    seen = drawn(model, factors, 7)[1]
    energies, determined = _energies(model, seen, factors)
    common = (COMMON_FREEDOM + sum(energies[1:])) / (COMMON_FREEDOM + sum(determined[1:]))
    expected = (FIELD_FREEDOM * common + np.array(energies)) / (FIELD_FREEDOM + np.array(determined))
    np.testing.assert_allclose(read(model, seen, factors)[1], [1.0, *expected[1:]], rtol=1e-9)


def test_the_iteration_ends_at_the_most_likely_factors(model) -> None:
    """Where it ends no factor's marginal likelihood times prior rises either way, but for the intercept's."""
    places, prior, fisher, noise = model
    seen = drawn(model, [1.0, 4.0] + [0.3] * (len(places) - 2), 3)[1]
    factors = read(model, seen, np.ones(len(places)), 150)[1]
    again = read(model, seen, factors)[1]
    np.testing.assert_allclose(again, factors, rtol=1e-6)
    assert factors[0] == 1

    def log_posterior(chosen, common):
        spread = np.concatenate([np.full(p.stop - p.start, f) for p, f in zip(places, chosen, strict=True)])
        covariance = fisher @ (np.sqrt(spread)[:, None] * prior * np.sqrt(spread)) @ fisher + noise
        fit = -0.5 * (np.linalg.slogdet(covariance)[1] + seen @ np.linalg.solve(covariance, seen))
        return fit - 0.5 * FIELD_FREEDOM * (np.log(chosen[1:]) + common / chosen[1:]).sum()

    common = _common(model, seen, factors)
    for index in range(1, len(places)):
        step = np.where(np.arange(len(places)) == index, 1e-4, 0)
        up, down = (log_posterior(factors * np.exp(sign * step), common) for sign in (1, -1))
        assert abs(up - down) / 2e-4 < 2e-3
        far = log_posterior(factors * np.exp(5e3 * step), common)
        assert far < log_posterior(factors, common)


def _common(model, seen, factors):
    """v₀ where the iteration ends: of every field v (ν + γ) = ν v₀ + E, and v₀ (c + Σγ) = c + ΣE."""
    energies, determined = _energies(model, seen, factors)
    return (COMMON_FREEDOM + sum(energies[1:])) / (COMMON_FREEDOM + sum(determined[1:]))


def _energies(model, seen, factors):
    """E and γ of every field, by the inverse of S."""
    places, prior, fisher, noise = model
    scale = np.concatenate([np.full(p.stop - p.start, f) for p, f in zip(places, factors, strict=True)])
    inverse = np.linalg.inv(fisher @ (np.sqrt(scale)[:, None] * prior * np.sqrt(scale)) @ fisher + noise)
    inner, along = fisher @ inverse @ fisher, fisher @ inverse @ seen
    energies = [f**2 * along[p] @ prior[p, p] @ along[p] for p, f in zip(places, factors, strict=True)]
    determined = [f * np.trace(prior[p, p] @ inner[p, p]) for p, f in zip(places, factors, strict=True)]
    return energies, determined


@pytest.mark.statistical
def test_where_few_fields_matter_they_are_told_and_the_model_is_nearer(model) -> None:
    places, prior, fisher, _ = model
    model = places, prior, fisher, np.square(NOISE / 8) * np.eye(len(prior))
    true = np.array([1.0, 8.0, 8.0] + [0.02] * (len(places) - 3))
    told, errors = [], []
    for seed in range(20):
        weights, seen = drawn(model, true, seed)
        found = []
        for start, steps in ((np.ones(len(places)), 1), (np.ones(len(places)), 11)):
            mean, factors = read(model, seen, start, steps)
            found.append((mean - weights) @ fisher @ (mean - weights))
        told.append(factors)
        errors.append(found)
    by_field = np.median(told, axis=0)
    assert by_field[1:3].min() > 3 > 0.9 > by_field[3:8].max()
    # Paired, at two standard errors: the same truth and noise, read by the first factors and by the eleventh.
    gained = np.subtract(*np.transpose(errors))
    assert gained.mean() > 2 * gained.std(ddof=1) / len(gained) ** 0.5


def test_in_noise_alone_the_prior_stays_as_it_was(model) -> None:
    places, prior, fisher, _ = model
    loud = 1e3**2 * np.eye(len(prior))
    seen = np.random.default_rng(5).normal(0, 1e3, len(prior))
    factors = read((places, prior, fisher, loud), seen, np.ones(len(places)), 11)[1]
    np.testing.assert_allclose(factors, 1, atol=1e-6)
