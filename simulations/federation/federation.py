"""A whole federation on one machine: tables → gate → features once, then wards for its hospitals.

Every hospital's patients pass the same gate as in a real study, all hospitals at once. The split into
training and held-out patients and all noise come from the seed, which is what makes this a simulation.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from wardround.client.cohort import Cohort, concatenate
from wardround.client.connectors import parsing
from wardround.client.connectors.readable import check_types
from wardround.client.connectors.source import Tables
from wardround.client.connectors.timestamps import instant_of
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.ledger.port import MemoryLedger
from wardround.client.policy.policy import simulation_policy
from wardround.client.round.simulated import simulated_stream
from wardround.client.round.ward import Ward
from wardround.conf.settings import DataSettings
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError, TableError
from wardround.protocol.privacy.randomness import derive_key
from wardround.protocol.terms.terms import Terms

OPERATOR = "simulation"
"""Whose studies a simulated ledger records: nobody signs them."""
UNDATED = datetime(2000, 1, 1, tzinfo=UTC)
"""Today, for tables whose events have no time."""
LOOKED_AT = "two days after the last outcome"
"""Today, for a table whose events have times."""


@dataclass(frozen=True, eq=False)
class Federation:
    """Hospitals with their patients, encoded.

    training and heldout hold hospital after hospital, in the order of ``hospitals``. true_probability:
    float64 [held-out events], None where the truth is unknown. counts: what the gate set aside, by reason.
    how_read: how the cells of each table of one's own are read, in words.
    """

    contract: Contract
    hospitals: tuple[str, ...]
    training: Cohort
    heldout: Cohort
    seed: int
    as_of: datetime
    data_fingerprint: str
    true_probability: Floats | None = field(default=None, repr=False)
    counts: Mapping[str, int] = field(default_factory=dict)
    how_read: Mapping[str, str] = field(default_factory=dict)

    @property
    def training_patients(self) -> Integers:
        """int64 [hospitals], true counts: for simulations and their reports only."""
        return np.diff(self.training.patients_from)

    def public_patients(self, declared: Mapping[str, int]) -> dict[str, int]:
        """Give each hospital's declared number of training patients; by default the true one to one digit.

        ConfigurationError where declared names a hospital that is not there, or leaves one out.
        """
        if not declared:
            return {
                name: one_digit(int(count))
                for name, count in zip(self.hospitals, self.training_patients, strict=True)
            }
        for name in sorted(set(declared) ^ set(self.hospitals)):
            known = (
                "is not a hospital of these tables"
                if name in declared
                else "is missing: declare every hospital"
            )
            raise ConfigurationError(f"training.public_patients.{name}: {known}")
        return {name: declared[name] for name in self.hospitals}

    def wards(self, terms: Terms) -> list[Ward]:
        """Give every hospital a policy, an empty ledger, a standing clock and its own seeded noise."""
        heldout = terms.evaluation.epsilon if terms.evaluation else 0.0
        # The ledger composes anew: its last digits must not refuse the last round of terms that hit their ε exactly.
        budget = max(terms.privacy.epsilon, heldout) * (1 + 1e-9)
        policy = simulation_policy(terms.privacy.delta, budget)
        return [
            Ward(name, policy, MemoryLedger(), lambda: self.as_of, simulated_stream(self.seed, name))
            for name in self.hospitals
        ]

    def admit(self, wards: Sequence[Ward], terms: Terms) -> Cohort:
        """Give the training patients of these wards; the gate was passed when the federation was made."""
        return self._of(self.training, wards)

    def admit_heldout(self, wards: Sequence[Ward], terms: Terms) -> Cohort:
        """Give the held-out patients of these wards."""
        return self._of(self.heldout, wards)

    def _of(self, cohort: Cohort, wards: Sequence[Ward]) -> Cohort:
        if len(wards) == len(self.hospitals):
            return cohort
        place = {name: index for index, name in enumerate(self.hospitals)}
        return concatenate([cohort.hospital(place[ward.hospital]) for ward in wards])


def one_digit(count: int) -> int:
    """Round to one significant digit, at least 1: 7,717 → 8,000."""
    if count < 1:
        return 1
    unit = 10.0 ** int(math.log10(count))
    return max(1, int(round(count / unit) * unit))


def load_federation(data: DataSettings, contract: Contract, seed: int) -> Federation:
    """Draw or read the tables that ``data`` names, and pass them through the gate.

    TableError where a file, a column or every eligible patient is missing, a column is of the wrong type,
    or the labels have one class.
    """
    if data.name == "synthetic":
        return _synthetic(data, contract, seed)
    from wardround.simulations.federation.datasets import read_heart, read_noshow
    from wardround.simulations.federation.own_table import read_own_tables

    path = data.path
    if data.name == "own":
        from wardround.simulations.federation.own_data import read_own

        dataset = read_own(data.source, contract, seed)
    elif path is None:
        raise ConfigurationError(f"data.path=null: data={data.name} needs a path")
    elif data.name == "table":
        dataset = read_own_tables(data, contract)
    else:
        dataset = read_noshow(path) if data.name == "noshow" else read_heart(path)
    as_of = day_after_last(dataset.tables, contract)
    counts = {**dataset.set_aside, **dataset.faults}
    found = through_gate(dataset.tables, contract, dataset.hospitals, seed, as_of, counts)
    return replace(found, how_read=dataset.how_read)


def _synthetic(data: DataSettings, contract: Contract, seed: int) -> Federation:
    from wardround.conf.compose import build
    from wardround.simulations.population.draw import PopulationSettings, draw_population

    drawn = draw_population(build(PopulationSettings, data.population, "data"), seed)
    tables = Tables(drawn.messages, drawn.patients, drawn.consents)
    return through_gate(tables, contract, drawn.hospitals, seed, drawn.as_of, {}, drawn.true_probability)


def through_gate(
    tables: Tables,
    contract: Contract,
    hospitals: Sequence[str],
    seed: int,
    as_of: datetime,
    counts: Mapping[str, int],
    true_probability: Floats | None = None,
) -> Federation:
    """Pass tables with an extra column ``hospital`` through the gate, all hospitals at once, and encode them."""
    check_types(tables, contract)
    admitted = admit(tables, contract, derive_key("split", seed), as_of)
    training = encode(admitted.training, contract, hospitals)
    heldout = encode(admitted.heldout, contract, hospitals)
    _check_learnable(training, heldout, contract)
    return Federation(
        contract=contract,
        hospitals=tuple(hospitals),
        training=training,
        heldout=heldout,
        seed=seed,
        as_of=as_of,
        data_fingerprint=_fingerprint(training, heldout),
        true_probability=None if true_probability is None else true_probability[heldout.rows],
        counts=_added(counts, admitted.counts),
    )


def _added(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    """Count by reason over both: damaged rows leave before the gate, which knows the reason too."""
    return {reason: first.get(reason, 0) + second.get(reason, 0) for reason in (*first, *second)}


def day_after_last(tables: Tables, contract: Contract) -> datetime:
    """Two days after the last outcome: today in a simulation, when every outcome is known."""
    if contract.outcome_at is None:
        return UNDATED
    messages, form = tables.messages.lazy(), tables.format("messages")
    column = contract.outcome_at
    timestamp = parsing.instant(column, messages.collect_schema()[column], form, tables.timezone)
    last = messages.select(timestamp.max()).collect().item()
    # An outcome is known from the day after it, in the hospital's own time zone: two days pass, whatever its hour.
    return UNDATED if last is None else instant_of(last, tables.timezone) + timedelta(days=2)


def _check_learnable(training: Cohort, heldout: Cohort, contract: Contract) -> None:
    for cohort, name in ((training, "training"), (heldout, "held-out")):
        if not cohort.patient_count:
            raise TableError(
                f"no eligible {name} patient in the whole federation: contract {contract.name} admits nobody "
                "(look at purpose, consents, dates and label)"
            )
        if cohort.labels.min() == cohort.labels.max():
            raise TableError(
                f"only one class among the {name} events of the whole federation: column "
                f"{contract.label.column} must hold both engaged and not engaged"
            )


def _fingerprint(*cohorts: Cohort) -> str:
    digest = hashlib.sha256()
    for cohort in cohorts:
        for array in (cohort.bins, cohort.values, cohort.labels, cohort.events_from, cohort.patients_from):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
