"""Synthetic hospitals and their patients, as arrays: sizes, shifts between hospitals, demography.

Only uniform draws are used: their stream is fixed for a seed, whatever the machine and the version of
NumPy, which its normal and other draws do not promise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

from simulations.population_effects import (
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
    Codes,
    Reals,
    band,
    effect,
)

LANGUAGE_SHARES = (0.72, 0.20, 0.08)
INSURANCE_SHARES = (0.48, 0.42, 0.10)


@dataclass(frozen=True, eq=False)
class Hospitals:
    """sizes: patients of each hospital. The rest are shifts: base [hospitals], topic [hospitals, topics],
    channel [hospitals, channels] in logits; age in years; mix in logits of the shares of languages and
    insurances.
    """

    sizes: Codes
    base: Reals
    topic: Reals
    channel: Reals
    age: Reals
    mix: Reals


@dataclass(frozen=True, eq=False)
class Patients:
    """True values by patient; recorded_* and codes hold -1 (reals: NaN) where the export has a gap.

    hospital and number (within the hospital) identify. propensity: 0..4, the persistent trait that no
    table holds. logit: what the patient's own recorded values add.
    """

    hospital: Codes
    number: Codes
    age: Codes
    recorded_age: Codes
    sex: Codes
    language: Codes
    insurance: Codes
    employment: Codes
    conditions: Codes
    distance_km: Reals
    daily_steps: Reals
    resting_heart_rate: Reals
    propensity: Codes
    activity: Reals
    logit: Reals


def stream(seed: int, part: int) -> Generator:
    """The generator of one part of the population, independent of the other parts."""
    return Generator(PCG64(SeedSequence([seed, part])))


def bell(rng: Generator, size: int | tuple[int, ...]) -> Reals:
    """Bell-shaped draws with mean 0 and variance 1: the sum of three uniforms, within ±3."""
    return 2.0 * (rng.random(size) + rng.random(size) + rng.random(size) - 1.5)


def pick(rng: Generator, shares: Sequence[float] | Reals, rows: Codes | int) -> Codes:
    """Codes drawn by shares: one row of shares for all, or rows of a table, one row per draw."""
    cumulative = np.cumsum(np.atleast_2d(np.asarray(shares, dtype=np.float64)), axis=1)
    count = rows if isinstance(rows, int) else len(rows)
    uniform, codes = rng.random(count), np.zeros(count, dtype=np.int64)
    for column in range(cumulative.shape[1] - 1):
        edge = cumulative[0, column] if isinstance(rows, int) else cumulative[rows, column]
        codes += uniform >= edge
    return codes


def hide(rng: Generator, codes: Codes, share: float) -> Codes:
    """The same codes with a share of them set to -1, as not recorded."""
    return np.where(rng.random(len(codes)) < share, -1, codes)


def power_law_sizes(hospitals: int, patients: int, smallest: int, largest: int, exponent: float) -> Codes:
    """Patients of each hospital, largest first: rank ** -exponent within [smallest, largest], summing to patients."""
    weights = np.arange(1, hospitals + 1, dtype=np.float64) ** -exponent
    low, high = 0.0, largest / weights[-1]
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(middle * weights, smallest, largest).sum() < patients else (low, middle)
    exact = np.clip(high * weights, smallest, largest)
    sizes = np.floor(exact + 1e-6).astype(np.int64)
    # Rounding down leaves less than one patient per hospital: hand these out where there is room.
    room = np.flatnonzero(sizes < largest)
    sizes[room[: patients - sizes.sum()]] += 1
    return sizes


def draw_hospitals(rng: Generator, sizes: Codes, shift: float) -> Hospitals:
    """How hospitals differ; shift = 0 makes them alike but for their sizes."""
    count = len(sizes)
    return Hospitals(
        sizes=sizes,
        base=0.22 * shift * bell(rng, count),
        topic=0.15 * shift * bell(rng, (count, len(TOPICS))),
        channel=0.15 * shift * bell(rng, (count, len(CHANNELS))),
        age=7.0 * shift * bell(rng, count),
        mix=0.5 * shift * bell(rng, (count, 2)),
    )


def tilted(shares: Sequence[float], tilt: Reals) -> Reals:
    """Shares by hospital: [hospitals, values], the first value's odds multiplied by 2 ** tilt."""
    table = np.tile(np.asarray(shares, dtype=np.float64), (len(tilt), 1))
    table[:, 0] *= np.exp2(tilt)
    return table / table.sum(axis=1, keepdims=True)


def draw_employment(rng: Generator, age: Codes) -> Codes:
    """Codes of EMPLOYMENTS: students while young, retired from the sixties on."""
    uniform = rng.random(len(age))
    working = np.where(uniform < 0.78, 0, 1)
    young = np.where(uniform < 0.45, 3, working)
    old = np.where(uniform < 0.9, 2, 0)
    return np.where(age < 26, young, np.where(age >= 65, old, working))


def draw_patients(rng: Generator, hospitals: Hospitals, missing: float, unfairness: float) -> Patients:
    """Draw every hospital's patients at once; missing is the mean share of gaps in a column."""
    hospital = np.repeat(np.arange(len(hospitals.sizes)), hospitals.sizes)
    count = len(hospital)
    number = np.arange(count) - np.repeat(np.cumsum(hospitals.sizes) - hospitals.sizes, hospitals.sizes)
    age = np.clip(np.rint(51 + hospitals.age[hospital] + 19 * bell(rng, count)), 16, 99).astype(np.int64)
    sex = pick(rng, (0.56, 0.44), count)
    language = pick(rng, tilted(LANGUAGE_SHARES, hospitals.mix[:, 0]), hospital)
    insurance = pick(rng, tilted(INSURANCE_SHARES, hospitals.mix[:, 1]), hospital)
    risk = np.clip((age - 20) / 100, 0.02, 0.6)
    conditions = np.stack([rng.random(count) < share for share in (0.5 * risk, risk, np.full(count, 0.1))], axis=1)
    distance_km = np.rint(10 * 6.0 * rng.random(count) / (0.12 + rng.random(count))) / 10
    wears = rng.random(count) < np.clip(0.55 - 0.004 * (age - 40), 0.1, 0.6)
    steps = np.rint(np.clip(7500 - 60 * (age - 50) + 2600 * bell(rng, count), 300, 25000))
    pulse = np.rint(70 + 8 * bell(rng, count))
    employment = hide(rng, draw_employment(rng, age), 1.5 * missing)
    recorded_age, language = hide(rng, age, 0.5 * missing), hide(rng, language, missing)
    insurance = hide(rng, insurance, missing)
    distance_km = np.where(rng.random(count) < missing, np.nan, distance_km)
    propensity = pick(rng, (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16), count)
    activity = -np.log1p(-rng.random(count))
    steps = np.where(wears, steps, np.nan)
    logit = (
        effect(AGE_EFFECT, band(recorded_age, AGE_EDGES))
        + effect(SEX_EFFECT, sex)
        + effect(LANGUAGE_EFFECT, language)
        + effect(INSURANCE_EFFECT, insurance)
        + effect(EMPLOYMENT_EFFECT, employment)
        + conditions @ np.full(3, CONDITION_EFFECT[1])
        + effect(DISTANCE_EFFECT, band(distance_km, DISTANCE_EDGES))
        + effect(STEP_EFFECT, band(steps, STEP_EDGES))
        - unfairness * (language > 0)
    )
    return Patients(
        hospital=hospital,
        number=number,
        age=age,
        recorded_age=recorded_age,
        sex=sex,
        language=language,
        insurance=insurance,
        employment=employment,
        conditions=conditions.astype(np.int64),
        distance_km=distance_km,
        daily_steps=steps,
        resting_heart_rate=np.where(wears, pulse, np.nan),
        propensity=propensity,
        activity=activity,
        logit=logit,
    )
