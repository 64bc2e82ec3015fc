"""The one cost of a study: what it releases about a patient of each account, and the ε of it against whom.

Everything that states a cost reads it here, so that a plan's forecast, a hospital's charge, a model card and a
simulation's summary cannot differ.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement

from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, epsilon_by_adversary
from wardround.protocol.terms.request import REQUESTS, UPDATE
from wardround.protocol.terms.terms import Terms


def releases(terms: Terms) -> Iterator[tuple[str, PrivacyEvent, int]]:
    """Give each account's releases under the terms: the event of one, and how many there are."""
    for request in REQUESTS:
        if count := len(request.rounds(terms)):
            yield request.account, request.event(terms), count


def training_event(terms: Terms, rounds: int | None = None) -> PrivacyEvent:
    """Give the cost of so many rounds, by default all, spare ones too, to a training patient who misses none."""
    return times(UPDATE.event(terms), terms.last_round if rounds is None else rounds)


def times(event: PrivacyEvent, count: int) -> PrivacyEvent:
    """Give the cost of ``count`` such releases."""
    return replace(event, count=event.count * count)


def study_epsilon(terms: Terms, delta: float) -> dict[str, float]:
    """Compose what a study costs a patient of each account who misses none of its releases."""
    return {
        account: compose_epsilon([times(release, count)], delta)
        for account, release, count in releases(terms)
    }


def both_accounts_epsilon(terms: Terms, delta: float) -> float:
    """Compose what a study costs one who is of both accounts at one hospital.

    That may be so where the hospital changed who is one patient after its first release.
    """
    return compose_epsilon([times(release, count) for _, release, count in releases(terms)], delta)


def two_hospitals_epsilon(terms: Terms, delta: float, joined: bool = False) -> float:
    """Compose what a study costs a person who is a patient at two of its hospitals, in the worst pair of accounts.

    The person may train at both, be held out at both, or train at one and be held out at the other. joined: be of both
    accounts at both (``both_accounts_epsilon``).
    """
    # variance_of_two is a variance, a noise multiplier a standard deviation.
    share = math.sqrt(terms.privacy.mode.variance_of_two)
    whole = [
        replace(times(release, count), noise_multiplier=release.noise_multiplier * share)
        for _, release, count in releases(terms)
    ]
    if joined:
        return compose_epsilon([*whole, *whole], delta)
    # With replacement: the person may be of the same account at both.
    pairs = combinations_with_replacement(whole, 2)
    return max(compose_epsilon(pair, delta) for pair in pairs)


def colluding_hospitals(terms: Terms) -> int:
    """Give how many other hospitals a stated ε assumes to help the server: one, where there is another."""
    return min(1, len(terms.hospitals) - 1)


def epsilon_against(terms: Terms, event: PrivacyEvent) -> dict[str, float]:
    """Give a patient's ε of ``event``, of either account, against each adversary (``epsilon_by_adversary``)."""
    return epsilon_by_adversary(
        terms.privacy.mode,
        event.noise_multiplier,
        len(terms.hospitals),
        event.sampling_rate,
        event.count,
        terms.privacy.delta,
        colluding_hospitals(terms),
    )
