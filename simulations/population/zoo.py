"""Draw one federation of the zoo: hospitals, patients and messages by a row of the design.

The tables are those of any hospital and pass the same gate. Equal row and seed give equal tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

import numpy as np
import polars as pl
from numpy.random import Generator

from wardround.client.connectors.source import Tables
from wardround.protocol.arrays import Floats, Integers
from wardround.simulations.population.effects import TRAIT_SHARES, TRAIT_VALUES, sigmoid
from wardround.simulations.population.export import FIRST_DAY, dated, hospital_names, named
from wardround.simulations.population.messages import draw_days, known_trait, share_out
from wardround.simulations.population.patients import bell, pick, power_law_sizes, stream
from wardround.simulations.population.zoo_design import ZooFederation
from wardround.simulations.population.zoo_fields import CENTRE, ZooField, fields_of
from wardround.simulations.population.zoo_truth import Logit, Recorded, draw_plan

SPAN_DAYS, LONGEST_LEAD = 365, 14
COMMON = 0.3
"""How far all of a patient's values follow one hidden number, so that fields are correlated as real ones are."""
_LOCATION, _TILT, _BASE = 0.4, 0.3, 0.5
"""At shift = 1, standard deviations between hospitals: of values, of main effects, and of the log-odds."""


@dataclass(frozen=True, eq=False)
class DrawnZoo:
    """A federation's tables, each with a column ``hospital``; consents there are none, its contract asks for none.

    true_probability: float64 [messages], row by row, given all that is known before the message. as_of: when the
    study looks at the tables. hospitals: all names, largest first.
    """

    hospitals: tuple[str, ...]
    messages: pl.DataFrame = field(repr=False)
    patients: pl.DataFrame = field(repr=False)
    true_probability: Floats = field(repr=False)
    as_of: datetime

    @property
    def tables(self) -> Tables:
        """The same tables as the gate takes them."""
        return Tables(self.messages, self.patients)


@dataclass(frozen=True, eq=False)
class _Visits:
    """Who has which messages: int64 arrays by message, patient after patient. hospital: int64 [patients]."""

    hospital: Integers
    patient: Integers
    day: Integers
    outcome_day: Integers

    @property
    def hospital_of_event(self) -> Integers:
        """int64 [messages]."""
        return np.asarray(self.hospital[self.patient])


def draw_zoo(federation: ZooFederation, seed: int) -> DrawnZoo:
    """Draw tables and the true probability of every message."""
    streams = _streams(federation, seed)
    visits = _visits(next(streams), federation)
    names = hospital_names(federation.hospitals)
    columns, logit = _columns(streams, federation, visits)
    logit += _BASE * federation.shift * bell(next(streams), federation.hospitals)[visits.hospital_of_event]
    logit += intercept_for(federation.base_rate, logit, federation.trait)
    engaged, probability = _outcomes(next(streams), federation, visits, logit)
    number = pl.Series(_number_within(visits.hospital))
    identity = {"hospital": named(names, visits.hospital), "patient": "P" + number.cast(pl.String)}
    by_message = {name: series.gather(visits.patient) for name, series in identity.items()}
    times = {"sent": dated(visits.day), "due": dated(visits.outcome_day)}
    came = {"came": named(("0", "1"), engaged)}
    as_of = FIRST_DAY + timedelta(days=SPAN_DAYS + LONGEST_LEAD + 2)
    return DrawnZoo(
        hospitals=names,
        messages=pl.DataFrame({**by_message, **times, **came, **columns["messages"]}),
        patients=pl.DataFrame({**identity, **columns["patients"]}),
        true_probability=probability,
        as_of=datetime.combine(as_of, time(), tzinfo=UTC),
    )


def _streams(federation: ZooFederation, seed: int) -> Iterator[Generator]:
    """One generator after another, independent of those of every other federation."""
    part = 0
    while True:
        yield stream(seed, 100_000 * federation.number + part)
        part += 1


def _visits(rng: Generator, federation: ZooFederation) -> _Visits:
    hospitals, patients = federation.hospitals, federation.patients
    sizes = power_law_sizes(
        hospitals, patients, min(4, patients // hospitals), patients, federation.size_exponent
    )
    # Exponential activity, and everybody has one message: some have many times the mean.
    activity = -np.log1p(-rng.random(patients))
    more = share_out(activity, round(patients * (federation.events - 1))) if federation.events > 1 else 0
    patient = np.repeat(np.arange(patients), 1 + more)
    day = draw_days(rng, len(patient), SPAN_DAYS)
    lead = np.floor((LONGEST_LEAD + 1) * rng.random(len(patient)) ** 2).astype(np.int64)
    return _Visits(np.repeat(np.arange(hospitals), sizes), patient, day, day + lead)


def _columns(
    streams: Iterator[Generator], federation: ZooFederation, visits: _Visits
) -> tuple[dict[str, dict[str, pl.Series]], Floats]:
    """Give each table's columns, and the log-odds float64 [messages] of what they hold."""
    logit = Logit(draw_plan(next(streams), federation), np.zeros(len(visits.patient)))
    common = bell(next(streams), federation.patients)
    columns: dict[str, dict[str, pl.Series]] = {"messages": {}, "patients": {}}
    for one in fields_of(federation):
        rng = next(streams)
        rows = np.arange(federation.patients) if one.table == "patients" else visits.patient
        recorded = _recorded(rng, federation, one, visits.hospital[rows], common[rows])
        tilt = 1 + _TILT * federation.shift * bell(rng, federation.hospitals)[visits.hospital_of_event]
        logit.add(rng, one, recorded, visits.patient if one.table == "patients" else None, tilt)
        columns[one.table][one.name] = _exported(one, recorded, federation.skew)
    return columns, logit.total(federation)


def _recorded(
    rng: Generator, federation: ZooFederation, one: ZooField, hospital: Integers, common: Floats
) -> Recorded:
    """Draw a field's values; hospitals differ in their location, and in how often they leave a gap."""
    location = _LOCATION * federation.shift * bell(rng, federation.hospitals)
    z = location[hospital] + COMMON * common + np.sqrt(1 - COMMON**2) * bell(rng, len(hospital))
    gaps = np.minimum(2 * federation.missing * rng.random(federation.hospitals), 0.9)
    gap = rng.random(len(hospital)) < gaps[hospital]
    # Close to the normal distribution function, and the same on every machine.
    codes = (
        np.searchsorted(np.cumsum(word_shares(one.size))[:-1], sigmoid(1.702 * z))
        if one.size
        else np.zeros(0)
    )
    return Recorded(codes.astype(np.int64), np.zeros(0) if one.size else z, gap)


def word_shares(size: int) -> Floats:
    """Shares of words by rank, as words of many are: float64 [size]."""
    shares = (np.arange(size) + 3.0) ** -1.0
    return np.asarray(shares / shares.sum())


def _exported(one: ZooField, recorded: Recorded, skew: float) -> pl.Series:
    if one.kind == "yes_no":
        return named(("0", "1"), np.where(recorded.gap, -1, recorded.codes))
    if one.size:
        return named(one.words, np.where(recorded.gap, -1, recorded.codes))
    return pl.Series(np.where(recorded.gap, np.nan, CENTRE * np.exp(skew * recorded.z))).fill_nan(None)


def intercept_for(rate: float, logit: Floats, trait: float) -> float:
    """Find what to add so that the mean probability is ``rate``, by every so manyth message."""
    # Fifty thousand messages tell the rate to a few thousandths, the design asks for no more.
    some = logit[:: max(1, len(logit) // 50_000), None] + trait * np.asarray(TRAIT_VALUES)
    low, high = -40.0, 40.0
    for _ in range(40):
        middle = (low + high) / 2
        enough = float((sigmoid(some + middle) @ np.asarray(TRAIT_SHARES)).mean()) >= rate
        low, high = (low, middle) if enough else (middle, high)
    return (low + high) / 2


def _outcomes(
    rng: Generator, federation: ZooFederation, visits: _Visits, logit: Floats
) -> tuple[Integers, Floats]:
    """Draw who comes, and how probable that was given all that is known before the message."""
    trait = pick(rng, TRAIT_SHARES, federation.patients)[visits.patient]
    log_odds = logit[:, None] + federation.trait * np.asarray(TRAIT_VALUES)
    engaged = (rng.random(len(logit)) < sigmoid(log_odds[np.arange(len(logit)), trait])).astype(np.int64)
    known = known_trait(visits.patient, visits.day, visits.outcome_day, engaged, log_odds)
    return engaged, np.asarray((known * sigmoid(log_odds)).sum(axis=1))


def _number_within(hospital: Integers) -> Integers:
    """Count patients from 0 in each hospital."""
    return np.asarray(np.arange(len(hospital)) - np.searchsorted(hospital, hospital))
