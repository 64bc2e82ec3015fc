"""A hospital's own limits. Deny by default: what policy.yaml does not allow is refused.

Every clause is decided from terms, policy, ledger and clock alone, so that its name may leave the
hospital (rule 2). What depends on the tables is shown to the person who approves (``at_approval``).
A clause is named as its key in policy.yaml.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from client.budget import Caps
from client.ledger import Ledger
from protocol.accounting import PrivacyEvent, compose_epsilon
from protocol.errors import Refusal
from protocol.terms import Terms


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Limits that terms may only tighten; the defaults allow nothing.

    operators maps a name to a public key (``ed25519:…``). contracts lists names or fingerprints,
    features ``table.column``s that may be read: where both stand both must hold, where neither stands
    nothing is allowed. ε caps are at ``delta``. min_patients is for the person who approves. simulation
    permits terms marked so, and no others; no file can set it.
    """

    delta: float
    operators: Mapping[str, str] = field(default_factory=dict)
    purposes: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    max_epsilon_per_study: float = 0.0
    max_epsilon_per_operator: float = 0.0
    max_epsilon_for_life: float = 0.0
    max_rounds: int = 0
    max_events_per_patient: int = 0
    min_clip_norm: float = math.inf
    max_clip_norm: float = 0.0
    min_noise_multiplier: float = math.inf
    min_patients: int = 0
    approval: bool = True
    simulation: bool = False

    @property
    def caps(self) -> Caps:
        """What the ledger checks, atomically, at every charge."""
        return Caps(
            delta=self.delta,
            study=self.max_epsilon_per_study,
            operator=self.max_epsilon_per_operator,
            life=self.max_epsilon_for_life,
        )


def simulation_policy(delta: float, max_epsilon_for_life: float = math.inf) -> Policy:
    """Permit whatever is marked a simulation, within a lifetime ε; real terms are refused."""
    return Policy(
        delta=delta,
        max_epsilon_per_study=math.inf,
        max_epsilon_per_operator=math.inf,
        max_epsilon_for_life=max_epsilon_for_life,
        approval=False,
        simulation=True,
    )


@dataclass(frozen=True)
class Clause:
    """One limit: what the terms ask, what the policy allows, and whether that holds."""

    name: str
    asked: str
    allowed: str
    holds: bool


def permit(policy: Policy, terms: Terms, operator: str, ledger: Ledger, now: datetime) -> None:
    """Refuse terms that are looser than the policy, at the first clause that does not hold; spends nothing.

    operator is the public key that verified the terms' signature. The rest of the budget is checked by
    ``Ledger.charge``, so that a repeat of a release already paid for stays possible.
    """
    for clause in _clauses(policy, terms, operator, ledger, now):
        if not clause.holds:
            raise Refusal(clause.name, f"{clause.asked}; this hospital allows {clause.allowed}")


def _clauses(policy: Policy, terms: Terms, operator: str, ledger: Ledger, now: datetime) -> Iterator[Clause]:
    yield Clause("simulation", f"simulation={terms.simulation}", f"{policy.simulation}", terms.simulation == policy.simulation)
