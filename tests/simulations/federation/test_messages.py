"""A function call and Flower's messages end in the same weights; Flower's engine has a test of its own."""

import numpy as np
import pytest

from wardround.client.round.participate import participate
from wardround.client.train.check_closed_form import random_cohort
from wardround.conf.settings import FederationSettings
from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.simulations.federation import in_process
from wardround.simulations.federation.federation import UNDATED, Federation
from wardround.simulations.federation.messages import run_over_messages
from wardround.simulations.report.scores import METHOD_KEYS
from wardround.simulations.study.comparison import Contest, compare

HOSPITALS = ("north", "south", "west")


@pytest.fixture
def federation(contract):
    cohort = random_cohort(contract.layout, (30, 1, 50), 4, Keystream(bytes(32)))
    return Federation(contract, HOSPITALS, cohort, cohort, seed=3, as_of=UNDATED, data_fingerprint="")


@pytest.fixture
def terms(contract):
    return Terms(
        study="tea",
        contract=contract,
        model=ModelSettings(),
        privacy=PrivacySettings(epsilon=5.0),
        training=TrainingSettings(public_patients=dict.fromkeys(HOSPITALS, 30), rounds=3, learning_rate=0.5),
        noise_multiplier=20.0,
        simulation=True,
    )


def answering(federation, terms, **options):
    wards = federation.wards(terms)
    return lambda plans: participate(plans, wards, terms, "simulation", federation.admit, **options)


def test_messages_change_nothing(federation, terms):
    called = in_process.run(terms, answering(federation, terms))
    carried = run_over_messages(terms, answering(federation, terms))
    np.testing.assert_array_equal(called.weights, carried.weights)
    assert dict(called.ledger_heads) == dict(carried.ledger_heads)
    assert np.any(called.weights != 0)


def test_less_memory_gives_the_same_weights(federation, terms):
    much = in_process.run(terms, answering(federation, terms))
    little = in_process.run(terms, answering(federation, terms, memory_bytes=20_000))
    np.testing.assert_allclose(much.weights, little.weights, rtol=0, atol=1e-6)


@pytest.mark.parametrize("run", [in_process.run, run_over_messages])
def test_a_round_in_which_all_refuse_ends_the_run(terms, run):
    with pytest.raises(
        ConfigurationError, match=r"round 1: 0 of 3 hospitals sent a release .refused: purposes"
    ):
        run(terms, lambda plans: [Refusal("purposes", "x") for _ in plans])


@pytest.mark.parametrize(("key", "value"), [("memory_mb", 1), ("workers", 0), ("kind", "pigeon")])
def test_wrong_settings_name_key_and_value(key, value):
    with pytest.raises(ConfigurationError, match=f"federation.{key}={value}"):
        FederationSettings(**{key: value})


def test_methods_side_by_side_find_what_they_find_one_after_the_other(federation, terms):
    weights = in_process.run(terms, answering(federation, terms)).weights
    contest = Contest(federation, terms, weights, "none")
    alone, together = compare(contest, workers=1), compare(contest, workers=3)
    assert tuple(alone) == tuple(together)
    assert {*alone, "best_possible"} == {*METHOD_KEYS}
    for key in alone:
        np.testing.assert_array_equal(alone[key], together[key])
