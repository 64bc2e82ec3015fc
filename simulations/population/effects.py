"""What makes a synthetic patient engage: the public tables of effects, on the logit scale.

A code of -1 is a value that is not recorded. It has no effect, so that the true probability rests on
what stands in the tables and nothing else.
"""

from collections.abc import Sequence

import numpy as np

from wardround.protocol.arrays import Floats, Integers

TOPICS = ("screening", "appointment_reminder", "medication_refill", "chronic_care", "maternity", "wellness")
CHANNELS = ("sms", "email", "portal", "phone")
TONES = ("friendly", "neutral", "urgent")
LENGTHS = ("short", "medium", "long")
SEXES = ("F", "M")
LANGUAGES = ("english", "spanish", "other")
INSURANCES = ("private", "public", "uninsured")
EMPLOYMENTS = ("employed", "unemployed", "retired", "student")

AGE_EDGES = (30, 45, 60, 75)
HOUR_EDGES = (9, 12, 17)
LEAD_EDGES = (1, 3, 8, 15)
DISTANCE_EDGES = (2.0, 5.0, 10.0, 20.0)
STEP_EDGES = (4000.0, 8000.0)

INTERCEPT = -0.55
TOPIC_EFFECT = (-0.15, 1.05, 0.55, 0.05, 0.60, -0.90)
CHANNEL_EFFECT = (0.45, -0.60, -0.15, 0.30)
TONE_EFFECT = (0.10, 0.0, -0.10)
LENGTH_EFFECT = (0.20, 0.0, -0.30)
LINK_EFFECT = (0.0, 0.25)
WEEKEND_EFFECT = (0.0, -0.30)
LEAD_EFFECT = (0.65, 0.35, 0.0, -0.30, -0.60)
AGE_EFFECT = (-0.55, -0.20, 0.05, 0.40, 0.20)
SEX_EFFECT = (0.10, -0.10)
LANGUAGE_EFFECT = (0.05, -0.15, -0.30)
INSURANCE_EFFECT = (0.20, -0.05, -0.50)
EMPLOYMENT_EFFECT = (0.05, -0.30, 0.10, -0.15)
CONDITION_EFFECT = (0.0, 0.20)
DISTANCE_EFFECT = (0.30, 0.15, 0.0, -0.20, -0.50)
STEP_EFFECT = (-0.35, 0.0, 0.35)

# A patient's persistent trait, in no table: values in standard deviations, shares of a binomial.
# Five values and not a normal: then the probability given the outcomes so far is an exact sum (known_trait).
TRAIT_VALUES = (-2.0, -1.0, 0.0, 1.0, 2.0)
TRAIT_SHARES = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)

# Rows: topics, channels, hours, topics. Columns: ages, ages, employments, tones.
TOPIC_AGE = (
    (-0.50, -0.20, 0.30, 0.40, 0.05),
    (0.15, 0.10, 0.0, -0.10, -0.15),
    (-0.35, -0.15, 0.05, 0.20, 0.20),
    (-0.25, -0.10, 0.0, 0.15, 0.20),
    (0.20, -0.20, 0.0, 0.0, 0.0),
    (0.50, 0.25, -0.10, -0.30, -0.35),
)
CHANNEL_AGE = (
    (0.20, 0.15, 0.05, -0.15, -0.30),
    (0.05, 0.10, 0.10, -0.05, -0.25),
    (0.45, 0.25, -0.05, -0.35, -0.50),
    (-0.55, -0.30, 0.0, 0.35, 0.50),
)
HOUR_EMPLOYMENT = (
    (0.10, -0.20, -0.15, -0.30),
    (-0.20, 0.20, 0.30, 0.05),
    (-0.35, 0.15, 0.20, 0.10),
    (0.40, -0.10, -0.35, 0.20),
)
TOPIC_TONE = (
    (0.10, 0.0, -0.10),
    (-0.10, 0.0, 0.20),
    (-0.10, 0.0, 0.20),
    (0.10, 0.0, -0.10),
    (0.20, 0.0, -0.30),
    (0.20, 0.0, -0.40),
)


def effect(table: Sequence[float] | Floats, codes: Integers) -> Floats:
    """Effect of each code, 0 where it is -1."""
    # Code -1 takes the last entry, which is the zero appended here.
    return np.append(np.asarray(table, dtype=np.float64), 0.0)[codes]


def crossed_effect(table: Sequence[Sequence[float]] | Floats, first: Integers, second: Integers) -> Floats:
    """Effect of each pair of codes, 0 where either is -1."""
    padded = np.pad(np.asarray(table, dtype=np.float64), ((0, 1), (0, 1)))
    return padded[first, second]


def band(values: Floats | Integers, edges: Sequence[float]) -> Integers:
    """Index of the band [edge, next edge) of each value; -1 where the value is negative or NaN."""
    codes = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="right").astype(np.int64)
    return np.where(values >= 0, codes, -1)


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-logits))."""
    return 1.0 / (1.0 + np.exp(-logits))
