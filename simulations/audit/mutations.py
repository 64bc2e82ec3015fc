"""The code, broken in known ways: an audit that would not notice these says nothing about the code as it is.

Each is a context manager that replaces one of the product's functions while it lasts, and puts it back.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from types import ModuleType

import numpy as np

from wardround.client.round import evaluate
from wardround.client.train import clipped_sum_additive, update
from wardround.protocol.arrays import EitherFloats, Floats
from wardround.protocol.privacy import mechanism
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.terms.terms import Terms


@dataclass(frozen=True)
class Mutation:
    """One way to break the code, for studies with one local step.

    words: what is broken. broken: breaks it for studies of these terms. applies: whether they use what is broken.
    """

    name: str
    words: str
    broken: Callable[[Terms], AbstractContextManager[None]]
    applies: Callable[[Terms], bool] = lambda terms: True


@contextmanager
def replaced(module: ModuleType, name: str, new: object) -> Iterator[None]:
    """Put ``new`` in the place of a module's function while this lasts."""
    old = getattr(module, name)
    setattr(module, name, new)
    try:
        yield
    finally:
        setattr(module, name, old)


@contextmanager
def no_clip(terms: Terms) -> Iterator[None]:
    """Clip nobody, and count each patient's gradient three times."""

    def factors(norms: EitherFloats, clip_norm: float) -> Floats:
        return np.full(norms.shape, 3.0)

    with replaced(clipped_sum_additive, "clip_factors", factors):
        yield


@contextmanager
def half_noise(terms: Terms) -> Iterator[None]:
    """Draw noise of half its standard deviation, for training and for tables."""
    real = mechanism.add_noise

    def half(sums: Floats, stddev: float, streams: Sequence[Keystream]) -> Floats:
        return real(sums, stddev / 2, streams)

    with replaced(update, "add_noise", half), replaced(evaluate, "add_noise", half):
        yield


@contextmanager
def one_round_bare(terms: Terms) -> Iterator[None]:
    """Leave the noise out of the last round alone."""
    real, asked = mechanism.add_noise, count(1)

    def in_all_but_one(sums: Floats, stddev: float, streams: Sequence[Keystream]) -> Floats:
        # The attack asks all its runs at once, round after round: one call is one round.
        last = next(asked) % terms.training.rounds == 0
        return sums if last else real(sums, stddev, streams)

    with replaced(update, "add_noise", in_all_but_one):
        yield


@contextmanager
def everybody_drawn(terms: Terms) -> Iterator[None]:
    """Take every patient in every step, though the terms promise a Poisson sample."""
    with replaced(update, "draw_sample", lambda cohort, rate, streams: None):
        yield


MUTATIONS = (
    Mutation("clip", "no clip", no_clip),
    Mutation("noise_halved", "half the noise", half_noise),
    Mutation("noise_left_out", "a round without noise", one_round_bare),
    Mutation(
        "sample",
        "no sampling",
        everybody_drawn,
        lambda terms: terms.training.sampling_rate < 1,
    ),
)
"""What an audit must catch."""
