"""Small terms and honest-looking releases for the server's tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wardround.protocol.contract.contract import contract_from_mapping
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release, RoundPlan, Terms

CONTRACT = {
    "name": "small",
    "version": 1,
    "purpose": "engagement",
    "patient": "patient",
    "label": {"column": "opened", "engaged": ["1"], "not_engaged": ["0"]},
    "events_per_patient": 4,
    "consent": {"required": False},
    "features": {"age": {"kind": "numeric", "column": "age", "edges": [20, 40, 60]}},
}
HOSPITALS = {"north": 100, "south": 300, "west": 600}


def _terms(
    *, noise: str = "local", noise_multiplier: float = 1.0, clip_norm: float = 1.0, **training: Any
) -> Terms:
    training.setdefault("public_patients", HOSPITALS)
    training.setdefault("rounds", 4)
    training.setdefault("learning_rate", 1.0)
    return Terms(
        study="tea",
        contract=contract_from_mapping(CONTRACT),
        model=ModelSettings(),
        privacy=PrivacySettings(noise=noise, clip_norm=clip_norm),
        training=TrainingSettings(**training),
        noise_multiplier=noise_multiplier,
        simulation=True,
    )


def _release(plan: RoundPlan, vector: Any = None, **changes: Any) -> Release:
    fields = {
        "study": plan.study,
        "hospital": plan.hospital,
        "round": plan.round,
        "terms_fingerprint": plan.terms_fingerprint,
        "weights_digest": plan.weights_digest,
        "vector": np.zeros_like(plan.weights) if vector is None else np.asarray(vector, np.float32),
        "ledger_head": f"{plan.round:02d}" + "ab" * 31,
        "simulation": True,
    }
    return Release(**{**fields, **changes})


@pytest.fixture(scope="session")
def make_terms() -> Callable[..., Terms]:
    """Terms of study ``tea`` with three hospitals; training settings by keyword."""
    return _terms


@pytest.fixture(scope="session")
def make_release() -> Callable[..., Release]:
    """The release that answers a plan; any field can be changed by keyword."""
    return _release
