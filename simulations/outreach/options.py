"""The messages that could have been sent in the place of one: every channel, tone, length, link and hour, one topic.

Held-out patients alone: one moment of each, the last at which a message of theirs was decided. The topic and the day
stay, as a trigger fixes them. What the patient did before is read by the gate and the feature code, once for each
channel, since a history by the same channel differs with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import polars as pl

from wardround.client.cohort import Cohort
from wardround.client.connectors.source import Tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.protocol.arrays import Booleans, Floats, Floats32, Integers, Integers32
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Layout
from wardround.protocol.privacy.randomness import derive_key
from wardround.simulations.population.draw import Population
from wardround.simulations.population.effects import CHANNELS, HOUR_EDGES, LENGTHS, TONES

FIELDS = ("channel", "tone", "length", "link", "hour")
SIZES = (len(CHANNELS), len(TONES), len(LENGTHS), 2, len(HOUR_EDGES) + 1)
OPTIONS: Integers = np.array(list(product(*map(range, SIZES))), np.int64)
"""int64 [options, fields], codes: 288 messages of one topic."""


@dataclass(frozen=True)
class Encoded:
    """Bins and values of events with one message each, as a model reads them (``Events``)."""

    bins: Integers32 = field(repr=False)
    values: Floats32 = field(repr=False)


@dataclass(frozen=True, eq=False)
class Moments:
    """When held-out patients could be written to: one row each.

    rows: int64, in the table of messages. topic: int64. known: bool. encoded: by channel, the events if it were sent by
    that channel, all else as it was. groups: attribute → (labels, code of each row).
    """

    layout: Layout
    rows: Integers
    topic: Integers
    known: Booleans
    encoded: Sequence[Encoded]
    groups: Mapping[str, tuple[tuple[str, ...], Integers32]]

    def __len__(self) -> int:
        """Number of patients."""
        return len(self.rows)

    def take(self, places: Integers) -> "Moments":
        """Keep some moments."""
        return Moments(
            layout=self.layout,
            rows=self.rows[places],
            topic=self.topic[places],
            known=self.known[places],
            encoded=[Encoded(one.bins[places], one.values[places]) for one in self.encoded],
            groups={name: (labels, codes[places]) for name, (labels, codes) in self.groups.items()},
        )

    def with_message(self, option: Integers, places: Integers | None = None) -> Encoded:
        """Encode each moment with one message: codes int64 [fields], or [moments, fields]. places: some moments."""
        places = np.arange(len(self)) if places is None else places
        codes = np.broadcast_to(option, (len(places), len(FIELDS)))
        bins = np.stack([one.bins[places] for one in self.encoded])[codes[:, 0], np.arange(len(places))]
        values = np.stack([one.values[places] for one in self.encoded])[codes[:, 0], np.arange(len(places))]
        names = [one.name for one in self.layout.features]
        for place, name in enumerate(FIELDS):
            if name in names:
                bins[:, names.index(name)] = codes[:, place]
        return Encoded(bins, values)


def moments_of(population: Population, contract: Contract, seed: int, heldout: Cohort, most: int) -> Moments:
    """Take the last moment of at most so many of the held-out patients, and encode it for every channel.

    heldout: the federation's, whose patients stand in the order of keyed hashes within each hospital.
    """
    patients = np.linspace(0, heldout.patient_count - 1, min(most, heldout.patient_count)).astype(np.int64)
    some = heldout.take(patients)
    last = some.events_from[1:] - 1
    rows, bins = some.rows[last], some.bins[last]
    names = [one.name for one in contract.layout.features]
    groups = {
        name: (contract.layout.features[names.index(name)].labels, bins[:, names.index(name)])
        for name in contract.groups
    }
    own = _own_rows(population, rows)
    encoded = [_encoded(own, population, contract, seed, rows, channel) for channel in CHANNELS]
    drawn = population.truth.rows[rows]
    topic = population.truth.messages.topic[drawn]
    return Moments(contract.layout, rows, topic, some.known[last], encoded, groups)


def _own_rows(population: Population, rows: Integers) -> pl.DataFrame:
    """Keep the messages of the patients of these rows, with their place in the table: the gate asks for no others."""
    numbered = population.messages.with_row_index("place")
    return numbered.join(
        numbered[rows].select("hospital", "patient").unique(), on=["hospital", "patient"], how="semi"
    )


def _encoded(
    own: pl.DataFrame, population: Population, contract: Contract, seed: int, rows: Integers, channel: str
) -> Encoded:
    """Read the same moments with another channel in the tables: the gate and the features are those of any hospital."""
    there = pl.col("place").is_in(pl.Series(rows, dtype=pl.UInt32).implode())
    column = pl.when(there).then(pl.lit(channel)).otherwise(pl.col("channel")).alias("channel")
    messages = own.with_columns(column)
    tables = Tables(messages.drop("place"), population.patients, population.consents)
    admitted = admit(tables, contract, derive_key("split", seed), population.as_of)
    cohort = encode(admitted.heldout, contract, population.hospitals)
    place = np.full(len(population.messages), -1, np.int64)
    place[own["place"].to_numpy()[cohort.rows]] = np.arange(len(cohort.rows))
    return Encoded(cohort.bins[place[rows]], cohort.values[place[rows]])


def true_engagement(population: Population, moments: Moments) -> Floats:
    """Give the true chance that each patient engages with each option: float64 [moments, options]."""
    found = np.empty((len(moments), len(OPTIONS)))
    for index, option in enumerate(OPTIONS):
        codes = {name: np.full(len(moments), code) for name, code in zip(FIELDS, option, strict=True)}
        found[:, index] = population.truth.probability(moments.rows, codes)
    return found
