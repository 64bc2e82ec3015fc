"""Synthetic messages as arrays: who is sent what and when, and whether the patient engages.

A patient engages with probability sigmoid(logit + trait), where the trait persists and is in no table.
What can be known of it before a message is decided is its distribution given the outcomes known by then,
so the true probability given the tables is the mean over that distribution.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from simulations.population_effects import (
    AGE_EDGES,
    CHANNEL_AGE,
    CHANNEL_EFFECT,
    CHANNELS,
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
    WEEKEND_EFFECT,
    Codes,
    Reals,
    band,
    crossed_effect,
    effect,
    sigmoid,
)
from simulations.population_patients import Hospitals, Patients, pick

TOPIC_SHARES = (0.18, 0.30, 0.17, 0.17, 0.02, 0.16)
CHANNEL_SHARES = (0.40, 0.25, 0.20, 0.15)
# Shares of the hours from 7 to 20.
HOUR_SHARES = (3, 8, 11, 12, 11, 7, 7, 9, 9, 8, 6, 4, 3, 2)
WEEKEND_SHARE_KEPT = 0.35
LONGEST_LEAD_DAYS = 30
# The trait's five values, in standard deviations, and their shares: a binomial's.
TRAIT_VALUES = (-2.0, -1.0, 0.0, 1.0, 2.0)
TRAIT_SHARES = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


@dataclass(frozen=True, eq=False)
class Messages:
    """By message, patient after patient. day and outcome_day count from the first day of the span; minute
    is that of the day. engaged: 0 or 1. probability: see the module.
    """

    patient: Codes
    day: Codes
    minute: Codes
    outcome_day: Codes
    topic: Codes
    channel: Codes
    tone: Codes
    length: Codes
    link: Codes
    engaged: Codes
    probability: Reals


def share_out(activity: Reals, total: int) -> Codes:
    """Messages of each patient: whole numbers summing to total, in proportion to activity."""
    reached = np.cumsum(activity)
    return np.diff(np.rint(reached * (total / reached[-1])).astype(np.int64), prepend=0)


def draw_topics(rng: Generator, patients: Patients, patient: Codes) -> Codes:
    """Topics that suit the patient: maternity for women under 46, chronic care for chronic conditions."""
    maternity = TOPICS.index("maternity")
    eligible = (patients.sex == 0) & (patients.age <= 45)
    chronic = patients.conditions.sum(axis=1) > 0
    topic = pick(rng, TOPIC_SHARES, len(patient))
    topic = np.where(eligible[patient] & (rng.random(len(patient)) < 0.18), maternity, topic)
    topic = np.where(~eligible[patient] & (topic == maternity), TOPICS.index("appointment_reminder"), topic)
    return np.where(~chronic[patient] & (topic == TOPICS.index("chronic_care")), TOPICS.index("wellness"), topic)


def draw_days(rng: Generator, count: int, span_days: int) -> Codes:
    """Days of the span, fewer at weekends; day 0 is a Monday."""
    day = np.floor(rng.random(count) * span_days).astype(np.int64)
    moved = (day % 7 >= 5) & (rng.random(count) >= WEEKEND_SHARE_KEPT) & (day >= 5)
    return np.where(moved, day - np.where(day % 7 == 5, 1, 3), day)


def known_trait(patient: Codes, day: Codes, outcome_day: Codes, engaged: Codes, log_odds: Reals) -> Reals:
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
    weights = np.asarray(TRAIT_SHARES) * np.exp(evidence - evidence.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def draw_messages(
    rng: Generator, hospitals: Hospitals, patients: Patients, total: int, span_days: int, trait_stddev: float
) -> Messages:
    """Draw all messages of all hospitals at once."""
    patient = np.repeat(np.arange(len(patients.hospital)), share_out(patients.activity, total))
    topic = draw_topics(rng, patients, patient)
    channel = pick(rng, CHANNEL_SHARES, total)
    tone, length = pick(rng, (0.4, 0.35, 0.25), total), pick(rng, (0.45, 0.35, 0.20), total)
    link = (rng.random(total) < 0.6).astype(np.int64)
    day = draw_days(rng, total, span_days)
    hour = 7 + pick(rng, np.asarray(HOUR_SHARES) / sum(HOUR_SHARES), total)
    minute = 60 * hour + np.floor(60 * rng.random(total)).astype(np.int64)
    uniform = rng.random(total)
    lead = np.floor((LONGEST_LEAD_DAYS + 1) * uniform * uniform).astype(np.int64)
    hospital, age = patients.hospital[patient], band(patients.recorded_age, AGE_EDGES)[patient]
    logit = (
        (INTERCEPT + hospitals.base)[hospital]
        + patients.logit[patient]
        + effect(TOPIC_EFFECT, topic)
        + effect(CHANNEL_EFFECT, channel)
        + hospitals.topic[hospital, topic]
        + hospitals.channel[hospital, channel]
        + effect(TONE_EFFECT, tone)
        + effect(LENGTH_EFFECT, length)
        + effect(LINK_EFFECT, link)
        + effect(WEEKEND_EFFECT, (day % 7 >= 5).astype(np.int64))
        + effect(LEAD_EFFECT, band(lead, LEAD_EDGES))
        + crossed_effect(TOPIC_AGE, topic, age)
        + crossed_effect(CHANNEL_AGE, channel, age)
        + crossed_effect(HOUR_EMPLOYMENT, band(hour, HOUR_EDGES), patients.employment[patient])
        + crossed_effect(TOPIC_TONE, topic, tone)
    )
    log_odds = logit[:, None] + trait_stddev * np.asarray(TRAIT_VALUES)
    own = log_odds[np.arange(total), patients.propensity[patient]]
    engaged = (rng.random(total) < sigmoid(own)).astype(np.int64)
    trait = known_trait(patient, day, day + lead, engaged, log_odds)
    return Messages(
        patient=patient,
        day=day,
        minute=minute,
        outcome_day=day + lead,
        topic=topic,
        channel=channel,
        tone=tone,
        length=length,
        link=link,
        engaged=engaged,
        probability=(trait * sigmoid(log_odds)).sum(axis=1),
    )
