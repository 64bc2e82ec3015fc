"""Messages as staff choose them: by telephone, urgent and long for whom they think unreliable; off by default.

What staff think rests on what the tables hold (who engages less by age, insurance, distance …), on the patient's
lasting tendency, which no table holds, and on chance. So the data are confounded, and in part for good: unless the
contract names the column ``propensity``, the chance with which each message's channel, tone, length and link were drawn
together. (Real staff could not say theirs; a program that draws can.)
"""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from wardround.protocol.arrays import Floats, Integers
from wardround.simulations.population.effects import TRAIT_VALUES
from wardround.simulations.population.messages import (
    CHANNEL_SHARES,
    LENGTH_SHARES,
    LINK_SHARES,
    TONE_SHARES,
    Messages,
)
from wardround.simulations.population.patients import Patients, bell, patient_logit

RANDOM, OBSERVATIONAL = "random", "observational"
RECORDED, HIDDEN = 1.0, 0.35
"""What belief takes from recorded values and from the hidden trait, in standard deviations, beside chance of 1."""
# Log-odds by which one standard deviation of doubt moves a choice: sms, email, portal, phone; and so on.
CHANNEL_TILT = (-0.5, -0.2, -0.3, 0.9)
TONE_TILT = (-0.4, 0.0, 0.6)
LENGTH_TILT = (-0.3, 0.0, 0.3)
LINK_TILT = (0.2, -0.2)


_DRAWN = {
    "channel": (CHANNEL_SHARES, CHANNEL_TILT),
    "tone": (TONE_SHARES, TONE_TILT),
    "length": (LENGTH_SHARES, LENGTH_TILT),
    "link": (LINK_SHARES, LINK_TILT),
}


def choose_by_belief(rng: Generator, patients: Patients, messages: Messages) -> tuple[Messages, Floats]:
    """Draw channel, tone, length and link anew, each by the doubt that staff have in the patient.

    Gives the messages, and the chance of what was drawn of each, float64 [messages].
    """
    doubt = _doubt(rng, patients)[messages.patient]
    codes, chance = {}, np.ones(len(doubt))
    for name, (shares, tilt) in _DRAWN.items():
        codes[name], own = _tilted(rng, shares, tilt, doubt)
        chance *= own
    return replace(messages, **codes), chance


def chance_at_random(messages: Messages) -> Floats:
    """Give the same of messages that were drawn by their shares, whoever they were for: float64 [messages]."""
    chance = np.ones(len(messages.patient))
    for name, (shares, _) in _DRAWN.items():
        chance *= np.asarray(shares)[getattr(messages, name)]
    return chance


def _doubt(rng: Generator, patients: Patients) -> Floats:
    """Give what staff think of each patient: float64 [patients], mean about 0, standard deviation 1."""
    recorded = patient_logit(patients)
    recorded = (recorded - recorded.mean()) / max(float(recorded.std()), 1e-9)
    trait = np.asarray(TRAIT_VALUES)[patients.trait]
    doubt = bell(rng, len(recorded)) - RECORDED * recorded - HIDDEN * trait
    return np.asarray(doubt / np.sqrt(1 + RECORDED**2 + HIDDEN**2))


def _tilted(
    rng: Generator, shares: tuple[float, ...], tilt: tuple[float, ...], doubt: Floats
) -> tuple[Integers, Floats]:
    """Give codes and their chances."""
    weight = np.asarray(shares) * np.exp(np.outer(doubt, tilt))
    chances = weight / weight.sum(axis=1, keepdims=True)
    reached = np.cumsum(chances, axis=1)
    # The last one takes what rounding leaves over.
    codes = np.asarray((reached[:, :-1] <= rng.random(len(doubt))[:, None]).sum(axis=1))
    return codes, np.take_along_axis(chances, codes[:, None], axis=1)[:, 0]
