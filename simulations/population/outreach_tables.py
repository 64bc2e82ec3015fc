"""What a simulated home needs for outreach beside its messages: who may be written to, where, and what makes it due."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.random import Generator

from wardround.protocol.arrays import Booleans, Integers
from wardround.simulations.population.export import named

NO_CONTACT, NO_PERSONALISE, WITHDRAWN = 0.08, 0.15, 0.04
CHANNELS = ("sms", "email", "letter", "portal")
REACHED = (0.85, 0.6, 0.97, 0.4)
SHARED = 0.05
"""Patients whose letters go to the address of the patient before them in the table."""
VETOED, ASKED_FOR_A_CHANNEL, REFUSED_A_TOPIC = 0.02, 0.06, 0.05
REASONS = ("deceased", "pregnancy_loss", "inpatient", "palliative", "clinician")
LANGUAGES = {"spanish": "es", "english": "en"}
_YEAR = 365


def outreach_tables(
    rng: Generator, patients: pl.DataFrame, topics: Sequence[str], today: date
) -> dict[str, pl.DataFrame]:
    """Draw the tables of one hospital, all cells text. patients: ``patient`` and ``language``, each patient once.

    Keys: consents (rows to add to the hospital's own), preferences, vetoes, addresses, appointments, recalls.
    """
    names = patients["patient"]
    return {
        "consents": _consents(rng, names, today),
        "preferences": _preferences(rng, patients, topics, today),
        "vetoes": _vetoes(rng, names, today),
        "addresses": _addresses(rng, names, today),
        "appointments": _appointments(rng, names, today),
        "recalls": _recalls(rng, names, today),
    }


def _consents(rng: Generator, names: pl.Series, today: date) -> pl.DataFrame:
    parts = []
    for purpose, refused in (("outreach_contact", NO_CONTACT), ("outreach_personalise", NO_PERSONALISE)):
        who = np.flatnonzero(rng.random(len(names)) >= refused)
        withdrawn = rng.random(len(who)) < WITHDRAWN
        parts.append(
            pl.DataFrame(
                {
                    "patient": names.gather(who),
                    "kind": pl.repeat("purpose", len(who), eager=True),
                    "value": pl.repeat(purpose, len(who), eager=True),
                    "granted_at": _dates(today, -rng.integers(30, _YEAR, len(who))),
                    "withdrawn_at": _dates(today, -rng.integers(1, 30, len(who)), withdrawn),
                    "expires_at": pl.repeat(None, len(who), dtype=pl.String, eager=True),
                }
            )
        )
    return pl.concat(parts)


def _preferences(rng: Generator, patients: pl.DataFrame, topics: Sequence[str], today: date) -> pl.DataFrame:
    """Languages that are known, channels asked for, topics refused."""
    names, count = patients["patient"], len(patients)
    spoken = patients["language"].replace_strict(LANGUAGES, default=None, return_dtype=pl.String)
    asked = np.flatnonzero(rng.random(count) < ASKED_FOR_A_CHANNEL)
    refused = np.flatnonzero(rng.random(count) < REFUSED_A_TOPIC)
    known = np.flatnonzero(spoken.is_not_null().to_numpy())

    def rows(who: Integers, kind: str, value: pl.Series, wanted: str) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "patient": names.gather(who),
                "kind": pl.repeat(kind, len(who), eager=True),
                "value": value,
                "wanted": pl.repeat(wanted, len(who), eager=True),
                "said_at": _dates(today, -rng.integers(1, _YEAR, len(who))),
            }
        )

    channels = named(CHANNELS, rng.integers(0, len(CHANNELS), len(asked)))
    return pl.concat(
        [
            rows(known, "language", spoken.gather(known), "yes"),
            rows(asked, "channel", channels, "yes"),
            rows(refused, "topic", named(topics, rng.integers(0, len(topics), len(refused))), "no"),
        ]
    )


def _vetoes(rng: Generator, names: pl.Series, today: date) -> pl.DataFrame:
    who = np.flatnonzero(rng.random(len(names)) < VETOED)
    reason = rng.integers(0, len(REASONS), len(who))
    ends = reason == REASONS.index("inpatient")
    return pl.DataFrame(
        {
            "patient": names.gather(who),
            "reason": named(REASONS, reason),
            "starts_at": _dates(today, -rng.integers(1, 60, len(who))),
            "ends_at": _dates(today, rng.integers(1, 14, len(who)), ends),
        }
    )


def _addresses(rng: Generator, names: pl.Series, today: date) -> pl.DataFrame:
    place = np.arange(len(names))
    # A household: the letter goes where the one before it in the table lives.
    lives = np.where(rng.random(len(names)) < SHARED, np.maximum(place - 1, 0), place)
    texts = {
        "sms": pl.Series([f"+1555{number:07d}" for number in place]),
        "email": pl.Series([f"patient{number}@mail.example" for number in place]),
        "letter": pl.Series([f"{number} Mill Lane" for number in lives]),
        "portal": names,
    }
    parts = []
    for channel, share in zip(CHANNELS, REACHED, strict=True):
        who = np.flatnonzero(rng.random(len(names)) < share)
        parts.append(
            pl.DataFrame(
                {
                    "patient": names.gather(who),
                    "channel": pl.repeat(channel, len(who), eager=True),
                    "address": texts[channel].gather(who),
                    "since": _dates(today, -rng.integers(1, 5 * _YEAR, len(who))),
                }
            )
        )
    return pl.concat(parts)


def _appointments(rng: Generator, names: pl.Series, today: date) -> pl.DataFrame:
    """One in two has an appointment, of the last two weeks or the next two."""
    who = np.flatnonzero(rng.random(len(names)) < 0.5)
    days, chance = rng.integers(-14, 15, len(who)), rng.random(len(who))
    ahead = np.where(chance < 0.3, 1, np.where(chance < 0.95, 0, 4))
    past = np.where(chance < 0.2, 3, 2)
    status = np.where(days > 0, ahead, past)
    hours = pl.Series([f"T{hour:02d}:30" for hour in range(24)]).gather(rng.integers(9, 17, len(who)))
    return pl.DataFrame(
        {
            "patient": names.gather(who),
            "starts_at": _dates(today, days) + hours,
            "status": named(("booked", "confirmed", "attended", "missed", "cancelled"), status),
        }
    )


def _recalls(rng: Generator, names: pl.Series, today: date) -> pl.DataFrame:
    """One in four has a refill or a screening due; half of what is past is done."""
    who = np.flatnonzero(rng.random(len(names)) < 0.25)
    days = rng.integers(-60, 30, len(who))
    done = (days < 0) & (rng.random(len(who)) < 0.5)
    return pl.DataFrame(
        {
            "patient": names.gather(who),
            "kind": named(("refill", "screening"), rng.integers(0, 2, len(who))),
            "due_at": _dates(today, days),
            "done_at": _dates(today, days, done),
        }
    )


def _dates(today: date, days: Integers, given: Booleans | None = None) -> pl.Series:
    """ISO dates so many days from today; null where they are not given."""
    texts = pl.Series([(today + timedelta(days=int(one))).isoformat() for one in days], dtype=pl.String)
    return (
        texts
        if given is None
        else texts.zip_with(pl.Series(given), pl.repeat(None, len(texts), dtype=pl.String, eager=True))
    )
