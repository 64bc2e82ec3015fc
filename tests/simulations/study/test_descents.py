"""Baselines by rounds: every hospital on its own path; the federation without privacy near its optimum."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wardround.client.cohort import Cohort, concatenate
from wardround.protocol.contract.contract import Contract
from wardround.protocol.model.model import initial_weights, predict_logits
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.propose import without_moments
from wardround.simulations.study import descents


def terms_for(contract: Contract, cohort: Cohort, noise_multiplier: float = 1.0, **training: object) -> Terms:
    public = {f"h{index}": max(int(count), 1) for index, count in enumerate(np.diff(cohort.patients_from))}
    return Terms(
        study="s",
        contract=contract,
        model=ModelSettings(),
        privacy=PrivacySettings(),
        training=TrainingSettings(
            **{"rounds": 15, "public_patients": public, "learning_rate": 2.0, **training}
        ),
        noise_multiplier=noise_multiplier,
        simulation=True,
    )


def streams(hospitals: int, tag: str = "alone") -> Callable[[int], Sequence[Keystream]]:
    return lambda number: [Keystream(derive_key(tag, hospital, number)) for hospital in range(hospitals)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_rows_descend_apart(optimizer: str) -> None:
    targets = np.random.default_rng(0).normal(size=(5, 3))
    training = TrainingSettings(
        rounds=400, optimizer=optimizer, learning_rate=0.1, momentum=0.5, tail_average=0.2
    )
    apart = descents.descend(lambda weights, _: weights - targets, np.zeros((5, 3)), training)
    np.testing.assert_allclose(apart, targets, atol=0.02)
    one = descents.descend(lambda weights, _: weights - targets[:1], np.zeros((1, 3)), training)
    np.testing.assert_array_equal(one, apart[:1])


@pytest.mark.parametrize(
    "changes", [{}, {"local_steps": 3, "local_learning_rate": 1.0, "learning_rate": 1.0}]
)
def test_federated_without_privacy_comes_near_the_pooled_model(
    small: Callable, contract: Contract, changes: dict[str, object]
) -> None:
    made = small([300, 0, 500, 20])
    terms = terms_for(contract, made.cohort, **{"rounds": 40, **changes})
    found = []
    for fit in (descents.federated_model, descents.pooled_model):
        weights = fit(terms, made.layout, made.cohort)
        found.append(
            roc_auc_score(made.cohort.labels, predict_logits(terms.model, made.layout, weights, made.cohort))
        )
    assert abs(found[0] - found[1]) < 0.01


def test_alone_private_uses_one_hospitals_patients_and_noise_only(
    small: Callable, contract: Contract
) -> None:
    first, second, other = small([60], 1).cohort, small([80], 2).cohort, small([80], 3).cohort
    results = []
    for cohort in (concatenate([first, second]), concatenate([first, other])):
        terms = terms_for(contract, cohort)
        results.append(descents.alone_private_models(terms, contract.layout, cohort, streams(2)))
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-12)
    assert np.abs(results[0][1] - results[1][1]).max() > 0.01


def test_alone_private_adds_the_whole_noise_also_where_the_federation_shares_it(
    small: Callable, contract: Contract
) -> None:
    cohort = small([50, 50, 50, 50]).cohort
    terms = terms_for(contract, cohort)
    sums = SecureSumSettings(threshold=4, colluding=1, parameters=contract.layout.width)
    shared = replace(terms, privacy=PrivacySettings(noise="secure"), secure_sum=sums)
    found = [descents.alone_private_models(t, contract.layout, cohort, streams(4)) for t in (terms, shared)]
    np.testing.assert_array_equal(found[0], found[1])
    again = descents.alone_private_models(terms, contract.layout, cohort, streams(4, "other"))
    assert np.abs(found[0] - again).max() > 0.01


def test_where_the_federation_has_newton_the_baselines_descend_by_sgd(
    small: Callable, contract: Contract
) -> None:
    cohort = small([60, 80]).cohort
    changes = {"optimizer": "newton", "moment_rounds": 1, "learning_rate": 1.0, "momentum": 0.0}
    newton = terms_for(contract, cohort, rounds=40, **changes)
    plain = replace(newton, training=without_moments(newton))
    assert plain.training.optimizer == "sgd"
    alone = [descents.alone_private_models(t, contract.layout, cohort, streams(2)) for t in (newton, plain)]
    together = [descents.federated_model(t, contract.layout, cohort) for t in (newton, plain)]
    np.testing.assert_array_equal(*alone)
    np.testing.assert_array_equal(*together)


def test_a_hospital_alone_has_sgd_s_rounds_where_newton_had_fewer_at_the_same_epsilon(
    small: Callable, contract: Contract
) -> None:
    cohort = small([60, 80]).cohort
    changes: dict[str, object] = {"moment_rounds": 1, "learning_rate": 1.0, "momentum": 0.0}
    short = terms_for(contract, cohort, optimizer="newton", rounds=10, **changes)
    long = replace(
        short, training=replace(short.training, rounds=40), noise_multiplier=2 * short.noise_multiplier
    )
    alone = [descents.alone_private_models(t, contract.layout, cohort, streams(2)) for t in (short, long)]
    np.testing.assert_allclose(*alone, rtol=1e-9)


def test_an_empty_hospital_alone_gets_noise_and_stays_finite(small: Callable, contract: Contract) -> None:
    cohort = small([0, 30]).cohort
    found = descents.alone_private_models(terms_for(contract, cohort), contract.layout, cohort, streams(2))
    assert np.isfinite(found).all()
    assert np.abs(found[0]).max() > 0


def test_models_with_hidden_layers_learn_pooled_and_alone(small: Callable, contract: Contract) -> None:
    made = small([400, 200])
    terms = replace(terms_for(contract, made.cohort), model=ModelSettings(kind="mlp", hidden=(8,)))
    start = initial_weights(terms.model, contract.layout)
    pooled = descents.pooled_model(terms, contract.layout, made.cohort)
    alone = descents.alone_models(terms, contract.layout, made.cohort)
    assert pooled.shape == start.shape
    assert alone.shape == (2, len(start))
    logits = predict_logits(terms.model, contract.layout, pooled, made.cohort)
    assert roc_auc_score(made.cohort.labels, logits) > roc_auc_score(made.cohort.labels, made.truth) - 0.05
