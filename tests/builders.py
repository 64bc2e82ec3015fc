"""What many tests build: the small contract, cohorts under any layout, terms of one step, charges.

What one room alone needs stands in that room's ``conftest.py``.
"""

import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.ledger.budget import Charge
from wardround.client.train.check_closed_form import random_cohort
from wardround.protocol.contract.layout import Cross, Field, Layout
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.protocol.wire.signing import new_key

ROOT = Path(__file__).resolve().parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
OPERATOR, OTHER = new_key().public, new_key().public
"""Two operators' keys; nobody in the tests signs by them."""

AGE = {"kind": "numeric", "column": "age", "edges": [20, 40, 60]}
CHANNEL = {"kind": "categorical", "column": "channel", "vocabulary": ["sms", "email"]}
SEX = {"kind": "categorical", "column": "sex", "vocabulary": ["F", "M"]}
PUBLIC = {"consent": {"required": False}}
"""What makes a contract one that asks for no consent."""

_FIELDS = (Field("age", tuple("abc")), Field("sms", tuple("ab")), Field("day", tuple("abcde")))
LAYOUT = Layout(_FIELDS, (Cross(*_FIELDS[:2]),), ("gap", "rate"))
"""Three features, a cross of the first two, and two ranged values."""

RISK_NET = """
import torch
from torch import nn

class RiskNet(nn.Module):
    bend = staticmethod(torch.tanh)

    def __init__(self, layout):
        super().__init__()
        self.first, self.last = nn.Linear(layout.width, 4), nn.Linear(4, 1)

    def forward(self, rows):
        return self.last(self.bend(self.first(rows)))[..., 0]

class OtherBend(RiskNet):
    bend = staticmethod(torch.relu)
"""
"""The source of a user's own module with torch, and of one of the same shapes that computes something else."""


def calls_of(act: Callable[[], object]) -> int:
    """Run ``act``; return how many functions this thread called, Python's and C's.

    A measure of work that no busy machine changes: a loop over rows where arrays should do multiplies it.
    """
    count = 0

    def seen(_frame: object, event: str, _value: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


HOSPITALS = {"north": 100, "south": 300, "west": 600}
"""Hospital → public number of patients, in ``simulated_terms``."""


def small_contract(**changes: Any) -> dict[str, Any]:
    """Give the smallest contract as its file has it; any key may be changed or added."""
    return {
        "name": "small",
        "version": 1,
        "purpose": "engagement",
        "patient": "patient",
        "label": {"column": "opened", "engaged": ["1"], "not_engaged": ["0"]},
        "events_per_patient": 4,
        "features": {"age": AGE},
        **changes,
    }


def visits_contract(**changes: Any) -> dict[str, Any]:
    """Give a contract on visits with times, booked and due, that asks for no consent; any key may be changed."""
    return small_contract(
        **{
            "name": "visits",
            "purpose": "reminders",
            "patient": "id",
            "decided_at": "booked",
            "outcome_at": "due",
            "label": {"column": "came", "engaged": ["1"], "not_engaged": ["0"]},
            "events_per_patient": 3,
            "consent": {"required": False, "basis": "public table"},
            **changes,
        }
    )


def clinics_contract(**changes: Any) -> dict[str, Any]:
    """Give the contract on visits whose columns are those of a clinic's export; any key may be changed or added."""
    return visits_contract(
        **{
            "purpose": "appointment_reminder",
            "patient": "person",
            "decided_at": "sent",
            "outcome_at": "visit_day",
            "label": {"column": "attended", "engaged": ["1"], "not_engaged": ["0"]},
            "events_per_patient": 6,
            "consent": {"required": False, "basis": "service evaluation"},
            **changes,
        }
    )


PLACES = small_contract(
    **PUBLIC,
    hospital="place",
    decided_at="decided_at",
    outcome_at="outcome_at",
    label={"column": "engaged", "engaged": ["1"], "not_engaged": ["0"]},
    features={"link": {"kind": "boolean", "column": "has_link"}},
)
"""A contract of which each row names its hospital, as a table that a researcher brings may."""


def simulated_terms(
    *, noise: str = "local", noise_multiplier: float = 1.0, clip_norm: float = 1.0, **training: Any
) -> Terms:
    """Give terms of the simulated study ``tea`` with ``HOSPITALS``; training settings by keyword."""
    settings = {"public_patients": HOSPITALS, "rounds": 4, "learning_rate": 1.0, **training}
    contract = contract_from_mapping(small_contract(**PUBLIC))
    sums = SecureSumSettings(threshold=3, colluding=1, parameters=contract.layout.width)
    return Terms(
        study="tea",
        contract=contract,
        secure_sum=sums if noise == "secure" else None,
        model=ModelSettings(),
        privacy=PrivacySettings(noise=noise, clip_norm=clip_norm),
        training=TrainingSettings(**settings),
        noise_multiplier=noise_multiplier,
        simulation=True,
    )


def release_to(plan: RoundPlan, vector: Any = None, **changes: Any) -> Release:
    """Give a release that answers this plan: zeros where no vector is given; any field may be changed."""
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


def stream(*parts: str | int) -> Keystream:
    """Give random numbers that are the same in every run."""
    return Keystream(derive_key(*parts))


def cohort_of(
    layout: Layout, patients: Sequence[int], *, events: int = 4, seed: int = 0, engaged: float = 0.5
) -> Cohort:
    """Invent ``patients[h]`` patients at hospital h with 1 to ``events`` events, this share of them engaged."""
    cohort = random_cohort(layout, tuple(patients), events, stream("cohort", seed))
    if engaged != 0.5:
        labels = stream("labels", seed).uniform(cohort.event_count) < engaged
        cohort = replace(cohort, labels=labels.astype(np.float64))
    return cohort


def cohort_with(layout: Layout, events: Sequence[int], *, hospitals: int = 1, seed: int = 0) -> Cohort:
    """Invent patients with exactly these numbers of events, in hospitals of about the same size."""
    cohort = random_cohort(layout, (sum(events),), 1, stream("cohort", seed))
    return replace(
        cohort,
        tokens=cohort.tokens[: len(events)],
        events_from=np.concatenate([[0], np.cumsum(events)]).astype(np.int64),
        patients_from=np.linspace(0, len(events), hospitals + 1).astype(np.int64),
    )


def step_terms(model: ModelSettings | None = None, hospitals: int = 3, **training: Any) -> SimpleNamespace:
    """Give what a step reads of its terms, for hospitals ``h0``, ``h1``, … of 10, 20, … patients."""
    names = {f"h{index}": 10 * (index + 1) for index in range(hospitals)}
    return SimpleNamespace(
        model=model or ModelSettings(),
        privacy=PrivacySettings(clip_norm=0.5),
        training=TrainingSettings(public_patients=names, **training),
        hospital_noise_stddev=lambda round_number: 0.5,
        secure_sum=None,
        precondition=0.0,
        hospitals=tuple(names),
        simulation=True,
    )


def charge_of(round_number: int = 1, **changes: Any) -> Charge:
    """Give the charge of a round of the study ``tea``; any field may be changed."""
    charge = Charge(
        operator=OPERATOR,
        study="tea",
        terms="a" * 64,
        round=round_number,
        weights_digest="b" * 64,
        event=PrivacyEvent(20.0, 1.0, 1),
    )
    return replace(charge, **changes)
