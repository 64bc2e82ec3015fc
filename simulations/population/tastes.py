"""What a synthetic patient likes in a message, beside age and channel: tables on the logit scale, off by default.

Each table joins a field of the message to one of the patient that a gain may use; rows add up to about nothing over
usual patients, so that no message is best for all because of them.
"""

from wardround.protocol.arrays import Floats
from wardround.simulations.population.effects import (
    AGE_EDGES,
    DISTANCE_EDGES,
    HOUR_EDGES,
    band,
    crossed_effect,
)
from wardround.simulations.population.messages import Messages
from wardround.simulations.population.patients import Patients

# Rows: links, lengths, tones, hours. Columns: ages, languages, sexes, distances.
LINK_AGE = ((-0.30, -0.20, 0.0, 0.25, 0.40), (0.30, 0.20, 0.0, -0.25, -0.40))
LENGTH_LANGUAGE = ((-0.05, 0.35, 0.40), (0.0, 0.0, 0.0), (0.15, -0.35, -0.40))
TONE_SEX = ((0.25, -0.25), (-0.10, 0.10), (-0.25, 0.25))
HOUR_DISTANCE = (
    (0.35, 0.20, 0.0, -0.25, -0.40),
    (0.10, 0.10, 0.0, -0.10, -0.10),
    (-0.15, -0.10, 0.0, 0.10, 0.20),
    (-0.30, -0.20, 0.0, 0.25, 0.40),
)


def taste_logit(patients: Patients, messages: Messages) -> Floats:
    """Add up what patients like in these messages, at scale 1: float64 [messages]."""
    patient = messages.patient
    age = band(patients.recorded_age, AGE_EDGES)[patient]
    distance = band(patients.distance_km, DISTANCE_EDGES)[patient]
    return (
        crossed_effect(LINK_AGE, messages.link, age)
        + crossed_effect(LENGTH_LANGUAGE, messages.length, patients.language[patient])
        + crossed_effect(TONE_SEX, messages.tone, patients.sex[patient])
        + crossed_effect(HOUR_DISTANCE, band(messages.minute // 60, HOUR_EDGES), distance)
    )
