"""Ways to choose a message for each moment: by chance, by rule, by a model, and by the truth. Index of OPTIONS each.

Every policy keeps to the moment's topic, which a trigger fixes. The model's standard message is the best single one, as
in a hospital after a trial: the strictest case, since it must better what suits most.
"""

from collections.abc import Mapping

import numpy as np

from wardround.client.outreach.choose.changes import GUARD, change_differences, earned
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.contract import Contract
from wardround.simulations.outreach.options import FIELDS, OPTIONS, SIZES, Moments
from wardround.simulations.population.draw import Population
from wardround.simulations.population.effects import (
    AGE_EDGES,
    CHANNELS,
    EMPLOYMENTS,
    HOUR_EMPLOYMENT,
    LENGTHS,
    TONES,
    band,
)

NOT_FOR_GAIN = ("insurance", "employment")
USUAL = (CHANNELS.index("sms"), TONES.index("friendly"), LENGTHS.index("short"), 1, 1)
"""The message that the tables hold most often, its parts taken one by one; hour: from 9 to 12."""
PHONED_FROM = 60
"""Age from which the rules by hand telephone."""


def option_index(codes: Integers) -> Integers:
    """Find the index of messages [..., fields] in OPTIONS."""
    return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(np.asarray(codes), -1, 0)), SIZES))


def best_single(moments: Moments, truth: Floats) -> Integers:
    """Give the message that is best for all, whatever the topic: int64 [moments]. truth: [moments, options]."""
    return np.full(len(moments), truth.mean(axis=0).argmax())


def best_of_topic(moments: Moments, truth: Floats) -> Integers:
    """Give each moment the message that is best for all of its topic: int64 [moments]."""
    found = np.zeros(len(moments), np.int64)
    for topic in np.unique(moments.topic):
        here = moments.topic == topic
        found[here] = truth[here].mean(axis=0).argmax()
    return found


def by_hand(population: Population, moments: Moments, single: Integers) -> Integers:
    """Telephone the old in the morning, write short messages to who may not read English well: else the best single."""
    drawn = population.truth.rows[moments.rows]
    patient = population.truth.messages.patient[drawn]
    patients = population.truth.patients
    codes = OPTIONS[single].copy()
    old = patients.recorded_age[patient] >= PHONED_FROM
    codes[old, FIELDS.index("channel")] = CHANNELS.index("phone")
    codes[old, FIELDS.index("hour")] = 0
    codes[patients.language[patient] > 0, FIELDS.index("length")] = LENGTHS.index("short")
    return option_index(codes)


def by_model(
    contract: Contract,
    moments: Moments,
    effects: Floats,
    error_factor: Floats,
    standard: Integers,
    shares: Mapping[str, Floats],
    guard: float = GUARD,
) -> Integers:
    """Choose as a hospital does: each change of the standard message must earn its place (``choose.changes``).

    effects, error_factor: as ``message_differences`` takes them. standard: int64 [moments], an option each. shares: of
    what a gain may not use. No two of the message's own fields are crossed but with the topic, which stays: what one of
    them changes does not depend on the others, and each is looked at once.
    """
    before, rows = moments.with_message(OPTIONS[standard]), np.arange(len(moments))
    codes = OPTIONS[standard].copy()
    for place, size in enumerate(SIZES):
        value = np.zeros((len(moments), size))
        for code in range(size):
            changed = OPTIONS[standard].copy()
            changed[:, place] = code
            after = moments.with_message(changed)
            parts = change_differences(contract, effects, error_factor, after, before, shares)
            value[:, code] = earned(*parts, guard)
        best = value.argmax(axis=1)
        better = value[rows, best] > 0
        codes[better, place] = best[better]
    return option_index(codes)


def by_truth(truth: Floats) -> Integers:
    """Choose by all that decides, employment too, which no gain may use."""
    return np.asarray(truth.argmax(axis=1))


def by_permitted_truth(population: Population, moments: Moments, truth: Floats) -> Integers:
    """Choose by all that a gain may use: of employment only what age tells of it.

    truth: [moments, options]. What employment and hour do together is replaced by its mean over the age band.
    """
    drawn = population.truth.messages.patient[population.truth.rows[moments.rows]]
    patients = population.truth.patients
    effect = np.pad(np.asarray(HOUR_EMPLOYMENT), ((0, 0), (0, 1)))  # the last column: not recorded
    bands = band(patients.recorded_age, AGE_EDGES)
    shares = np.zeros((len(AGE_EDGES) + 2, len(EMPLOYMENTS) + 1))
    np.add.at(shares, (bands, patients.employment), 1.0)
    mean = (shares / np.maximum(shares.sum(axis=1, keepdims=True), 1.0)) @ effect.T
    by_hour = mean[bands[drawn]] - effect[:, patients.employment[drawn]].T
    # A trait of 0 in the place of its distribution: the order of a patient's options is hardly another.
    logits = np.log(truth / (1 - truth)) + by_hour[:, OPTIONS[:, FIELDS.index("hour")]]
    return np.asarray(logits.argmax(axis=1))
