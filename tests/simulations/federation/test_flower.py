"""Flower's simulation engine on Ray carries the same study to the same weights."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from flwr.app import Context, RecordDict

from tests.builders import AGE, PUBLIC, ROOT, small_contract
from wardround.client.cohort import Cohort
from wardround.client.round.participate import participate
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.simulations.federation import in_process
from wardround.simulations.federation.federation import Federation
from wardround.simulations.federation.shared_federation import open_shared, write_shared

CONTRACT = small_contract(
    **PUBLIC,
    features={"age": AGE, "day": {"kind": "numeric", "column": "day", "edges": [2, 4]}},
    crosses=[["age", "day"]],
)
PATIENTS = {"north": 40, "south": 7, "empty": 0, "west": 90}


def draw_federation():
    """Four hospitals, one without patients; bins and labels are drawn, nothing is read."""
    contract = contract_from_mapping(CONTRACT)
    generator = np.random.default_rng(3)
    patients = sum(PATIENTS.values())
    events = generator.integers(1, 5, patients)
    total = int(events.sum())
    sizes = [field.size for field in contract.layout.features]
    training = Cohort(
        bins=np.stack([generator.integers(0, size, total) for size in sizes], axis=1).astype(np.int32),
        values=np.empty((total, 0), np.float32),
        labels=generator.integers(0, 2, total).astype(np.float64),
        rows=np.arange(total),
        known=np.ones(total, np.bool_),
        tokens=generator.integers(0, 256, (patients, 16), dtype=np.uint8),
        events_from=np.concatenate([[0], np.cumsum(events)]),
        patients_from=np.concatenate([[0], np.cumsum(list(PATIENTS.values()))]),
    )
    return Federation(
        contract=contract,
        hospitals=tuple(PATIENTS),
        training=training,
        heldout=training,
        seed=11,
        as_of=datetime(2020, 1, 1, tzinfo=UTC),
        data_fingerprint="",
    )


def terms_for(federation, epsilon=10.0, **training):
    return Terms(
        study="tea",
        contract=federation.contract,
        model=ModelSettings(),
        privacy=PrivacySettings(epsilon=epsilon),
        training=TrainingSettings(
            public_patients={name: max(1, count) for name, count in PATIENTS.items()},
            rounds=4,
            learning_rate=0.5,
            **training,
        ),
        noise_multiplier=4.0,
        simulation=True,
    )


def carried_in_process(terms, federation):
    wards = {ward.hospital: ward for ward in federation.wards(terms)}

    def answer(plans):
        return participate(
            plans, [wards[plan.hospital] for plan in plans], terms, "simulation", federation.admit
        )

    summaries = []
    state = in_process.run(terms, answer, on_round=lambda summary, _: summaries.append(summary))
    return state, summaries


def test_a_folder_gives_the_same_patients_back_without_pickle(tmp_path):
    federation = draw_federation()
    terms = terms_for(federation)
    write_shared(tmp_path, federation, terms)
    opened, read_terms = open_shared(tmp_path)
    assert read_terms.fingerprint == terms.fingerprint
    assert (opened.hospitals, opened.seed, opened.as_of) == (federation.hospitals, 11, federation.as_of)
    for name in ("bins", "values", "labels", "tokens", "events_from", "patients_from"):
        np.testing.assert_array_equal(getattr(opened.training, name), getattr(federation.training, name))
    assert opened.heldout.patient_count == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}


def test_any_worker_knows_what_the_others_charged(tmp_path):
    """Each round falls to a worker that has not seen the ones before; the third is one too many."""
    from wardround.simulations.federation import flower

    federation = draw_federation()
    terms = terms_for(federation, epsilon=1.6)
    write_shared(tmp_path, federation, terms)
    contexts = {
        name: Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})
        for name in PATIENTS
    }
    seen = []

    def answer(plans):
        answers = []
        for plan in plans:
            flower._opened.cache_clear()
            answers.append(flower._answer(str(tmp_path), plan, contexts[plan.hospital]))
        return answers

    with pytest.raises(ConfigurationError, match="refused: max_epsilon_for_life") as apart:
        in_process.run(terms, answer, on_round=lambda summary, _: seen.append(summary))
    with pytest.raises(ConfigurationError) as together:
        carried_in_process(terms, federation)
    assert str(apart.value) == str(together.value)
    assert len(seen) > 1
    assert len(contexts["west"].state["charged"]) == len(seen) - 1


@pytest.mark.slow
@pytest.mark.flower
def test_ray_equals_in_process_wherever_it_is_started(tmp_path):
    """Several local steps and Poisson draws use all randomness; another ``client`` lies in the folder.

    In a process of its own: Ray leaves files and processes to the garbage collector, which warns.
    """
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "__init__.py").write_text("raise SystemExit('not the code that was installed')")
    command = [sys.executable, "-P", __file__, str(tmp_path / "ray.npz")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.load(tmp_path / "ray.npz", allow_pickle=False)
    federation = draw_federation()
    state, summaries = carried_in_process(several_steps(federation), federation)
    np.testing.assert_allclose(found["weights"], state.weights, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found["tail"], state.tail.mean, rtol=1e-6, atol=1e-9)
    assert found["accepted"].tolist() == [len(summary.accepted) for summary in summaries] == [4] * 4
    assert found["heads"].tolist() == [state.ledger_heads[name] for name in PATIENTS]
    assert np.abs(state.weights).max() > 0


def several_steps(federation):
    return terms_for(federation, local_steps=2, sampling_rate=0.5)


def carry_on_ray(path):
    from wardround.simulations.federation.flower import run_on_ray

    federation, accepted = draw_federation(), []
    terms = several_steps(federation)
    state = run_on_ray(terms, federation, on_round=lambda summary, _: accepted.append(len(summary.accepted)))
    heads = [state.ledger_heads[name] for name in PATIENTS]
    np.savez(path, weights=state.weights, tail=state.tail.mean, accepted=accepted, heads=heads)


if __name__ == "__main__":
    carry_on_ray(sys.argv[1])
