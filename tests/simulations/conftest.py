"""Small federations whose truth is known, and the results of a run over one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from tests.builders import AGE, CHANNEL, small_contract
from tests.simulations.imports import graph_of_imports
from wardround.client.cohort import Cohort
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Layout
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.privacy.noise import NOISE_MODES
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.report.summary import PrivacyFacts, Results, RoundRow

EFFECTS = np.array([[0.9, 0.0, -0.9], [-0.6, 0.1, 0.6], [0.0, 0.3, 0.0]])


@pytest.fixture(scope="session")
def needs(tmp_path_factory):
    """``needs[module]``: all modules of the program that it imports, directly or not."""
    return graph_of_imports(tmp_path_factory.mktemp("graph"))


@dataclass(frozen=True, eq=False)
class Small:
    """A layout with one cross and one ranged value, a cohort under it, and each event's true probability."""

    layout: Layout
    cohort: Cohort
    truth: np.ndarray


def contract_of_three() -> Contract:
    plain = small_contract(
        decided_at="decided",
        outcome_at="outcome",
        label={"column": "engaged", "engaged": ["1"], "not_engaged": ["0"]},
        features={
            "age": {**AGE, "edges": [40]},
            "channel": {**CHANNEL, "vocabulary": ["<sms>", "phone"]},
            "lead": {"kind": "numeric", "column": "lead", "range": [0, 30]},
        },
        crosses=[["age", "channel"]],
    )
    return contract_from_mapping(plain)


def small_cohort(patients_per_hospital: list[int], seed: int) -> tuple[Cohort, np.ndarray]:
    rng = np.random.default_rng(seed)
    patients = sum(patients_per_hospital)
    events_per_patient = rng.integers(1, 5, patients)
    events = int(events_per_patient.sum())
    bins = rng.integers(0, 3, (events, 2)).astype(np.int32)
    values = rng.uniform(-1, 1, (events, 1)).astype(np.float32)
    truth = 1 / (1 + np.exp(-(EFFECTS[bins[:, 0], bins[:, 1]] + values[:, 0] - 0.4)))
    cohort = Cohort(
        bins=bins,
        values=values,
        labels=(rng.random(events) < truth).astype(float),
        rows=np.arange(events),
        known=rng.random(events) < 0.5,
        tokens=rng.integers(0, 256, (patients, 16), dtype=np.uint8),
        events_from=np.r_[0, np.cumsum(events_per_patient)].astype(np.int64),
        patients_from=np.r_[0, np.cumsum(patients_per_hospital)].astype(np.int64),
    )
    return cohort, truth


@pytest.fixture
def small() -> Callable[..., Small]:
    """``small(patients_per_hospital, seed)``: hospitals of these sizes, 1 to 4 events per patient."""

    def make(patients_per_hospital: list[int], seed: int = 0) -> Small:
        return Small(contract_of_three().layout, *small_cohort(patients_per_hospital, seed))

    return make


@pytest.fixture
def contract() -> Contract:
    return contract_of_three()


@pytest.fixture
def example() -> Callable[..., Results]:
    """``example(hospitals, noise)``: results with one empty, one one-class and one hostile name."""
    return example_results


def example_results(hospitals: int = 6, noise: str = "local", **changes: object) -> Results:
    rng = np.random.default_rng(7)
    sizes = [0, 3, *rng.integers(20, 60, hospitals - 2).tolist()]
    heldout, truth = small_cohort(sizes, 3)
    heldout.labels[: heldout.events_from[3]] = 1

    def blurred(strength: float) -> np.ndarray:
        logit = np.log(truth / (1 - truth)) + rng.normal(size=len(truth)) * strength
        return 1 / (1 + np.exp(-logit))

    keys = (
        "pooled_boosting",
        "pooled",
        "federated",
        "personalised",
        "federated_private",
        "local",
        "local_private",
    )
    probabilities = {key: blurred(0.1 * index) for index, key in enumerate(keys)}
    probabilities["local_private"] = blurred(4.0)
    seen = {"server": 0.99} if noise == "local" else {"secure_sum_and_hospitals": 0.99, "masks_failed": 3.2}
    facts = PrivacyFacts(
        mode=NOISE_MODES[noise],
        target_epsilon=1.0,
        delta=1e-5,
        clip_norm=1.0,
        accountant="a test",
        events=(PrivacyEvent(16.7, 1.0, 3),),
        hospital_epsilon=np.full(hospitals, 0.99),
        epsilon_by_adversary={"model": 0.99, **seen},
    )
    fields: dict[str, object] = {
        "study": "example",
        "settings": {"study": "example", "seed": 0, "privacy": {"epsilon": 1.0, "noise": noise}},
        "contract": contract_of_three(),
        "model": ModelSettings(),
        "weights": rng.normal(size=contract_of_three().layout.width),
        "hospitals": ["<script>alert(1)</script>", *(f"hospital {index}" for index in range(1, hospitals))],
        "training_patients": np.array(sizes) * 3,
        "heldout": heldout,
        "probabilities": probabilities,
        "rounds": [RoundRow(round=r, seconds=0.1, epsilon=0.33 * r, auc=0.5 + 0.05 * r) for r in (1, 2, 3)],
        "privacy": facts,
        "seconds": {"data": 1.0, "train": 2.0, "total": 4.0},
        "peak_rss_mb": 300.0,
        "seed": 0,
        "data_fingerprint": "ab" * 32,
        "true_probability": truth,
        "gate": {"consent_missing": 12},
    }
    return Results(**{**fields, **changes})
