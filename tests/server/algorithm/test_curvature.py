"""Newton where engagement is rare: how fast its curvature lets it arrive, and at what."""

import numpy as np
import pytest
from scipy.special import expit

from tests.builders import AGE, CHANNEL, PUBLIC, SEX, small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.model import column_scale
from wardround.protocol.model.precondition import preconditioner_of
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.server.algorithm import newton, optimize
from wardround.server.algorithm.curvature import curvature_share
from wardround.server.algorithm.prior_mean import prior_mean
from wardround.server.algorithm.propose import propose

EFFECTS = np.array([0, 0.8, -0.5, 0.2, -0.6, 0.1, 0.6, -0.7, 0.1, 0.5, -0.5, 0.0])
"""Log-odds by design column: the intercept, age in four bins and missing, channel and sex in words and other."""


def contract_at(rate):
    label = {"column": "opened", "engaged": ["1"], "not_engaged": ["0"]}
    label |= {} if rate is None else {"expected_rate": rate}
    features = {"age": AGE, "channel": CHANNEL, "sex": SEX}
    return contract_from_mapping(small_contract(**PUBLIC, label=label, features=features))


def terms_at(rate, epsilon=100.0, rounds=12, patients=10**7):
    return propose(
        study="spring",
        contract=contract_at(rate),
        model=ModelSettings(),
        privacy=PrivacySettings(
            epsilon=epsilon, delta=1e-11, noise="local", clip_norm=0, schedule="weighted"
        ),
        training=TrainingSettings(rounds=rounds, optimizer="newton"),
        public_patients={"north": patients},
        simulation=True,
    )


@pytest.mark.parametrize(
    ("rate", "share"),
    [
        (None, 1),
        (0.5, 1),
        (0.2, 1),
        (0.8, 1),
        (0.17, 1),
        (0.12, 0.7543),
        (0.03, 0.2079),
        (0.97, 0.2079),
        (0.001, 0.2079),
    ],
)
def test_the_contracts_rate_alone_says_how_curved_the_loss_is(rate, share) -> None:
    assert curvature_share(contract_at(rate)) == pytest.approx(share, abs=1e-4)


def rows_of(layout):
    """Every combination of bins, unscaled and equally frequent: [rows, width]."""
    grids = np.meshgrid(*(np.arange(field.size) for field in layout.fields), indexing="ij")
    rows = np.zeros((grids[0].size, layout.width))
    rows[:, 0] = 1
    for start, grid in zip(layout.offsets, grids, strict=True):
        rows[np.arange(len(rows)), start + grid.ravel()] = 1
    return rows


def study(terms, chances):
    """Run a study without noise on endless patients with these chances: the log-odds that it ends with, by row."""
    layout = terms.contract.layout
    scaled = rows_of(layout) * column_scale(terms.model, layout)
    state = optimize.init(terms.training, layout.width)
    state = optimize.take_moments(state, terms.privacy.clip_norm * scaled.mean(axis=0))
    weights = prior_mean(terms)
    for _ in range(terms.gradient_rounds):
        gradient = scaled.T @ (expit(scaled @ weights) - chances) / len(scaled)
        state, weights = optimize.apply(state, terms, weights, preconditioner_of(terms).apply(gradient))
    return scaled @ weights


def left(terms, truth):
    """Give what is left to learn of differences in log-odds after a study, as a share of what there was to learn."""
    found = study(terms, expit(truth))
    # A study starts at the expected rate for everybody.
    return float(np.std(found - truth) / np.std(truth))


@pytest.mark.parametrize("rate", [0.03, 0.93])
def test_eleven_gradients_arrive_where_engagement_is_rare(rate, monkeypatch) -> None:
    terms = terms_at(rate)
    truth = np.log(rate / (1 - rate)) + rows_of(terms.contract.layout) @ EFFECTS
    assert left(terms, truth) < 0.065
    monkeypatch.setattr(newton, "curvature_share", lambda _: 1.0)
    monkeypatch.setattr(newton, "_latest_fisher", {})
    # What 39 gradients left of it, too.
    assert left(terms, truth) > 0.19
    assert left(terms_at(rate, rounds=40), truth) > 0.12


@pytest.mark.parametrize(("stated", "true"), [(0.001, 0.2), (0.97, 0.8), (0.1, 0.03)])
def test_a_wrong_rate_on_the_right_side_of_one_half_does_no_harm(stated, true, monkeypatch) -> None:
    terms = terms_at(stated)
    truth = np.log(true / (1 - true)) + rows_of(terms.contract.layout) @ EFFECTS
    found = left(terms, truth)
    monkeypatch.setattr(newton, "curvature_share", lambda _: 1.0)
    monkeypatch.setattr(newton, "_latest_fisher", {})
    assert found < left(terms, truth)


def test_where_it_is_neither_nothing_depends_on_it(monkeypatch) -> None:
    terms = terms_at(0.3)
    truth = np.log(0.3 / 0.7) + rows_of(terms.contract.layout) @ EFFECTS
    found = study(terms, expit(truth))
    monkeypatch.setattr(newton, "curvature_share", lambda _: 1.0)
    monkeypatch.setattr(newton, "_latest_fisher", {})
    np.testing.assert_array_equal(study(terms, expit(truth)), found)


def test_weights_arrive_at_the_same_whatever_the_curvature(monkeypatch) -> None:
    """What steps no longer move has w = −F (g − H w): −(1 − F H)⁻¹ F times its gradient, with every H."""
    monkeypatch.setattr(newton, "chance_variance", lambda _: 0.0)
    terms = terms_at(0.03, epsilon=1.0, patients=10**5)
    shares, noise = rows_of(terms.contract.layout).mean(axis=0), newton.averaged_noise_stddev(terms, 1e-5)
    ends = []
    for share in (curvature_share(terms.contract), 1.0):
        monkeypatch.setattr(newton, "curvature_share", lambda _, share=share: share)
        gain = newton.gain_of(terms, newton.design_fisher(terms, shares))
        unit = np.eye(len(shares))
        factor = gain.posterior(unit, noise).T
        ends.append(np.linalg.solve(unit - factor @ gain.fisher, factor))
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6, atol=1e-9 * np.abs(ends[1]).max())
