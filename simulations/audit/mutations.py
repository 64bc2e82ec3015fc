"""The code, broken in known ways: an audit that would not notice these says nothing about the code as it is.

Each is a context manager that replaces one of the product's functions while it lasts, and puts it back.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from types import ModuleType
from typing import Any

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.round import evaluate
from wardround.client.train import clipped_sum_additive, clipped_sum_dense, update
from wardround.protocol.arrays import EitherFloats, Floats, Integers
from wardround.protocol.contract.layout import Layout
from wardround.protocol.privacy import mechanism
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum import integer_release, survivors
from wardround.protocol.secure_sum.grid import Grid, encode_sum
from wardround.protocol.secure_sum.thresholds import Thresholds
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.terms.terms import Terms
from wardround.simulations.audit.attack import Attack


@dataclass(frozen=True)
class Mutation:
    """One way to break the code.

    words: what is broken. broken: breaks it for studies of these terms. applies: whether they use what is broken.
    used: how the attacker then attacks, where it would use the fault.
    """

    name: str
    words: str
    broken: Callable[[Terms], AbstractContextManager[None]]
    applies: Callable[[Terms], bool] = lambda terms: True
    used: Callable[[Attack], Attack] = lambda attack: attack


@contextmanager
def replaced(place: ModuleType | type, name: str, new: object) -> Iterator[None]:
    """Put ``new`` in the place of a module's function, or of a class's property, while this lasts."""
    old = getattr(place, name)
    setattr(place, name, new)
    try:
        yield
    finally:
        setattr(place, name, old)


@contextmanager
def no_clip(terms: Terms) -> Iterator[None]:
    """Clip nobody, and count each patient's gradient three times."""

    def factors(norms: EitherFloats, clip_norm: float) -> Floats:
        return np.full(norms.shape, 3.0)

    additive = replaced(clipped_sum_additive, "clip_factors", factors)
    with additive, replaced(clipped_sum_dense, "clip_factors", factors):
        yield


@contextmanager
def no_patients(terms: Terms) -> Iterator[None]:
    """Clip each event by itself: a patient counts as often as they have events (at most K)."""
    real = update.clipped_sums

    def by_event(
        model: ModelSettings, layout: Layout, weights: Floats, cohort: Cohort, clip_norm: float, **kwargs: Any
    ) -> Floats:
        return real(model, layout, weights, _event_by_event(cohort), clip_norm, **kwargs)

    with replaced(update, "clipped_sums", by_event):
        yield


def _event_by_event(cohort: Cohort) -> Cohort:
    """Make a patient of each event."""
    return replace(
        cohort,
        tokens=cohort.tokens[cohort.patient_of_event],
        events_from=np.arange(cohort.event_count + 1),
        patients_from=cohort.events_from[cohort.patients_from],
    )


@contextmanager
def half_noise(terms: Terms) -> Iterator[None]:
    """Draw noise of half its standard deviation, for training and for tables."""
    with _less_noise(0.5):
        yield


@contextmanager
def too_large_m(terms: Terms) -> Iterator[None]:
    """Make the noise as if a sum held q honest hospitals: helpers, and whom a lying server leaves out, forgotten."""
    with replaced(Thresholds, "honest_shares", property(lambda thresholds: thresholds.threshold)):
        yield


def of_fresh_terms(attack: Attack) -> Attack:
    """Let the study's noise be computed anew, under the code as it is then."""
    return replace(attack, terms=replace(attack.terms))


@contextmanager
def _less_noise(part: float) -> Iterator[None]:
    """Draw noise of this part of its standard deviation, floats and integers alike."""
    real, real_integers = mechanism.add_noise, integer_release.noised_integers

    def less(sums: Floats, stddev: float, streams: Sequence[Keystream]) -> Floats:
        return real(sums, stddev * part, streams)

    def less_integers(sums: Floats, grid: Grid, variance: int, streams: Sequence[Keystream]) -> Integers:
        return real_integers(sums, grid, int(variance * part**2), streams)

    with ExitStack() as stack:
        for module in (update, evaluate):
            stack.enter_context(replaced(module, "add_noise", less))
            stack.enter_context(replaced(module, "noised_integers", less_integers))
        yield


@contextmanager
def no_noise(terms: Terms) -> Iterator[None]:
    """Leave the noise of training out: by this an attacker computes what the canary does to the weights."""

    def bare(sums: Floats, stddev: float, streams: Sequence[Keystream]) -> Floats:
        return sums

    def bare_integers(sums: Floats, grid: Grid, variance: int, streams: Sequence[Keystream]) -> Integers:
        return encode_sum(sums, grid)

    with replaced(update, "add_noise", bare), replaced(update, "noised_integers", bare_integers):
        yield


@contextmanager
def one_round_bare(terms: Terms) -> Iterator[None]:
    """Leave the noise out of the last round alone."""
    real, real_integers, asked = mechanism.add_noise, integer_release.noised_integers, count()

    def last() -> bool:
        # The attack asks all its runs at once, round after round: one call is one local step of one round.
        return (next(asked) // terms.training.local_steps) % terms.last_round == terms.last_round - 1

    def in_all_but_one(sums: Floats, stddev: float, streams: Sequence[Keystream]) -> Floats:
        return sums if last() else real(sums, stddev, streams)

    def integers(sums: Floats, grid: Grid, variance: int, streams: Sequence[Keystream]) -> Integers:
        return encode_sum(sums, grid) if last() else real_integers(sums, grid, variance, streams)

    bare = replaced(update, "add_noise", in_all_but_one), replaced(update, "noised_integers", integers)
    with bare[0], bare[1]:
        yield


@contextmanager
def no_threshold(terms: Terms) -> Iterator[None]:
    """Open any sum, however few survivors it names."""
    with replaced(survivors, "check_survivors", lambda named, thresholds: frozenset(named)):
        yield


def sum_of_one(attack: Attack) -> Attack:
    """Name one hospital and the server's helpers as survivors: a sum of one share."""
    few = 1 + attack.terms.thresholds.colluding
    return replace(attack, hospitals=attack.hospitals[:1], survivors=few)


def has_sums(terms: Terms) -> bool:
    """Whether a study has secure sums."""
    return terms.secure_sum is not None


@contextmanager
def everybody_drawn(terms: Terms) -> Iterator[None]:
    """Take every patient in every step, though the terms promise a Poisson sample."""
    with replaced(update, "draw_sample", lambda cohort, rate, streams: None):
        yield


MUTATIONS = (
    Mutation("clip", "no clip", no_clip),
    Mutation(
        "patients",
        "events clipped one by one",
        no_patients,
        lambda terms: terms.contract.events_per_patient > 1,
    ),
    Mutation("noise_halved", "half the noise", half_noise),
    Mutation("noise_left_out", "a round without noise", one_round_bare),
    Mutation("m", "m taken for q", too_large_m, has_sums, of_fresh_terms),
    Mutation("threshold", "sums of fewer than q", no_threshold, has_sums, sum_of_one),
    Mutation(
        "sample",
        "no sampling",
        everybody_drawn,
        lambda terms: terms.training.sampling_rate < 1,
    ),
)
"""What an audit must catch."""
