"""The one cost of a study: what it releases about a patient of each account, and the ε of it against whom.

Everything that states a cost reads it here, so that a plan's forecast, a hospital's charge, a model card and a
simulation's summary cannot differ.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations_with_replacement

from wardround.protocol.privacy.accounting import (
    PrivacyEvent,
    compose_epsilon,
    epsilon_by_adversary,
    merge_events,
)
from wardround.protocol.terms.request import UPDATE, RequestKind, requests_of
from wardround.protocol.terms.terms import Terms

Events = tuple[PrivacyEvent, ...]


def releases(terms: Terms) -> Iterator[tuple[str, Events]]:
    """Give each account's releases under the terms, those with equal noise as one event."""
    for request in requests_of(terms):
        if found := events(terms, request):
            yield request.account, found


def events(terms: Terms, request: RequestKind, count: int | None = None) -> Events:
    """Give what the first ``count`` rounds of a kind cost one who misses none; by default all, spare ones too."""
    return _of_rounds(terms, request, list(request.rounds(terms))[:count])


def training_events(terms: Terms, rounds: int | None = None) -> Events:
    """Give the cost of so many rounds, by default all, to a training patient who misses none."""
    return events(terms, UPDATE, rounds)


def events_left(terms: Terms, account: str, charged: int) -> Events:
    """Give what all rounds but the first ``charged`` cost a patient of an account: at least what can still come.

    A hospital that was charged so many rounds goes on beyond them and never back; where it missed some, less can come.
    """
    request = next(kind for kind in requests_of(terms) if kind.account == account)
    return _of_rounds(terms, request, list(request.rounds(terms))[charged:])


def _of_rounds(terms: Terms, request: RequestKind, rounds: Iterable[int]) -> Events:
    return merge_events(request.event(terms, number) for number in rounds)


def study_epsilon(terms: Terms, delta: float) -> dict[str, float]:
    """Compose what a study costs a patient of each account who misses none of its releases."""
    return {account: compose_epsilon(found, delta) for account, found in releases(terms)}


def both_accounts_epsilon(terms: Terms, delta: float) -> float:
    """Compose what a study costs one who is of both accounts at one hospital.

    That may be so where the hospital changed who is one patient after its first release.
    """
    return compose_epsilon([event for _, found in releases(terms) for event in found], delta)


def two_hospitals_epsilon(terms: Terms, delta: float, joined: bool = False) -> float:
    """Compose what a study costs a person who is a patient at two of its hospitals, in the worst pair of accounts.

    The person may train at both, be held out at both, or train at one and be held out at the other. joined: be of both
    accounts at both (``both_accounts_epsilon``).
    """
    # variance_of_two is a variance, a noise multiplier a standard deviation.
    share = math.sqrt(terms.privacy.mode.variance_of_two)
    whole = [
        [replace(event, noise_multiplier=event.noise_multiplier * share) for event in found]
        for _, found in releases(terms)
    ]
    if joined:
        both = [event for found in whole for event in found]
        return compose_epsilon([*both, *both], delta)
    # With replacement: the person may be of the same account at both.
    pairs = combinations_with_replacement(whole, 2)
    return max(compose_epsilon([*one, *other], delta) for one, other in pairs)


def unmasked_epsilon(terms: Terms, delta: float) -> dict[str, float]:
    """Compose what a study costs a patient of each account if every mask of its secure sums failed.

    That is where more hospitals help the server than the terms assume, or where X25519 is broken one day: each release
    is then seen with one hospital's share of the noise. Empty without secure sums.
    """
    if terms.secure_sum is None:
        return {}
    return {
        account: compose_epsilon([unmasked_event(terms, account, event) for event in found], delta)
        for account, found in releases(terms)
    }


def unmasked_event(terms: Terms, account: str, event: PrivacyEvent) -> PrivacyEvent:
    """Give what releases of an account cost a patient if every mask failed; without secure sums the event as it is."""
    if terms.secure_sum is None:
        return event
    request = next(kind for kind in requests_of(terms) if kind.account == account)
    shares = request.sum_noise_at(terms, event.noise_multiplier).shares
    return replace(event, noise_multiplier=shares.multipliers()[MASKS_FAILED])


def unmasked_multiplier(terms: Terms, account: str, event: PrivacyEvent) -> float | None:
    """Give the noise multiplier that such releases have if every mask failed; None without secure sums."""
    if terms.secure_sum is None:
        return None
    return unmasked_event(terms, account, event).noise_multiplier


def colluding_hospitals(terms: Terms) -> int:
    """Give how many other hospitals a stated ε assumes to help the server: t; without secure sums one, if any."""
    if terms.secure_sum is not None:
        return terms.thresholds.colluding
    return min(1, len(terms.hospitals) - 1)


MASKS_FAILED, SMALLEST_SUM = "masks_failed", "secure_sum_and_hospitals"
TWO_HOSPITALS = "patient_at_two_hospitals"


def epsilon_against(terms: Terms, request: RequestKind, count: int) -> dict[str, float]:
    """Give a patient's ε of the first ``count`` releases of a kind against each adversary.

    Keys are those of ``accounting.epsilon_by_adversary``; in secure sums those of ``NoiseShares.multipliers``, of which
    ``secure_sum_and_hospitals`` is the stated one, ``model`` is smaller and ``masks_failed`` by far the largest.
    ``patient_at_two_hospitals`` is a bound with sampling, and exact at full participation.
    """
    found, delta = events(terms, request, count), terms.privacy.delta
    if terms.secure_sum is None:
        return epsilon_by_adversary(found, len(terms.hospitals), delta)
    costs: dict[str, list[PrivacyEvent]] = {key: [] for key in _IN_SECURE_SUMS}
    for event in found:
        multipliers = request.sum_noise_at(terms, event.noise_multiplier).shares.multipliers()
        seen = {key: replace(event, noise_multiplier=each) for key, each in multipliers.items()}
        for key in ("model", SMALLEST_SUM, MASKS_FAILED):
            costs[key].append(seen[key])
        costs[TWO_HOSPITALS] += _at_two_hospitals(terms, seen[SMALLEST_SUM])
    return {key: compose_epsilon(each, delta) for key, each in costs.items()}


_IN_SECURE_SUMS = ("model", SMALLEST_SUM, TWO_HOSPITALS, MASKS_FAILED)


def _at_two_hospitals(terms: Terms, event: PrivacyEvent) -> list[PrivacyEvent]:
    """Give the two events of a person at two hospitals of the sums, whose noise together is that of ``event``.

    Proof: the sum of two releases, each with half the variance, has the sum's law, and hides no less than both. At
    full participation that is exact: half the multiplier.
    """
    # Never one event of half the multiplier at the same rate: each hospital draws the person by itself, and so the
    # person is in a round nearly twice as often.
    half = event.noise_multiplier * math.sqrt(terms.privacy.mode.variance_of_two)
    return [replace(event, noise_multiplier=half)] * 2
