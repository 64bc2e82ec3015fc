"""What would have happened had another message been sent: known of a synthetic population alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from wardround.protocol.arrays import Floats, Integers
from wardround.simulations.population.effects import TRAIT_VALUES, sigmoid
from wardround.simulations.population.messages import Messages, message_logit
from wardround.simulations.population.patients import Hospitals, Patients
from wardround.simulations.population.tastes import taste_logit

HOUR_MINUTES = (8 * 60, 10 * 60, 14 * 60, 18 * 60)
"""A minute of the day within each band of hours."""


@dataclass(frozen=True, eq=False)
class Truth:
    """All that decides who engages. messages: in the order of the drawing; rows: int64, of each row of the table.

    trait: float64 [messages, values], its distribution given what is known before the message. habit: float64
    [messages, channels], logits of each channel's habit. shift: float64 [messages], what no message changes.
    """

    hospitals: Hospitals = field(repr=False)
    patients: Patients = field(repr=False)
    messages: Messages = field(repr=False)
    rows: Integers = field(repr=False)
    trait: Floats = field(repr=False)
    habit: Floats = field(repr=False)
    shift: Floats = field(repr=False)
    tastes: float
    trait_stddev: float

    def probability(self, table_rows: Integers, message: Mapping[str, Integers]) -> Floats:
        """Give the chance that each patient engages with another message of the topic: float64 [rows].

        message: codes [rows] of ``channel``, ``tone``, ``length``, ``link`` and ``hour`` (the band).
        """
        log_odds = self.logit(table_rows, message)[:, None] + self.trait_stddev * np.asarray(TRAIT_VALUES)
        return np.asarray((self.trait[self.rows[table_rows]] * sigmoid(log_odds)).sum(axis=1))

    def logit(self, table_rows: Integers, message: Mapping[str, Integers]) -> Floats:
        """Give the same as log-odds, but for the trait."""
        drawn = self.rows[table_rows]
        sent = {name: getattr(self.messages, name)[drawn] for name in ("day", "outcome_day", "topic")}
        codes = {name: message[name] for name in ("channel", "tone", "length", "link")}
        # One patient per row: what is worked out by patient is then worked out for these alone.
        patients = _taken(self.patients, self.messages.patient[drawn])
        minute = np.asarray(HOUR_MINUTES)[message["hour"]]
        other = Messages(patient=np.arange(len(drawn)), minute=minute, **sent, **codes)
        found = message_logit(self.hospitals, patients, other) + self.shift[drawn]
        found += self.habit[drawn, codes["channel"]]
        if self.tastes:
            found += self.tastes * taste_logit(patients, other)
        return np.asarray(found)


def _taken(patients: Patients, rows: Integers) -> Patients:
    return Patients(**{one.name: getattr(patients, one.name)[rows] for one in fields(Patients)})
