"""Small federations whose truth is known, for the tests of baselines, summary and report."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from client.cohort import Cohort
from protocol.layout import Field, Layout


@dataclass(frozen=True, eq=False)
class Small:
    """A layout with one cross and one ranged value, a cohort under it, and each event's true probability."""

    layout: Layout
    cohort: Cohort
    truth: np.ndarray


def small_layout() -> Layout:
    age = Field("age", ("under 40", "40 or more", "missing"))
    channel = Field("channel", ("sms", "phone", "other"))
    cross = Field("age × channel", tuple(f"{a}{b}" for a in "012" for b in "012"), ("age", "channel"))
    return Layout(features=(age, channel), crosses=(cross,), values=("lead_days",))


@pytest.fixture
def small() -> Callable[..., Small]:
    """``small(patients_per_hospital, seed)``: hospitals of these sizes, 1 to 4 events per patient."""

    def make(patients_per_hospital: list[int], seed: int = 0) -> Small:
        rng = np.random.default_rng(seed)
        patients = sum(patients_per_hospital)
        events_per_patient = rng.integers(1, 5, patients)
        events = int(events_per_patient.sum())
        bins = rng.integers(0, 3, (events, 2)).astype(np.int32)
        values = rng.uniform(-1, 1, (events, 1)).astype(np.float32)
        effects = np.array([[0.9, 0.0, -0.9], [-0.6, 0.1, 0.6], [0.0, 0.3, 0.0]])
        truth = 1 / (1 + np.exp(-(effects[bins[:, 0], bins[:, 1]] + values[:, 0] - 0.4)))
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
        return Small(small_layout(), cohort, truth)

    return make
