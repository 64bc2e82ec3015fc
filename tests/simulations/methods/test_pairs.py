"""Interactions from one release of all pairs: told from noise and from main effects, at the whole study's ε."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from wardround.protocol.contract.contract import Contract
from wardround.protocol.terms.settings import PrivacySettings
from wardround.simulations.federation.federation import Federation
from wardround.simulations.methods import pairs, registry
from wardround.simulations.methods.boosting import Histogram

Make = Callable[..., Any]
SHARES = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.5, 0.3, 0.2])
NOTHING = np.zeros(0, np.int64)


def field(shares: np.ndarray) -> pairs.PairedField:
    empty = Histogram(NOTHING, len(shares), NOTHING, NOTHING)
    return pairs.PairedField(empty, empty, shares, np.eye(len(shares)))


FIELDS = field(SHARES[0]), field(SHARES[1])
INFORMATION = 0.2 * np.kron(*SHARES)


def read(effects: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    seen = INFORMATION * effects.ravel() + np.random.default_rng(seed).normal(0, noise, INFORMATION.size)
    return pairs.pair_effects(*FIELDS, seen, noise**2, 1e-6, 30).reshape(effects.shape)


def planted(seed: int) -> np.ndarray:
    """An interaction: mean zero over either field, whatever the other's bin."""
    drawn = np.random.default_rng(seed).normal(0, 0.5, (4, 3))
    drawn = drawn - (SHARES[0] @ drawn)
    return np.asarray(drawn - (drawn @ SHARES[1])[:, None])


def test_an_interaction_is_found_and_one_that_noise_hides_is_not() -> None:
    true = planted(1)
    np.testing.assert_allclose(read(true, 1e-5), true, atol=0.02)
    assert np.abs(read(true, 0.1)).max() < 0.05 * np.abs(true).max()
    # What it adds to the log-odds of an event: rare bins, of which noise says most, weigh little.
    added = [np.kron(*SHARES) @ read(np.zeros((4, 3)), 1e-3, seed).ravel() ** 2 for seed in range(20)]
    assert np.mean(added) < 0.01**2


def test_main_effects_are_not_read_as_an_interaction() -> None:
    alone = np.array([0.5, -0.3, 0.2, -0.6])[:, None] + np.array([0.4, 0.0, -0.5])
    assert np.kron(*SHARES) @ read(alone, 1e-4).ravel() ** 2 < 0.01**2
    np.testing.assert_allclose(read(alone + planted(2), 1e-5), planted(2), atol=0.05)


def test_pairs_are_paid_for_out_of_the_study_s_budget_where_they_are_worth_it(
    small: Make, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, heldout = small([700, 500, 400], 1).cohort, small([300, 200, 100], 2).cohort
    names = tuple(f"h{index}" for index in range(3))
    federation = Federation(contract, names, training, heldout, 0, datetime(2026, 1, 1, tzinfo=UTC), "ab")
    spent = {}
    for least in (math.inf, 0.0):
        monkeypatch.setattr(pairs, "LEAST_EVIDENCE", least)
        found = registry.attempt("newton_pairs", federation, PrivacySettings(epsilon=2.0), 0)
        spent[least] = len(found.events)
        assert 0.99 * 2.0 < found.epsilon(1e-5) <= 2.0
    assert spent[0.0] == spent[math.inf] + 1


def test_more_noise_is_less_evidence(small: Make, contract: Contract) -> None:
    cohort = small([700, 500, 400], 1).cohort
    federation = Federation(
        contract, ("a", "b", "c"), cohort, cohort, 0, datetime(2026, 1, 1, tzinfo=UTC), "ab"
    )
    found = [
        pairs.evidence(pairs.composed(federation, PrivacySettings(epsilon=e), 0), federation)
        for e in (0.5, 1, 4)
    ]
    assert 0 < found[0] < found[1] < found[2]
