"""Admitted patients as arrays: the only form in which patients reach the mathematics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wardround.protocol.arrays import Booleans, Floats, Floats32, Integers, Integers32
from wardround.protocol.contract.layout import Layout


# eq=False: told apart by identity, as what is prepared of a cohort is kept by it (`train.prepared`).
@dataclass(frozen=True, eq=False)
class Cohort:
    """Patients of one or more hospitals; events ragged by patient, patients ragged by hospital.

    bins: int32 [events, fields], each within its field's size. values: float32 [events, ranged], in
    [-1, 1]. labels: float64 [events], 0 or 1. rows: int64 [events], position in the source table, for
    writing scores back. known: bool [events], the patient had history at the event.
    tokens: uint8 [patients, 16], keyed hashes of identifiers. events_from: int64 [patients + 1], patient
    i owns events events_from[i]:events_from[i + 1]. patients_from: int64 [hospitals + 1], likewise. arms: int32
    [events], place of the patient's arm among the contract's words; None where the contract names no arms. importance:
    float64 [events], what an event counts in training beside others, in (0, 1], by its propensity
    (``protocol.contract.propensity``); None where the contract names none: all count 1.
    """

    bins: Integers32
    values: Floats32
    labels: Floats
    rows: Integers
    known: Booleans
    tokens: NDArray[np.uint8]
    events_from: Integers
    patients_from: Integers
    arms: Integers32 | None = None
    importance: Floats | None = None

    def __repr__(self) -> str:
        """Show sizes, never contents."""
        return f"Cohort(hospitals={self.hospital_count})"

    @property
    def event_count(self) -> int:
        """Events over all patients."""
        return len(self.labels)

    @property
    def patient_count(self) -> int:
        """Patients over all hospitals."""
        return len(self.tokens)

    @property
    def hospital_count(self) -> int:
        """Hospitals, those without a patient included."""
        return len(self.patients_from) - 1

    @property
    def events_per_patient(self) -> Integers:
        """int64 [patients]."""
        return np.diff(self.events_from)

    @property
    def event_shares(self) -> Floats:
        """float64 [events], what an event counts in its patient's training loss; a patient's add up to at most 1.

        One over the patient's number of events, times the event's importance.
        """
        counts = self.events_per_patient
        shares = np.repeat(1.0 / np.maximum(counts, 1), counts)
        return shares if self.importance is None else shares * self.importance

    @property
    def patient_of_event(self) -> Integers:
        """int64 [events], index of the patient who owns each event."""
        return np.repeat(np.arange(self.patient_count), self.events_per_patient)

    @property
    def hospital_of_patient(self) -> Integers:
        """int64 [patients], index of each patient's hospital."""
        return np.repeat(np.arange(self.hospital_count), np.diff(self.patients_from))

    def take(self, patients: Integers) -> "Cohort":
        """Keep the patients with these ascending indices; hospitals stay, though some may be empty."""
        counts = self.events_per_patient[patients]
        events_from = np.concatenate([[0], np.cumsum(counts)])
        events = np.repeat(self.events_from[patients] - events_from[:-1], counts) + np.arange(events_from[-1])
        return Cohort(
            bins=self.bins[events],
            values=self.values[events],
            labels=self.labels[events],
            rows=self.rows[events],
            known=self.known[events],
            tokens=self.tokens[patients],
            events_from=events_from,
            patients_from=np.searchsorted(patients, self.patients_from),
            arms=None if self.arms is None else self.arms[events],
            importance=None if self.importance is None else self.importance[events],
        )

    def hospital(self, index: int) -> "Cohort":
        """One hospital's part, as views."""
        first, last = self.patients_from[index : index + 2]
        start, stop = self.events_from[[first, last]]
        return Cohort(
            bins=self.bins[start:stop],
            values=self.values[start:stop],
            labels=self.labels[start:stop],
            rows=self.rows[start:stop],
            known=self.known[start:stop],
            tokens=self.tokens[first:last],
            events_from=self.events_from[first : last + 1] - start,
            patients_from=np.array([0, last - first]),
            arms=None if self.arms is None else self.arms[start:stop],
            importance=None if self.importance is None else self.importance[start:stop],
        )

    def pooled(self) -> "Cohort":
        """The same patients as if of one hospital (simulation baselines only)."""
        return replace(self, patients_from=np.array([0, self.patient_count]))


def concatenate(cohorts: Sequence[Cohort]) -> Cohort:
    """Join cohorts of the same layout, hospital after hospital."""
    if len(cohorts) == 1:
        return cohorts[0]

    def chain(starts: Sequence[Integers]) -> Integers:
        ends = np.cumsum([0, *(part[-1] for part in starts)])
        return np.concatenate([[0], *(part[1:] + end for part, end in zip(starts, ends[:-1], strict=True))])

    arms = [c.arms for c in cohorts if c.arms is not None]
    importance = [c.importance for c in cohorts if c.importance is not None]
    return Cohort(
        bins=np.concatenate([c.bins for c in cohorts]),
        values=np.concatenate([c.values for c in cohorts]),
        labels=np.concatenate([c.labels for c in cohorts]),
        rows=np.concatenate([c.rows for c in cohorts]),
        known=np.concatenate([c.known for c in cohorts]),
        tokens=np.concatenate([c.tokens for c in cohorts]),
        events_from=chain([c.events_from for c in cohorts]),
        patients_from=chain([c.patients_from for c in cohorts]),
        arms=np.concatenate(arms) if len(arms) == len(cohorts) else None,
        importance=np.concatenate(importance) if len(importance) == len(cohorts) else None,
    )


def no_patients(layout: Layout, hospitals: int) -> Cohort:
    """Give the cohort of hospitals that have nobody to learn from, in whatever arms, drawn by whatever chance."""
    return Cohort(
        bins=np.empty((0, len(layout.features)), np.int32),
        values=np.empty((0, len(layout.values)), np.float32),
        labels=np.empty(0),
        rows=np.empty(0, np.int64),
        known=np.empty(0, np.bool_),
        tokens=np.empty((0, 16), np.uint8),
        events_from=np.zeros(1, np.int64),
        patients_from=np.zeros(hospitals + 1, np.int64),
        arms=np.empty(0, np.int32),
        importance=np.empty(0),
    )
