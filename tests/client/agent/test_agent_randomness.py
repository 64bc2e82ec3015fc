"""Randomness: the operating system's in a real hospital, a seed of its own in a simulated one."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
import torch

from wardround.client.connectors.source import Tables
from wardround.client.gate.identity import hospital_key
from wardround.client.round.participate import participate
from wardround.protocol.privacy.randomness import derive_key
from wardround.protocol.wire.signing import new_key
from wardround.server.algorithm import rounds
from wardround.simulations.federation.federation import through_gate

SEED = 5
WARDS = {"north": range(0, 80, 2), "south": range(1, 80, 2)}


@pytest.fixture
def federation(tables_of, terms_with):
    """Both hospitals prepared at once, as a simulation does."""
    parts = {table: [] for table in tables_of()}
    for name, patients in WARDS.items():
        for table, frame in tables_of(patients).items():
            parts[table].append(frame.with_columns(hospital=pl.lit(name)))
    tables = Tables(**{table: pl.concat(frames) for table, frames in parts.items()})
    return through_gate(
        tables, terms_with().contract, list(WARDS), SEED, datetime(2024, 6, 1, tzinfo=UTC), {}
    )


@pytest.fixture
def north(make_hospital, tables_of, federation):
    """One of them with a folder, tables and an agent of its own, and the simulation's seed."""
    hospital = make_hospital()
    hospital.write_tables(tables_of(WARDS["north"]))
    hospital.write_policy(max_epsilon_per_study=50, max_epsilon_per_operator=50, max_epsilon_for_life=50)
    hospital.become_simulated(SEED, federation.as_of.isoformat())
    secret = hospital_key(derive_key("split", SEED), "north")
    (hospital.folder / "keys/patients.key").write_text(secret.hex())
    return hospital


@pytest.mark.parametrize(
    "steps", [{}, {"sampling_rate": 0.5, "local_steps": 3}], ids=["one step", "three steps"]
)
def test_an_agents_release_equals_that_of_one_process(north, federation, terms_with, steps):
    training = {"public_patients": dict.fromkeys(WARDS, 40), "learning_rate": 1.0, **steps}
    terms = terms_with(simulation=True, noise_multiplier=5.0, training=training)
    plans = rounds.plans(rounds.init(terms), terms)
    wards = federation.wards(replace(terms, privacy=replace(terms.privacy, epsilon=50.0)))
    (expected, _) = participate(plans, wards, terms, "key", federation.admit)
    release = north.released(1, terms).release
    assert release.simulation
    np.testing.assert_allclose(release.vector, expected.vector, rtol=1e-6, atol=1e-6)


def test_a_simulated_hospital_takes_simulations_only_and_marks_what_it_releases(hospital, terms_with):
    hospital.become_simulated(3)
    assert hospital.clause() == "simulation"
    simulated = terms_with(simulation=True)
    release = hospital.released(1, simulated).release
    assert release.simulation
    assert hospital.clause(1, simulated, signer=new_key()) == "operators"
    assert len(hospital.entries("charged")) == 1


def test_a_simulated_hospitals_release_is_fixed_by_its_own_seed(make_hospital, terms_with):
    vectors = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        hospital = make_hospital(name)
        hospital.become_simulated(seed)
        vectors.append(hospital.released(1, terms_with(simulation=True)).release.vector)
    assert (vectors[0] == vectors[1]).all()
    assert not np.allclose(vectors[0], vectors[2])


def test_noise_and_draws_never_touch_torchs_or_numpys_generators(approved, terms_with, monkeypatch):
    approved.released(1)  # whatever is imported and prepared lazily is there by now

    def forbidden(*arguments, **settings):
        if arguments and getattr(arguments[0], "is_meta", False):
            return arguments[0]  # a layer laid out without weights: nothing is drawn
        raise AssertionError("a generator that is not cryptographic was drawn from")

    for name in ("normal", "rand", "randn", "bernoulli", "multinomial", "randperm", "randint", "poisson"):
        monkeypatch.setattr(torch, name, forbidden)
    for name in ("normal_", "uniform_", "bernoulli_", "random_", "exponential_"):
        monkeypatch.setattr(torch.Tensor, name, forbidden)
    for name in ("default_rng", "normal", "random", "rand", "randn", "uniform", "standard_normal", "poisson"):
        monkeypatch.setattr(np.random, name, forbidden)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    sampled = terms_with(study="sampled", training={"sampling_rate": 0.5, "local_steps": 1})
    approved.approve(sampled)
    noise = [approved.released(2).release.vector, approved.released(1, sampled).release.vector]
    assert all(np.abs(vector).max() > 0 for vector in noise)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_every_release_has_fresh_noise(approved, make_hospital):
    first, second = (approved.released(number).release.vector for number in (1, 2))
    other = make_hospital()
    other.approve()
    third = other.released(1).release.vector
    assert not np.allclose(first, second)
    assert not np.allclose(first, third)
