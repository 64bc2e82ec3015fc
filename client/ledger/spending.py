"""What a chain's charges come to: events counted by scope, and the ε that the last charge of each scope stated."""

from collections.abc import Sequence
from typing import NamedTuple

from wardround.client.ledger.budget import Budget, Charge, Scope, Spent, scopes_of
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.terms.terms import ACCOUNTS


class Stated(NamedTuple):
    """An ε as an entry states it: composed at delta by this version of the program (code)."""

    epsilon: float
    delta: float
    code: str


class Spending:
    """Follows charges in their order; operators stand under their first keys."""

    def __init__(self) -> None:
        """Start with nothing spent."""
        self.budget = Budget()
        self._stated: dict[Scope, Stated] = {}

    def add(self, charge: Charge, stated: Spent, delta: float, code: str) -> None:
        """Count a charge, and what its entry states after it."""
        self.budget.add(charge)
        accounts = ACCOUNTS if self.budget.joined else (charge.account,)
        for scope, epsilon in zip(scopes_of(charge), stated, strict=True):
            one = Stated(epsilon, delta, code)
            self._stated |= {(account, *scope[1:]): one for account in accounts}

    def join(self) -> None:
        """Let both accounts add up from now on."""
        self.budget = self.budget.as_joined()
        # What earlier charges stated was of one account alone.
        self._stated.clear()

    def move(self, operator: str, to: str) -> None:
        """Count what stands under one operator's key under another."""
        if self.budget.move(operator, to):
            # Stated of one of the two keys alone: composed anew when it is asked for.
            self._stated = {scope: stated for scope, stated in self._stated.items() if scope[1] is None}

    def stated(self, account: str) -> Stated | None:
        """Return what the last charge of an account states for life; None before the first."""
        return self._stated.get((account, None, None))

    def spent(
        self,
        account: str,
        delta: float,
        study: str | None,
        operator: str | None,
        further: Sequence[PrivacyEvent],
        code: str,
        joined: bool,
    ) -> float:
        """Compose ε, or read it off the last charge in scope, if the same code composed it at this δ."""
        stated = self._stated.get((account, operator, study))
        if (
            not further
            # `<=` of two truth values: only joined accounts that are not joined yet must be composed anew.
            and joined <= self.budget.joined
            and stated is not None
            and stated[1:] == (delta, code)
        ):
            return stated.epsilon
        return self.budget.spent(account, delta, study, operator, further, joined)
