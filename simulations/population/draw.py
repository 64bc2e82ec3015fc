"""The synthetic federation: hospitals, patients, messages and consents as a real export holds them.

The true probability of engagement is known, so that a report can show the best AUC that any model could
reach; it stands beside the tables, never in them. Same seed, same tables, on every machine.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

import numpy as np
import polars as pl

from wardround.client.connectors.source import Tables
from wardround.protocol.arrays import Floats
from wardround.protocol.errors import require
from wardround.simulations.population.assignment import (
    OBSERVATIONAL,
    RANDOM,
    chance_at_random,
    choose_by_belief,
)
from wardround.simulations.population.consents import draw_consents
from wardround.simulations.population.export import (
    FIRST_DAY,
    export_messages,
    export_patients,
    hospital_names,
    log_order,
)
from wardround.simulations.population.messages import (
    LONGEST_LEAD_DAYS,
    draw_messages,
    draw_outcomes,
    message_logit,
)
from wardround.simulations.population.patients import draw_hospitals, draw_patients, power_law_sizes, stream
from wardround.simulations.population.tastes import taste_logit
from wardround.simulations.population.truth import Truth


@dataclass(frozen=True, kw_only=True)
class PopulationSettings:
    """Sizes and character of a synthetic federation.

    Hospital sizes fall as rank ** -size_exponent between smallest and largest; 0 makes them equal.
    hospital_shift scales all differences between hospitals (0: none). trait_stddev is that of the
    patient's lasting tendency, in logits. missing_share and faulty_share are shares of entries and
    of rows. unfairness is a planted fault: logits by which the engagement of patients whose language is
    not English is recorded too low. habit and tastes scale what patients answer by habit and like in a message
    (``habits``, ``tastes``). assignment: messages chosen at random, or by staff (``assignment``).
    """

    hospitals: int = 20
    patients: int = 60_000
    messages: int = 250_000
    smallest: int = 200
    largest: int = 20_000
    size_exponent: float = 1.5
    span_days: int = 548
    hospital_shift: float = 1.0
    trait_stddev: float = 0.6
    missing_share: float = 0.02
    faulty_share: float = 0.004
    unfairness: float = 0.0
    habit: float = 0.0
    tastes: float = 0.0
    assignment: str = RANDOM

    def __post_init__(self) -> None:
        """Check ranges, and that the sizes add up."""
        for key, low, high in (
            ("hospitals", 1, 100_000),
            ("patients", 1, 10_000_000),
            ("messages", 1, 50_000_000),
            ("smallest", 1, self.largest),
            ("size_exponent", 0, 4),
            ("span_days", 30, 3650),
            ("hospital_shift", 0, 5),
            ("trait_stddev", 0, 5),
            ("missing_share", 0, 0.3),
            ("faulty_share", 0, 0.3),
            ("unfairness", -5, 5),
            ("habit", 0, 5),
            ("tastes", 0, 5),
        ):
            value = getattr(self, key)
            require(low <= value <= high, f"data.{key}", value, f"must be from {low} to {high}")
        known = (RANDOM, OBSERVATIONAL)
        require(
            self.assignment in known, "data.assignment", self.assignment, f"must be among {', '.join(known)}"
        )
        low, high = self.smallest * self.hospitals, self.largest * self.hospitals
        require(
            low <= self.patients <= high,
            "data.patients",
            self.patients,
            f"must be from {low} to {high} (data.smallest and data.largest times {self.hospitals} hospitals)",
        )

    @property
    def last_day(self) -> int:
        """Days from the first to the one on which the study looks at the tables."""
        return self.span_days + LONGEST_LEAD_DAYS + 1

    @property
    def as_of(self) -> datetime:
        """When the study looks at the tables: every outcome is known by then."""
        return datetime.combine(FIRST_DAY + timedelta(days=self.last_day), time(), tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Population:
    """Whole-federation tables, each with a column ``hospital``; all other columns are text as exported.

    true_probability: float64 [messages], row by row, of engagement given everything that the tables hold
    before the message is decided (the patient's earlier outcomes included). as_of: when the study looks at
    the tables; every outcome is known by then. hospitals: all names, largest first. truth: what another message
    would have done; beside the tables, too.
    """

    hospitals: tuple[str, ...]
    messages: pl.DataFrame = field(repr=False)
    patients: pl.DataFrame = field(repr=False)
    consents: pl.DataFrame = field(repr=False)
    true_probability: Floats = field(repr=False)
    as_of: datetime
    truth: Truth = field(repr=False)

    @property
    def tables(self) -> Tables:
        """The same tables as the gate takes them."""
        return Tables(self.messages, self.patients, self.consents)


def draw_population(settings: PopulationSettings, seed: int) -> Population:
    """Draw a federation. Guarantee: equal settings and seed give equal tables on every machine."""
    require(0 <= seed < 2**63, "seed", seed, "must be a whole number from 0 to 2**63 - 1")
    sizes = power_law_sizes(
        settings.hospitals, settings.patients, settings.smallest, settings.largest, settings.size_exponent
    )
    names = hospital_names(settings.hospitals)
    hospitals = draw_hospitals(stream(seed, 0), sizes, settings.hospital_shift)
    patients = draw_patients(stream(seed, 1), hospitals, settings.missing_share)
    # Rows entered twice are some of the faulty ones; the table has settings.messages rows with them.
    twice = int(settings.messages * settings.faulty_share / 2)
    messages = draw_messages(stream(seed, 2), patients, settings.messages - twice, settings.span_days)
    propensity = chance_at_random(messages)
    if settings.assignment == OBSERVATIONAL:
        messages, propensity = choose_by_belief(stream(seed, 8), patients, messages)
    logit = message_logit(hospitals, patients, messages)
    # Before outcomes are drawn: a fault of what is recorded, so the true probability has it, too.
    shift: Floats = np.asarray(-settings.unfairness * (patients.language > 0)[messages.patient], np.float64)
    logit += shift
    if settings.tastes:
        logit += settings.tastes * taste_logit(patients, messages)
    outcomes = draw_outcomes(
        stream(seed, 3), logit, patients, messages, settings.trait_stddev, settings.habit
    )
    rows = log_order(stream(seed, 4), patients, messages, twice)
    faulty = settings.faulty_share
    return Population(
        hospitals=names,
        messages=export_messages(
            stream(seed, 5), names, patients, messages, outcomes.engaged, propensity, rows, faulty
        ),
        patients=export_patients(stream(seed, 6), names, patients, faulty),
        consents=draw_consents(stream(seed, 7), names, patients, settings.last_day),
        true_probability=outcomes.probability[rows],
        as_of=settings.as_of,
        truth=Truth(
            hospitals=hospitals,
            patients=patients,
            messages=messages,
            rows=rows,
            trait=outcomes.trait,
            habit=outcomes.habit,
            shift=shift,
            tastes=settings.tastes,
            trait_stddev=settings.trait_stddev,
        ),
    )
