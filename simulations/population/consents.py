"""Synthetic consents: who allows what, since when, and until when."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.random import Generator

from wardround.protocol.arrays import Booleans, Integers
from wardround.simulations.population.effects import TOPICS
from wardround.simulations.population.export import PURPOSE, dated, named, patient_names
from wardround.simulations.population.patients import Patients

NEVER_ASKED, REFUSED, WITHDRAWN, EXPIRED = 0.02, 0.02, 0.03, 0.02
CHOOSERS = 0.12
WEARABLE = "wearable"


def dates(
    rng: Generator, count: int, last_day: int, withdrawn: float, expired: float
) -> dict[str, pl.Series]:
    """Date when each consent was granted, and for some when it was withdrawn or expired before last_day."""
    granted = np.floor(rng.random(count) * 0.4 * last_day).astype(np.int64)
    ended = granted + 1 + np.floor(rng.random(count) * (last_day - granted - 1)).astype(np.int64)
    fate = rng.random(count)
    limited = (fate >= withdrawn + expired) & (rng.random(count) < 0.3)
    # -1 is no date (dated); others have one after last_day, so that an expiry is not always a refusal.
    expires = np.where((fate >= withdrawn) & (fate < withdrawn + expired), ended, -1)
    return {
        "granted_at": dated(granted),
        "withdrawn_at": dated(np.where(fate < withdrawn, ended, -1)),
        "expires_at": dated(np.where(limited, last_day + 365, expires)),
    }


def chosen_topics(rng: Generator, patients: Patients) -> Booleans:
    """Draw who chose which topics: bool [patients, topics]; who chose none accepts all but sensitive ones."""
    count = len(patients.hospital)
    mothers = (patients.sex == 0) & (patients.age <= 45) & (rng.random(count) < 0.5)
    choosers = rng.random(count) < CHOOSERS
    chosen = rng.random((count, len(TOPICS))) < 0.7
    # Who opts in to maternity messages says so by a topic row, and so must name the other topics as well.
    chosen[mothers] |= rng.random((int(mothers.sum()), len(TOPICS))) < 0.85
    chosen[:, TOPICS.index("maternity")] = mothers
    return np.asarray(chosen & (mothers | choosers)[:, None])


def draw_consents(rng: Generator, names: Sequence[str], patients: Patients, last_day: int) -> pl.DataFrame:
    """One row per patient, kind and value; dates of withdrawal and expiry are null where there is none.

    Some patients have no row at all (never asked), some only one for another purpose (refused this one).
    """
    fate = rng.random(len(patients.hospital))
    for_purpose = np.flatnonzero(fate >= NEVER_ASKED + REFUSED)
    elsewhere = np.flatnonzero((fate >= NEVER_ASKED) & (fate < NEVER_ASKED + REFUSED))
    by_topic, topics = np.nonzero(chosen_topics(rng, patients))
    wearers = np.flatnonzero(~np.isnan(patients.daily_steps) & (rng.random(len(fate)) < 0.85))
    identity = patient_names(patients)

    def rows(of: Integers, kind: str, value: pl.Series, withdrawn: float, expired: float) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "hospital": named(names, patients.hospital[of]),
                "patient": identity.gather(of),
                "kind": pl.repeat(kind, len(of), eager=True),
                "value": value,
                **dates(rng, len(of), last_day, withdrawn, expired),
            }
        )

    def same(text: str, of: Integers) -> pl.Series:
        return pl.repeat(text, len(of), eager=True)

    return pl.concat(
        [
            rows(for_purpose, "purpose", same(PURPOSE, for_purpose), WITHDRAWN, EXPIRED),
            rows(elsewhere, "purpose", same("billing_reminders", elsewhere), 0.0, 0.0),
            rows(by_topic, "topic", named(TOPICS, topics), 0.05, 0.02),
            rows(wearers, "source", same(WEARABLE, wearers), 0.05, 0.02),
        ]
    )
