"""Synthetic hospitals and their patients, as arrays: sizes, shifts between hospitals, demography.

Only uniform draws are used: their stream is fixed for a seed, whatever the machine and the version of
NumPy, which its normal and other draws do not promise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

from wardround.protocol.arrays import Floats, Integers
from wardround.simulations.population.effects import (
    AGE_EDGES,
    AGE_EFFECT,
    CHANNELS,
    CONDITION_EFFECT,
    DISTANCE_EDGES,
    DISTANCE_EFFECT,
    EMPLOYMENT_EFFECT,
    INSURANCE_EFFECT,
    LANGUAGE_EFFECT,
    SEX_EFFECT,
    STEP_EDGES,
    STEP_EFFECT,
    TOPICS,
    TRAIT_SHARES,
    band,
    effect,
)

LANGUAGE_SHARES = (0.72, 0.20, 0.08)
INSURANCE_SHARES = (0.48, 0.42, 0.10)


@dataclass(frozen=True, eq=False)
class Hospitals:
    """How many patients each hospital has, and how it differs from the others.

    base [hospitals], topic [hospitals, topics] and channel [hospitals, channels]: shifts in logits. age:
    shift in years. mix [hospitals, 2]: tilt of the shares of languages and of insurances.
    """

    sizes: Integers
    base: Floats
    topic: Floats
    channel: Floats
    age: Floats
    mix: Floats


@dataclass(frozen=True, eq=False)
class Patients:
    """By patient, hospital after hospital; number counts within the hospital.

    age, sex, employment … : int64; -1 (reals: NaN) where the export has a gap. age is the true one and
    recorded_age may have a gap. conditions: [patients, 3], 0 or 1: diabetes, hypertension, asthma. trait:
    0..4, the lasting tendency that no table holds. activity: messages are sent in proportion to it.
    """

    hospital: Integers
    number: Integers
    age: Integers
    recorded_age: Integers
    sex: Integers
    language: Integers
    insurance: Integers
    employment: Integers
    conditions: Integers
    distance_km: Floats
    daily_steps: Floats
    resting_heart_rate: Floats
    trait: Integers
    activity: Floats


def stream(seed: int, part: int) -> Generator:
    """Give the generator of one part of the population, independent of the other parts."""
    return Generator(PCG64(SeedSequence([seed, part])))


def bell(rng: Generator, size: int | tuple[int, ...]) -> Floats:
    """Bell-shaped draws with mean 0 and variance 1: the sum of three uniforms, within ±3."""
    # A uniform has variance 1/12: three of them 1/4, doubled 1.
    return 2.0 * (rng.random(size) + rng.random(size) + rng.random(size) - 1.5)


def pick(rng: Generator, shares: Sequence[float] | Floats, rows: Integers | int) -> Integers:
    """Integers drawn by shares: one row of shares for all, or rows of a table, one row per draw."""
    cumulative = np.cumsum(np.atleast_2d(np.asarray(shares, dtype=np.float64)), axis=1)
    count = rows if isinstance(rows, int) else len(rows)
    uniform, codes = rng.random(count), np.zeros(count, dtype=np.int64)
    for column in range(cumulative.shape[1] - 1):
        edge = cumulative[0, column] if isinstance(rows, int) else cumulative[rows, column]
        codes += uniform >= edge
    return codes


def hide(rng: Generator, codes: Integers, share: float) -> Integers:
    """Set a share of the codes to -1, as not recorded."""
    return np.where(rng.random(len(codes)) < share, -1, codes)


def power_law_sizes(hospitals: int, patients: int, smallest: int, largest: int, exponent: float) -> Integers:
    """Share patients out, largest hospital first, as rank ** -exponent within [smallest, largest]."""
    weights = np.arange(1, hospitals + 1, dtype=np.float64) ** -exponent
    low, high = 0.0, largest / weights[-1]
    for _ in range(100):
        middle = (low + high) / 2
        enough = np.clip(middle * weights, smallest, largest).sum() >= patients
        low, high = (low, middle) if enough else (middle, high)
    exact = np.clip(high * weights, smallest, largest)
    # 1e-6: where patients divide evenly the bisection may end a hair below the whole number.
    sizes: Integers = np.floor(exact + 1e-6).astype(np.int64)
    # Rounding down leaves less than one patient per hospital: hand these out where there is room.
    room = np.flatnonzero(sizes < largest)
    sizes[room[: patients - int(sizes.sum())]] += 1
    return sizes


def draw_hospitals(rng: Generator, sizes: Integers, shift: float) -> Hospitals:
    """How hospitals differ; shift = 0 makes them alike but for their sizes."""
    count = len(sizes)
    return Hospitals(
        sizes=sizes,
        base=0.15 * shift * bell(rng, count),
        topic=0.12 * shift * bell(rng, (count, len(TOPICS))),
        channel=0.12 * shift * bell(rng, (count, len(CHANNELS))),
        age=7.0 * shift * bell(rng, count),
        mix=0.5 * shift * bell(rng, (count, 2)),
    )


def tilted(shares: Sequence[float], tilt: Floats) -> Floats:
    """Shares by hospital: [hospitals, values], the first value's odds multiplied by 2 ** tilt."""
    table = np.tile(np.asarray(shares, dtype=np.float64), (len(tilt), 1))
    table[:, 0] *= np.exp2(tilt)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def draw_employment(rng: Generator, age: Integers) -> Integers:
    """Integers of EMPLOYMENTS: students while young, retired from the sixties on."""
    uniform = rng.random(len(age))
    working = np.where(uniform < 0.78, 0, 1)
    young = np.where(uniform < 0.45, 3, working)
    old = np.where(uniform < 0.9, 2, 0)
    return np.where(age < 26, young, np.where(age >= 65, old, working))


def draw_conditions(rng: Generator, age: Integers) -> Integers:
    """Diabetes and hypertension, more frequent with age, and asthma: int64 [patients, 3], 0 or 1."""
    risk = np.clip((age - 20) / 100, 0.02, 0.6)
    shares = np.stack([0.5 * risk, risk, np.full(len(age), 0.1)], axis=1)
    return (rng.random(shares.shape) < shares).astype(np.int64)


def draw_wearables(rng: Generator, age: Integers) -> tuple[Floats, Floats]:
    """Daily steps and resting heart rate; NaN for who wears nothing, as most of the old."""
    wears = rng.random(len(age)) < np.clip(0.55 - 0.004 * (age - 40), 0.1, 0.6)
    steps = np.rint(np.clip(7500 - 60 * (age - 50) + 2600 * bell(rng, len(age)), 300, 25000))
    pulse = np.rint(70 + 8 * bell(rng, len(age)))
    return np.where(wears, steps, np.nan), np.where(wears, pulse, np.nan)


def draw_patients(rng: Generator, hospitals: Hospitals, missing: float) -> Patients:
    """Draw every hospital's patients at once; missing is the usual share of gaps in a column."""
    hospital = np.repeat(np.arange(len(hospitals.sizes)), hospitals.sizes)
    count = len(hospital)
    age = np.clip(np.rint(51 + hospitals.age[hospital] + 19 * bell(rng, count)), 16, 99).astype(np.int64)
    uniform = rng.random(count)
    distance_km = np.rint(60 * uniform / (0.12 + rng.random(count))) / 10
    steps, pulse = draw_wearables(rng, age)
    return Patients(
        hospital=hospital,
        number=np.arange(count) - np.repeat(np.cumsum(hospitals.sizes) - hospitals.sizes, hospitals.sizes),
        age=age,
        recorded_age=hide(rng, age, 0.5 * missing),
        sex=pick(rng, (0.56, 0.44), count),
        language=hide(rng, pick(rng, tilted(LANGUAGE_SHARES, hospitals.mix[:, 0]), hospital), missing),
        insurance=hide(rng, pick(rng, tilted(INSURANCE_SHARES, hospitals.mix[:, 1]), hospital), missing),
        employment=hide(rng, draw_employment(rng, age), 1.5 * missing),
        conditions=draw_conditions(rng, age),
        distance_km=np.where(rng.random(count) < missing, np.nan, distance_km),
        daily_steps=steps,
        resting_heart_rate=pulse,
        trait=pick(rng, TRAIT_SHARES, count),
        activity=-np.log1p(-rng.random(count)),  # exponential, by inversion: from a uniform alone
    )


def patient_logit(patients: Patients) -> Floats:
    """Add up what a patient's recorded values do to the log-odds of engaging: float64 [patients]."""
    return np.asarray(
        effect(AGE_EFFECT, band(patients.recorded_age, AGE_EDGES))
        + effect(SEX_EFFECT, patients.sex)
        + effect(LANGUAGE_EFFECT, patients.language)
        + effect(INSURANCE_EFFECT, patients.insurance)
        + effect(EMPLOYMENT_EFFECT, patients.employment)
        + effect(CONDITION_EFFECT, patients.conditions).sum(axis=1)
        + effect(DISTANCE_EFFECT, band(patients.distance_km, DISTANCE_EDGES))
        + effect(STEP_EFFECT, band(patients.daily_steps, STEP_EDGES))
    )
