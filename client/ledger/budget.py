"""What has been spent: privacy events by account, operator and study, and the ε that they compose to.

The two accounts, training and held-out, are of different patients and do not compose with each other, unless who is
one patient changed after the first charge (``client.ledger.known_by``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.terms.limits import CAP_CLAUSES
from wardround.protocol.terms.terms import ACCOUNTS


@dataclass(frozen=True, kw_only=True)
class Charge:
    """One release, before it is computed: who asks, for what, and by which mechanism.

    operator is the public key that verified the terms; terms and weights_digest are SHA-256 in hex; event
    is what the release costs, its count being the noised steps. label: of the secure sum that the release is part of,
    hex; empty for a release that is private by itself. unmasked_noise_multiplier: what of the noise is left if every
    mask of that sum failed, this hospital's share; None for a release that is private by itself.
    """

    operator: str
    study: str
    terms: str
    round: int
    weights_digest: str
    event: PrivacyEvent
    account: str = "training"
    label: str = ""
    unmasked_noise_multiplier: float | None = None

    def __post_init__(self) -> None:
        """Check what no ledger may hold."""
        if self.account not in ACCOUNTS or self.round < 0:
            raise ConfigurationError(
                f"account={self.account!r}, round={self.round}: no such account or round"
            )

    @property
    def if_unmasked(self) -> "Charge":
        """The same charge at what it costs if every mask failed: itself where the release is private by itself."""
        if self.unmasked_noise_multiplier is None:
            return self
        return replace(self, event=replace(self.event, noise_multiplier=self.unmasked_noise_multiplier))


@dataclass(frozen=True)
class Assumed:
    """What may have left before a ledger was recovered, at its worst: the charge of so many releases together."""

    charge: Charge
    releases: int


@dataclass(frozen=True, kw_only=True)
class Caps:
    """Largest composed ε at the policy's one δ: for a study, an operator, for life. Infinity is no cap."""

    delta: float
    study: float = math.inf
    operator: float = math.inf
    life: float = math.inf

    @property
    def limits(self) -> tuple[float, float, float]:
        """The caps in the order of ``CAP_CLAUSES``."""
        return self.study, self.operator, self.life


class Spent(NamedTuple):
    """Composed ε of one account at one δ after a charge: of its study, its operator, all studies ever."""

    study: float
    operator: float
    life: float


Mechanism = tuple[float, float]
Counts = dict[Mechanism, int]
Scope = tuple[str, str | None, str | None]
"""Account, operator and study, None for all; a study is looked at within its operator."""


@lru_cache(maxsize=65_536)
def _composed(counts: tuple[tuple[Mechanism, int], ...], delta: float) -> float:
    return compose_epsilon([PrivacyEvent(sigma, rate, count) for (sigma, rate), count in counts], delta)


def composed_epsilon(counts: Counts, delta: float) -> float:
    """ε of so many events of each mechanism at δ, never below the exact value; kept once computed."""
    # Sorted: the order in which mechanisms first came does not matter to ε, and must not miss the cache.
    return _composed(tuple(sorted(counts.items())), delta) if counts else 0.0


def _count(counts: Counts, mechanism: Mechanism, count: int) -> None:
    counts[mechanism] = counts.get(mechanism, 0) + count


class Budget:
    """Events counted by account, operator and study; two operators' studies of one name stay apart.

    joined: whether the accounts may be of the same patients, and add up.
    """

    def __init__(self) -> None:
        """Start with nothing spent."""
        self.joined = False
        self._studies: dict[tuple[str, str, str], Counts] = {}

    def as_joined(self) -> "Budget":
        """Give the same budget with accounts that add up."""
        other = Budget()
        # Shared, not copied: the same events, summed up differently.
        other._studies, other.joined = self._studies, True
        return other

    def add(self, charge: Charge) -> None:
        """Count one charge."""
        event = charge.event
        counts = self._studies.setdefault((charge.account, charge.operator, charge.study), {})
        _count(counts, (event.noise_multiplier, event.sampling_rate), event.count)

    def move(self, operator: str, to: str) -> bool:
        """Count what stands under one operator's key under another; whether there was anything."""
        moved = [scope for scope in self._studies if scope[1] == operator]
        for account, _, study in moved:
            counts = self._studies.setdefault((account, to, study), {})
            for mechanism, count in self._studies.pop((account, operator, study)).items():
                _count(counts, mechanism, count)
        return bool(moved)

    def counts(self, account: str, operator: str | None = None, study: str | None = None) -> Counts:
        """Events of an account (of both where they are joined), of one operator or study where named."""
        total: Counts = {}
        for (of, by, name), counts in self._studies.items():
            if (self.joined or of == account) and operator in (None, by) and study in (None, name):
                for mechanism, count in counts.items():
                    _count(total, mechanism, count)
        return total

    def spent(
        self,
        account: str,
        delta: float,
        study: str | None = None,
        operator: str | None = None,
        further: Sequence[PrivacyEvent] = (),
        joined: bool = False,
    ) -> float:
        """Compose ε of an account: for life, of an operator or a study; as if ``further`` were charged.

        joined: as if both accounts added up already.
        """
        counts = (self.as_joined() if joined else self).counts(account, operator, study)
        for event in further:
            _count(counts, (event.noise_multiplier, event.sampling_rate), event.count)
        return composed_epsilon(counts, delta)

    def after(self, charge: Charge, delta: float) -> Spent:
        """Composed ε as it would stand after this charge; nothing is counted."""
        return Spent(*(composed_epsilon(self._after(charge, scope), delta) for scope in scopes_of(charge)))

    def check(self, charge: Charge, caps: Caps) -> None:
        """Refuse the charge that would exceed a cap (clause ``max_epsilon_…``); an infinite one is free."""
        for clause, cap, scope in zip(CAP_CLAUSES, caps.limits, scopes_of(charge), strict=True):
            # Composing takes time, and simulations, which have no caps, charge thousands of rounds.
            if cap == math.inf:
                continue
            after = composed_epsilon(self._after(charge, scope), caps.delta)
            # `not <=`, and not `>`: a NaN refuses.
            if not after <= cap:
                raise Refusal(
                    clause,
                    f"epsilon={after:.8g} after this release would exceed {cap:g} (policy.yaml: {clause}); "
                    f"{charge.account} account, delta={caps.delta:g}; nothing was spent",
                )

    def _after(self, charge: Charge, scope: Scope) -> Counts:
        counts = self.counts(*scope)
        event = charge.event
        _count(counts, (event.noise_multiplier, event.sampling_rate), event.count)
        return counts


def scopes_of(charge: Charge) -> tuple[Scope, Scope, Scope]:
    """What a charge adds to: its study, its operator, everything of its account."""
    account, operator = charge.account, charge.operator
    return (account, operator, charge.study), (account, operator, None), (account, None, None)
