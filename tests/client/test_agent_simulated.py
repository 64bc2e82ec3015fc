"""A simulated hospital's agent computes what the simulation computes in one process, from the same seed."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from client.gate.identity import hospital_key
from client.participate import participate
from client.tables.source import Tables
from protocol.randomness import derive_key
from server import rounds
from simulations.federation import _passed

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
    return _passed(tables, terms_with().contract, list(WARDS), SEED, datetime(2024, 6, 1, tzinfo=UTC), {})


@pytest.fixture
def north(make_hospital, tables_of, federation):
    """One of them with a folder, tables and an agent of its own, and the simulation's seed."""
    hospital = make_hospital()
    hospital.write_tables(tables_of(WARDS["north"]))
    hospital.write_policy(max_epsilon_per_study=50, max_epsilon_per_operator=50, max_epsilon_for_life=50)
    hospital.configure(f"simulation: {{seed: {SEED}, as_of: {federation.as_of.isoformat()}}}\n")
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
