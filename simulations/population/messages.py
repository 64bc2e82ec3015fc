"""Synthetic messages as arrays: who is sent what and when, and whether the patient engages.

A patient engages with probability sigmoid(logit + trait), where the trait persists and is in no table.
What can be known of it before a message is decided is its distribution given the outcomes known by then,
so the true probability given the tables is the mean over that distribution.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from wardround.protocol.arrays import Floats, Integers
from wardround.simulations.population.effects import (
    AGE_EDGES,
    CHANNEL_AGE,
    CHANNEL_EFFECT,
    HOUR_EDGES,
    HOUR_EMPLOYMENT,
    INTERCEPT,
    LEAD_EDGES,
    LEAD_EFFECT,
    LENGTH_EFFECT,
    LINK_EFFECT,
    TONE_EFFECT,
    TOPIC_AGE,
    TOPIC_EFFECT,
    TOPIC_TONE,
    TOPICS,
    TRAIT_SHARES,
    TRAIT_VALUES,
    WEEKEND_EFFECT,
    band,
    crossed_effect,
    effect,
    sigmoid,
)
from wardround.simulations.population.patients import Hospitals, Patients, patient_logit, pick

TOPIC_SHARES = (0.18, 0.30, 0.17, 0.17, 0.02, 0.16)
CHANNEL_SHARES = (0.40, 0.25, 0.20, 0.15)
TONE_SHARES = (0.40, 0.35, 0.25)
LENGTH_SHARES = (0.45, 0.35, 0.20)
LINK_SHARES = (0.40, 0.60)
# Shares of the hours from 7 to 20.
HOUR_SHARES = (3, 8, 11, 12, 11, 7, 7, 9, 9, 8, 6, 4, 3, 2)
WEEKEND_SHARE_KEPT = 0.35
LONGEST_LEAD_DAYS = 30


@dataclass(frozen=True, eq=False)
class Messages:
    """By message, patient after patient: int64 [messages] each.

    day and outcome_day count from the first day of the span; minute is that of the day.
    """

    patient: Integers
    day: Integers
    minute: Integers
    outcome_day: Integers
    topic: Integers
    channel: Integers
    tone: Integers
    length: Integers
    link: Integers


@dataclass(frozen=True, eq=False)
class Outcomes:
    """engaged: 0 or 1 by message. probability: float64 [messages], given the tables before the decision.

    trait: float64 [messages, values], its distribution then. habit: float64 [messages, channels], logits by channel.
    """

    engaged: Integers
    probability: Floats
    trait: Floats
    habit: Floats


def share_out(activity: Floats, total: int) -> Integers:
    """Messages of each patient: whole numbers summing to total, in proportion to activity."""
    reached = np.cumsum(activity)
    return np.asarray(np.diff(np.rint(reached * (total / reached[-1])).astype(np.int64), prepend=0))


def draw_topics(rng: Generator, patients: Patients, patient: Integers) -> Integers:
    """Topics that suit the patient: maternity for women under 46, chronic care for chronic conditions."""
    maternity = TOPICS.index("maternity")
    eligible = (patients.sex == 0) & (patients.age <= 45)
    chronic = patients.conditions.sum(axis=1) > 0
    chronic_care, wellness = TOPICS.index("chronic_care"), TOPICS.index("wellness")
    topic = pick(rng, TOPIC_SHARES, len(patient))
    topic = np.where(eligible[patient] & (rng.random(len(patient)) < 0.18), maternity, topic)
    topic = np.where(~eligible[patient] & (topic == maternity), TOPICS.index("appointment_reminder"), topic)
    return np.where(~chronic[patient] & (topic == chronic_care), wellness, topic)


def draw_days(rng: Generator, count: int, span_days: int) -> Integers:
    """Days of the span, fewer at weekends; day 0 is a Monday."""
    day = np.floor(rng.random(count) * span_days).astype(np.int64)
    moved = (day % 7 >= 5) & (rng.random(count) >= WEEKEND_SHARE_KEPT) & (day >= 5)
    return np.where(moved, day - np.where(day % 7 == 5, 1, 3), day)


def known_trait(
    patient: Integers, day: Integers, outcome_day: Integers, engaged: Integers, log_odds: Floats
) -> Floats:
    """Distribution of the trait before each message: float64 [messages, values], rows sum to 1.

    log_odds: [messages, values], of engaging under each value. Counted are the patient's own outcomes of
    earlier days than the decision's.
    """
    count = len(patient)
    days = int(outcome_day.max(initial=0)) + 2
    # One time line per patient: a day's decisions (even) stand before its outcomes (odd).
    order = np.argsort(
        np.concatenate([(patient * days + day) * 2, (patient * days + outcome_day) * 2 + 1]), kind="stable"
    )
    # log sigmoid(±log_odds), without overflow.
    log_likelihood = -np.logaddexp(0.0, np.where(engaged[:, None] == 1, -log_odds, log_odds))
    position = np.empty(2 * count, dtype=np.int64)
    position[order] = np.arange(2 * count)
    evidence = np.empty((count, log_odds.shape[1]))
    first = np.searchsorted(patient, patient)
    for value in range(log_odds.shape[1]):
        steps = np.concatenate([np.zeros(count), log_likelihood[:, value]])[order]
        reached = np.cumsum(steps)
        # The time line has two entries per message, so a patient's part begins at twice the first message.
        before = np.concatenate([[0.0], reached])[2 * first]
        evidence[:, value] = reached[position[:count]] - before
    # Bayes' rule; the largest evidence comes off first, or a long history would underflow.
    weights = np.asarray(TRAIT_SHARES) * np.exp(evidence - evidence.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def draw_messages(rng: Generator, patients: Patients, total: int, span_days: int) -> Messages:
    """Draw who is sent what and when, for all hospitals at once."""
    patient = np.repeat(np.arange(len(patients.hospital)), share_out(patients.activity, total))
    day = draw_days(rng, total, span_days)
    hour = 7 + pick(rng, np.asarray(HOUR_SHARES) / sum(HOUR_SHARES), total)
    uniform = rng.random(total)
    return Messages(
        patient=patient,
        day=day,
        minute=60 * hour + np.floor(60 * rng.random(total)).astype(np.int64),
        # Squared: most appointments are near.
        outcome_day=day + np.floor((LONGEST_LEAD_DAYS + 1) * uniform * uniform).astype(np.int64),
        topic=draw_topics(rng, patients, patient),
        channel=pick(rng, CHANNEL_SHARES, total),
        tone=pick(rng, TONE_SHARES, total),
        length=pick(rng, LENGTH_SHARES, total),
        link=pick(rng, LINK_SHARES, total),
    )


def message_logit(hospitals: Hospitals, patients: Patients, messages: Messages) -> Floats:
    """Give the log-odds of engaging but for the trait: float64 [messages]."""
    patient, topic, channel = messages.patient, messages.topic, messages.channel
    hospital, age = patients.hospital[patient], band(patients.recorded_age, AGE_EDGES)[patient]
    hour = band(messages.minute // 60, HOUR_EDGES)
    own = hospitals.base[patients.hospital] + patient_logit(patients)
    main = (
        effect(TOPIC_EFFECT, topic)
        + effect(CHANNEL_EFFECT, channel)
        + effect(TONE_EFFECT, messages.tone)
        + effect(LENGTH_EFFECT, messages.length)
        + effect(LINK_EFFECT, messages.link)
        + effect(WEEKEND_EFFECT, (messages.day % 7 >= 5).astype(np.int64))
        + effect(LEAD_EFFECT, band(messages.outcome_day - messages.day, LEAD_EDGES))
    )
    crosses = (
        crossed_effect(TOPIC_AGE, topic, age)
        + crossed_effect(CHANNEL_AGE, channel, age)
        + crossed_effect(HOUR_EMPLOYMENT, hour, patients.employment[patient])
        + crossed_effect(TOPIC_TONE, topic, messages.tone)
    )
    shifts = hospitals.topic[hospital, topic] + hospitals.channel[hospital, channel]
    return INTERCEPT + own[patient] + main + crosses + shifts


def draw_outcomes(
    rng: Generator,
    logit: Floats,
    patients: Patients,
    messages: Messages,
    trait_stddev: float,
    habit: float = 0.0,
) -> Outcomes:
    """Draw who engages, and work out how probable that was before each message. habit: scale of habits, 0 for none."""
    spread = trait_stddev * np.asarray(TRAIT_VALUES)
    uniform = rng.random(len(logit))
    habits = np.zeros((len(logit), len(CHANNEL_SHARES)))
    own = logit + spread[patients.trait[messages.patient]]
    engaged = (uniform < sigmoid(own)).astype(np.int64)
    if habit:
        from wardround.simulations.population.habits import draw_with_habits

        engaged, habits = draw_with_habits(uniform, own, messages, habit)
    log_odds = (logit + habits[np.arange(len(logit)), messages.channel])[:, None] + spread
    trait = known_trait(messages.patient, messages.day, messages.outcome_day, engaged, log_odds)
    return Outcomes(engaged, (trait * sigmoid(log_odds)).sum(axis=1), trait, habits)
