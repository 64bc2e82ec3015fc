"""The synthetic population as a hospital system would export it: text columns, gaps, a few faulty rows."""

from collections.abc import Sequence
from datetime import date, time

import numpy as np
import polars as pl
from numpy.random import Generator

from wardround.protocol.arrays import Floats, Integers
from wardround.simulations.population.effects import (
    CHANNELS,
    EMPLOYMENTS,
    INSURANCES,
    LANGUAGES,
    LENGTHS,
    SEXES,
    TONES,
    TOPICS,
)
from wardround.simulations.population.messages import Messages
from wardround.simulations.population.patients import Patients

PURPOSE = "patient_engagement"
FIRST_DAY = date(2024, 1, 1)  # a Monday


def named(values: Sequence[str], codes: Integers) -> pl.Series:
    """Text of each code; null where it is -1."""
    return pl.Series([*values, None], dtype=pl.String).gather(np.where(codes < 0, len(values), codes))


def rendered(values: Floats, digits: int) -> pl.Series:
    """Numbers as text with so many digits after the point; null where NaN."""
    series = pl.Series(values).fill_nan(None)
    return (series.round(digits) if digits else series.cast(pl.Int64)).cast(pl.String)


def spoilt(rng: Generator, column: pl.Series, texts: Sequence[str], share: float) -> pl.Series:
    """Replace a share of the entries, in turn, by texts that a real export holds."""
    rows = np.flatnonzero(rng.random(len(column)) < share)
    if len(rows) == 0:
        return column
    return column.scatter(rows, named(texts, np.arange(len(rows)) % len(texts)))


def dated(days: Integers) -> pl.Series:
    """ISO dates of days counted from FIRST_DAY; null where negative."""
    epoch = (FIRST_DAY - date(1970, 1, 1)).days
    last = int(days.max(initial=0))
    return named(pl.Series(np.arange(epoch, epoch + last + 1)).cast(pl.Date).cast(pl.String).to_list(), days)


def hospital_names(count: int) -> tuple[str, ...]:
    """hospital_01, hospital_02 …, as wide as their number needs."""
    width = max(2, len(str(count)))
    return tuple(f"hospital_{index:0{width}d}" for index in range(1, count + 1))


def patient_names(patients: Patients) -> pl.Series:
    """P000000 …, unique inside a hospital."""
    return "P" + pl.Series(patients.number).cast(pl.String).str.zfill(6)


def export_patients(rng: Generator, names: Sequence[str], patients: Patients, faulty: float) -> pl.DataFrame:
    """One row per patient."""
    age = rendered(np.where(patients.recorded_age < 0, np.nan, patients.recorded_age.astype(np.float64)), 0)
    steps = rendered(patients.daily_steps, 0)
    return pl.DataFrame(
        {
            "hospital": named(names, patients.hospital),
            "patient": patient_names(patients),
            "age": spoilt(rng, age, ("-1", "199", "unknown", "4 2"), faulty),
            "sex": named(SEXES, patients.sex),
            "language": named(LANGUAGES, patients.language),
            "insurance": named(INSURANCES, patients.insurance),
            "employment": named(EMPLOYMENTS, patients.employment),
            "diabetes": named(("0", "1"), patients.conditions[:, 0]),
            "hypertension": named(("0", "1"), patients.conditions[:, 1]),
            "asthma": named(("0", "1"), patients.conditions[:, 2]),
            "distance_km": spoilt(rng, rendered(patients.distance_km, 1), ("n/a", "-5"), faulty),
            "daily_steps": spoilt(rng, steps, ("12k", "-1"), faulty / 2),
            "resting_heart_rate": rendered(patients.resting_heart_rate, 0),
        }
    )


def log_order(rng: Generator, patients: Patients, messages: Messages, twice: int) -> Integers:
    """Messages in the order of a log: by hospital, then time; so many, at random, are entered twice."""
    count = len(messages.patient)
    rows = np.concatenate([np.arange(count), np.floor(rng.random(twice) * count).astype(np.int64)])
    when = messages.day[rows] * 1440 + messages.minute[rows]
    span = int(when.max(initial=0)) + 1
    # Stable: rows of one minute keep the order in which they were drawn, on every machine.
    return rows[np.argsort(patients.hospital[messages.patient[rows]] * span + when, kind="stable")]


def export_messages(
    rng: Generator,
    names: Sequence[str],
    patients: Patients,
    messages: Messages,
    engaged: Integers,
    propensity: Floats,
    rows: Integers,
    faulty: float,
) -> pl.DataFrame:
    """One row for each of rows, which are positions in messages, engaged and propensity."""
    day, patient = messages.day[rows], messages.patient[rows]
    clock = [time(minute // 60, minute % 60).strftime("T%H:%M:00") for minute in range(1440)]
    decided = dated(day) + named(clock, messages.minute[rows])
    # An outcome dated before its decision: someone typed the day of another message.
    early = (rng.random(len(rows)) < faulty / 4) & (day >= 3)
    outcome = dated(np.where(early, day - 3, messages.outcome_day[rows]))
    return pl.DataFrame(
        {
            "hospital": named(names, patients.hospital[patient]),
            "patient": patient_names(patients).gather(patient),
            "decided_at": spoilt(rng, decided, ("2024-02-30T10:00:00", "not recorded", ""), faulty / 4),
            "outcome_at": spoilt(rng, outcome, ("2024-13-01", "open"), faulty / 4),
            "topic": named(TOPICS, messages.topic[rows]),
            "channel": named(CHANNELS, messages.channel[rows]),
            "tone": named(TONES, messages.tone[rows]),
            "length": named(LENGTHS, messages.length[rows]),
            "has_link": named(("0", "1"), messages.link[rows]),
            # Rounded: the last digits of exp are each machine's own.
            "propensity": pl.Series(propensity[rows]).round_sig_figs(9).cast(pl.String),
            "engaged": spoilt(rng, named(("0", "1"), engaged[rows]), ("", "?"), faulty / 4),
        }
    )
