"""Challengers: one patient moves a release by at most its stated sensitivity; ε is that of what was released;
the noise has its stated size; each learns."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from wardround.client.cohort import Cohort
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, independent_epsilon
from wardround.protocol.terms.settings import PrivacySettings
from wardround.simulations.federation.federation import Federation
from wardround.simulations.measures import metrics
from wardround.simulations.methods import additive, boosting, local_steps, newton, registry
from wardround.simulations.methods.challengers import BEGIN, END, PAGE, filled
from wardround.simulations.methods.channel import Attempt, Channel
from wardround.simulations.methods.prior import PRIORS

Make = Callable[..., Any]
SUMS = ("gradients", "weighted gradients", "gram", "weighted gram", "residuals", "counts")
CLIP = 0.3
PRODUCTS = {"wide_deep", "offset_and_slope", "mixture", "boosted"}
"""Run by the product's rounds and personal parts alone, which have tests of their own."""


def federation_of(contract: Contract, training: Cohort, heldout: Cohort) -> Federation:
    names = tuple(f"h{index}" for index in range(training.hospital_count))
    return Federation(contract, names, training, heldout, 0, datetime(2026, 1, 1, tzinfo=UTC), "ab")


def sums_of(kind: str, contract: Contract, cohort: Cohort, weights: np.ndarray) -> np.ndarray:
    """What each hospital adds up before noise, in units of its stated sensitivity."""
    layout = contract.layout
    per_patient = (cohort.events_per_patient / contract.events_per_patient) ** 0.5
    chosen = per_patient if kind.startswith("weighted") else None
    if kind.endswith("gradients"):
        return additive.gradient_sums(layout, weights, cohort, CLIP, chosen) / CLIP
    if kind.endswith("gram"):
        return additive.gram_sums(layout, cohort, chosen)
    fields = boosting.histograms(contract, cohort)
    if kind == "counts":
        ones = np.ones(cohort.event_count)
        tables = [boosting.residual_sums(field, ones, cohort, 1.0) for field in fields]
        return np.hstack(tables) / len(fields) ** 0.5
    return boosting.residual_sums(fields[-2], cohort.labels - 0.4, cohort, CLIP) / CLIP


@pytest.mark.parametrize("kind", SUMS)
def test_one_patient_moves_one_hospitals_sum_by_at_most_the_sensitivity(
    kind: str, small: Make, contract: Contract
) -> None:
    cohort = small([12, 9], 5).cohort
    # Models of each hospital's own, as in MR-MTL, and far from zero, where clipping acts.
    weights = np.random.default_rng(3).normal(size=(2, contract.layout.width)) * 8
    everyone = sums_of(kind, contract, cohort, weights)
    reached = 0.0
    for patient in range(cohort.patient_count):
        others = cohort.take(np.delete(np.arange(cohort.patient_count), patient))
        moved = np.linalg.norm(everyone - sums_of(kind, contract, others, weights), axis=1)
        own = cohort.hospital_of_patient[patient]
        assert moved[own] <= 1 + 1e-9
        assert moved[1 - own] < 1e-12
        reached = max(reached, moved[own])
    assert reached > 0.5  # the bound is near, not far


@pytest.mark.parametrize("noise", ["local", "secure"])
def test_noise_has_the_stated_size(noise: str, small: Make, contract: Contract) -> None:
    made = small([40, 20, 10])
    federation = federation_of(contract, made.cohort, made.cohort)
    channel = Channel.open(federation, PrivacySettings(noise=noise), 1, "test")
    sums = np.zeros((3, 40_000))
    each, mean = channel.sums(sums, 0.5, 4.0), channel.mean(sums, 0.5, 4.0)
    total = each.sum(axis=0).std()
    assert total == pytest.approx(2.0 * 3**0.5 / 2**0.5 if noise == "secure" else 2.0 * 3**0.5, rel=0.02)
    assert mean.std() == pytest.approx(channel.mean_stddev(0.5, 4.0), rel=0.02)
    assert not np.array_equal(each, channel.sums(sums, 0.5, 4.0))  # no noise stands twice
    assert channel.spent == (PrivacyEvent(4.0, 1.0, 3),)
    # A sum of ones for every declared patient is a mean of one.
    assert channel.weights @ channel.patients == pytest.approx(1.0)


@pytest.mark.parametrize("noise", ["local", "secure"])
@pytest.mark.parametrize("name", sorted(set(registry.CHALLENGERS) - PRODUCTS))
def test_each_learns_at_a_verified_epsilon(name: str, noise: str, small: Make, contract: Contract) -> None:
    training, heldout = small([700, 500, 400], 1).cohort, small([300, 200, 100], 2).cohort
    federation = federation_of(contract, training, heldout)
    privacy = PrivacySettings(epsilon=4.0, noise=noise)
    if name in registry.LOCAL_ONLY and noise == "secure":
        with pytest.raises(ConfigurationError, match=r"privacy\.noise=secure"):
            registry.attempt(name, federation, privacy, 0)
        return
    found = registry.attempt(name, federation, privacy, 0)
    assert metrics.auc(heldout.labels, found.logits) > 0.6
    assert 0.95 * 4.0 < found.epsilon(1e-5) <= 4.0
    assert found.epsilon(1e-5) == compose_epsilon(found.events, 1e-5)
    assert independent_epsilon(found.events, 1e-5) >= found.epsilon(1e-5)


def test_the_seed_alone_draws_the_noise(small: Make, contract: Contract) -> None:
    made = small([40, 20])
    federation = federation_of(contract, made.cohort, made.cohort)
    first, again, other = (
        registry.attempt("newton_gram", federation, PrivacySettings(), seed).logits for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_that_spends_more_than_its_target_is_refused(
    small: Make, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = small([40, 20])
    federation = federation_of(contract, made.cohort, made.cohort)
    overspent = Attempt(np.zeros(made.cohort.event_count), (PrivacyEvent(1.0, 1.0, 4),))
    monkeypatch.setitem(registry.CHALLENGERS, "careless", lambda *_: overspent)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="careless spent ε="):
        registry.attempt("careless", federation, PrivacySettings(), 0)


def test_gram_sums_are_the_second_moments(small: Make, contract: Contract) -> None:
    from wardround.protocol.model.design import dense_rows
    from wardround.protocol.model.model import column_scale

    cohort, layout = small([8, 0, 5], 4).cohort, contract.layout
    rows = dense_rows(layout, cohort) * column_scale(additive.MODEL, layout)
    shares = (1 / cohort.events_per_patient)[cohort.patient_of_event]
    whole = additive.gram_matrix(layout, additive.gram_sums(layout, cohort).sum(axis=0))
    np.testing.assert_allclose(whole, (rows * shares[:, None]).T @ rows, atol=1e-12)


def test_mean_regularised_models_stay_together_as_the_pull_grows(small: Make, contract: Contract) -> None:
    made = small([200, 200])
    federation = federation_of(contract, made.cohort, made.cohort)

    def spread(pull: float) -> float:
        models = np.random.default_rng(0).normal(size=(2, contract.layout.width))
        channel = Channel.open(federation, PrivacySettings(), 0, "test")
        chosen = local_steps.LocalSettings(pull=pull, own=True, local_steps=3)
        moved = local_steps._local_round(chosen, federation, channel, 50.0, models, models.mean(axis=0))
        return float(np.linalg.norm(moved[0] - moved[1]))

    assert spread(100.0) < 0.1 * spread(0.0)


@pytest.mark.parametrize("name", sorted(PRIORS))
def test_priors_are_covariances_of_unit_variance(name: str, contract: Contract) -> None:
    prior = PRIORS[name](contract)
    assert prior.shape == (contract.layout.width,) * 2
    np.testing.assert_allclose(np.diag(prior)[1:], 1.0)
    assert np.linalg.eigvalsh(prior).min() > 0
    # The missing bin of age (the third) stands apart from the two intervals.
    assert prior[1, 3] == prior[2, 3] == 0


def test_noisy_eigenvalues_are_raised_never_lowered() -> None:
    draws = np.random.default_rng(0).normal(size=(6, 6))
    matrix = draws + draws.T
    raised = newton.raise_to_noise(matrix, 0.5)
    assert np.linalg.eigvalsh(raised).min() >= 0.5 * 6**0.5 - 1e-9
    assert np.linalg.eigvalsh(raised - matrix).min() > -1e-9


def test_tables_go_between_the_pages_marks_and_nowhere_else() -> None:
    page = PAGE.read_text(encoding="utf-8")
    once = filled(page, "| a table |")
    assert once.partition(BEGIN)[0] == page.partition(BEGIN)[0]
    assert once.partition(END)[2] == page.partition(END)[2]
    assert filled(once, "| a table |") == once
    assert filled(once, "| newer |").count("| a table |") == 0
    with pytest.raises(ValueError, match="must hold the lines"):
        filled("no marks", "| a table |")
