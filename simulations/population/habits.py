"""Habits: a synthetic patient who answered by a channel answers by it again; off by default.

What counts is the history that a contract can name, ``{kind: history, statistic: rate, by: channel}``: the share of the
patient's own earlier messages by this message's channel that were engaged with, of those whose outcome was known.
"""

import numpy as np

from wardround.protocol.arrays import Booleans, Floats, Integers
from wardround.simulations.population.effects import CHANNELS, sigmoid
from wardround.simulations.population.messages import Messages

RATE_EDGES = (0.5, 1.0)
HABIT_EFFECT = (-0.60, 0.20, 0.60, 0.0)
"""By the rate's bin: below a half, at least a half, always, and no such message yet."""


def draw_with_habits(
    uniform: Floats, log_odds: Floats, messages: Messages, habit: float
) -> tuple[Integers, Floats]:
    """Draw who engages, message after message; gives 0 or 1 and the habit's logits by channel [messages, channels].

    uniform: float64 [messages]. log_odds: float64 [messages], under the patient's own trait and without habits.
    """
    order = np.lexsort((messages.day, messages.patient))
    first = np.flatnonzero(np.diff(messages.patient[order], prepend=-1))
    counts = np.diff(np.append(first, len(order)))
    engaged = np.zeros(len(order), np.int64)
    known = np.zeros((2, len(order), len(CHANNELS)), np.int64)
    effect = np.asarray(HABIT_EFFECT) * habit
    logits = np.zeros((len(order), len(CHANNELS)))
    for number in range(int(counts.max(initial=0))):
        start = first[counts > number]
        rows = order[start + number]
        for earlier in range(number):
            _count(known, rows, order[start + earlier], messages, engaged)
        logits[rows] = effect[_bins(known[:, rows])]
        own = log_odds[rows] + logits[rows, messages.channel[rows]]
        engaged[rows] = uniform[rows] < sigmoid(own)
    return engaged, logits


def _count(known: Integers, rows: Integers, before: Integers, messages: Messages, engaged: Integers) -> None:
    """Count the patients' messages ``before`` into what is known at ``rows``: from the day after the outcome."""
    counts: Booleans = messages.outcome_day[before] < messages.day[rows]
    known[0, rows, messages.channel[before]] += counts
    known[1, rows, messages.channel[before]] += counts & (engaged[before] == 1)


def _bins(known: Integers) -> Integers:
    sent, engaged = known
    rate = engaged / np.maximum(sent, 1)
    return np.where(sent > 0, np.searchsorted(RATE_EDGES, rate, side="right"), len(HABIT_EFFECT) - 1)
