"""A patient's behaviour up to each event's cut-off: never the event itself, never a later day's outcome.

The cut-off is the time at which an event was decided. Other events count if they were decided strictly
before it; their outcome counts as known if its *day* lies before the cut-off's day (a message sent in the
morning must not know what happened at noon, and a table's midnight timestamps hide the hour). Sorting,
running sums and binary searches only: ten million events take seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.protocol.arrays import Booleans, Floats, Integers, Integers32

DAY_MICROSECONDS = 86_400_000_000
_FIRST_DAY, _DAY_RANGE = -(1 << 20), 1 << 23  # the years 1 to 9999, with room
_BATCH_EVENTS = 1_000_000  # whole patients at a time: working arrays stay small


@dataclass(frozen=True, eq=False)
class History:
    """One entry per event, int32 [events].

    count: events decided before the cut-off. known: those of them whose outcome is known; engaged: those
    that engaged. last_day: day (since 1970) of the last known outcome, where known > 0. same_day: events
    decided before the cut-off whose outcome falls on the same day as this one's.
    """

    count: Integers32
    known: Integers32
    engaged: Integers32
    last_day: Integers32
    same_day: Integers32

    def __repr__(self) -> str:
        """Show no contents."""
        return "History(…)"

    def statistic(self, name: str, cutoff_days: Integers) -> Floats:
        """One of ``protocol.contract.feature.STATISTICS`` per event, float64 [events], NaN where missing."""
        none = self.known == 0
        if name == "rate":
            return np.where(none, np.nan, self.engaged / np.maximum(self.known, 1))
        if name == "days_since":
            return np.where(none, np.nan, cutoff_days - self.last_day)
        counts: Mapping[str, Integers32] = {
            "count": self.count,
            "engaged": self.engaged,
            "missed": self.known - self.engaged,
            "pending": self.count - self.known,
            "same_day": self.same_day,
        }
        return counts[name].astype(np.float64)


def days_of(timestamps: Integers) -> Integers:
    """Days since 1970 of microseconds since 1970."""
    return timestamps // DAY_MICROSECONDS


def on_one_axis(patients: Integers, days: Integers) -> Integers:
    """Put the days of all patients on one axis, in the order of the patients: int64, as ``patients`` and ``days``."""
    return patients * _DAY_RANGE - _FIRST_DAY + days


def behavioural_history(
    patients: NDArray[np.integer],
    decided: Integers,
    outcome_days: NDArray[np.integer],
    labels: NDArray[np.int8],
) -> History:
    """History of each event among the same patient's events.

    patients: index of the patient, ascending; decided: microseconds since 1970, ascending per patient;
    outcome_days: days since 1970, none before its event was decided; labels: 1 engaged, 0 not, -1 unreadable
    (such an outcome never becomes known). All [events].

    Guarantees (test_history.py): an event's row depends on the same patient's other events only, and on
    no label whose outcome day is the cut-off's day or later. ValueError for events out of order.
    """
    same = patients[1:] == patients[:-1]
    if np.any(patients[1:] < patients[:-1]) or np.any(same & (decided[1:] < decided[:-1])):
        raise ValueError("events must be sorted by patient, then by decided")
    out = [np.zeros(len(patients), np.int32) for _ in range(5)]
    starts = np.concatenate([[0], np.flatnonzero(~same) + 1, [len(patients)]])[: len(patients) + 1]
    first = 0
    while first < len(patients):
        # The last patient's start within reach ends a batch; a patient larger than a batch is one by itself.
        reach = np.searchsorted(starts, first + _BATCH_EVENTS, side="right") - 1
        stop = int(starts[reach]) if starts[reach] > first else int(starts[reach + 1])
        batch = slice(first, stop)
        rows = _of_batch(patients[batch], decided[batch], outcome_days[batch], labels[batch])
        for whole, part in zip(out, rows, strict=True):
            whole[batch] = part
        first = stop
    return History(*out)


def history_by(
    kinds: NDArray[np.integer],
    patients: NDArray[np.integer],
    decided: Integers,
    outcome_days: NDArray[np.integer],
    labels: NDArray[np.int8],
) -> History:
    """History of each event among the same patient's events of the same kind (channel, topic).

    kinds: not negative, [events]; the rest, order and guarantees as for ``behavioural_history``.
    """
    # int64: patients times kinds may pass 2³¹.
    groups = patients.astype(np.int64) * (int(kinds.max(initial=0)) + 1) + kinds
    order = np.argsort(groups, kind="stable")  # keeps each patient's order in time
    found = behavioural_history(groups[order], decided[order], outcome_days[order], labels[order])
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return History(
        found.count[back], found.known[back], found.engaged[back], found.last_day[back], found.same_day[back]
    )


def _of_batch(
    patients: NDArray[np.integer],
    decided: Integers,
    outcome_days: NDArray[np.integer],
    labels: NDArray[np.int8],
) -> tuple[Integers, ...]:
    changes = np.concatenate([[True], patients[1:] != patients[:-1]])
    ordinal = np.cumsum(changes) - 1  # of the patient within the batch
    start = np.flatnonzero(changes)[ordinal]
    ties = changes | np.concatenate([[True], decided[1:] != decided[:-1]])
    # Events of one time do not see each other: none of them was decided strictly before.
    count = _last_true(ties) - start
    base = on_one_axis(ordinal, np.zeros_like(ordinal))  # day 1970-01-01 of each patient
    outcome_keys = base + outcome_days
    order = np.argsort(outcome_keys, kind="stable")
    cutoff_keys = base + days_of(decided)
    known, engaged, last_day = _known_outcomes(base, cutoff_keys, outcome_keys[order], labels[order])
    return count, known, engaged, last_day, _same_day(outcome_keys, decided, order)


def _known_outcomes(
    base: Integers, cutoff_keys: Integers, outcome_keys: Integers, labels: NDArray[np.int8]
) -> tuple[Integers, Integers, Integers]:
    readable = labels >= 0
    keys = outcome_keys[readable]
    running = np.concatenate([[0], np.cumsum(labels[readable], dtype=np.int64)])
    # `left`: an outcome of the cut-off's own day is not known yet.
    before = np.searchsorted(keys, cutoff_keys, side="left")
    earlier_patients = np.searchsorted(keys, base + _FIRST_DAY, side="left")
    known = before - earlier_patients
    padded = np.concatenate([[0], keys])
    last_day = np.where(known > 0, padded[before] - base, 0)
    return known, running[before] - running[earlier_patients], last_day


def _same_day(outcome_keys: Integers, decided: Integers, order: Integers) -> Integers:
    """Count, per event, those of equal patient and outcome day decided strictly before it."""
    keys, timestamps = outcome_keys[order], decided[order]
    new_day = np.concatenate([[True], keys[1:] != keys[:-1]])
    new_time = new_day | np.concatenate([[True], timestamps[1:] != timestamps[:-1]])
    counts = np.empty(len(order), np.int64)
    counts[order] = _last_true(new_time) - _last_true(new_day)
    return counts


def _last_true(flags: Booleans) -> Integers:
    """Index of the last True at or before each position; the first flag is True."""
    return np.flatnonzero(flags).take(np.cumsum(flags) - 1)
