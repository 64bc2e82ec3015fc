"""A hospital's own limits. Deny by default: what policy.yaml does not allow is refused.

Every clause is decided from terms, policy, ledger and clock alone, so that its name may leave the
hospital (rule 2). What depends on the tables is shown to the person who approves (``at_approval``).
A clause is named as its key in policy.yaml; ``client.policy_file`` reads that file.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from client.ledger.budget import CAP_CLAUSES, Caps
from client.ledger.port import Ledger
from protocol.accounting import PrivacyEvent, compose_epsilon
from protocol.contract import TABLES, Contract
from protocol.errors import Refusal
from protocol.section import shown
from protocol.terms import Terms


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Limits that terms may only tighten; the defaults allow nothing.

    operators maps a name to a public key (``ed25519:…``). contracts lists names or fingerprints,
    features the ``table.column``s that may be read: where both stand both must hold, where neither stands
    no contract is allowed. ε caps are at ``delta``, the one δ of all studies. min_patients is for the
    person who approves. simulation permits terms marked so, and no others; no file can set it.
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
    require_consent: bool = True
    require_approval: bool = True
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
        require_approval=False,
        simulation=True,
    )


@dataclass(frozen=True)
class Clause:
    """One limit: what is asked, what this hospital allows, and whether that holds."""

    name: str
    asked: str
    allowed: str
    holds: bool


def permit(policy: Policy, terms: Terms, operator: str, ledger: Ledger, now: datetime) -> None:
    """Refuse terms that are looser than the policy, at the first clause that does not hold; spends nothing.

    operator is the public key that verified the terms' signature. What is left of the budget is checked
    by ``Ledger.charge``, so that a repeat of a release already paid for stays possible.
    """
    for clause in _clauses(policy, terms, operator, ledger, now):
        if not clause.holds:
            raise Refusal(clause.name, f"{clause.asked}; this hospital allows {clause.allowed} (policy.yaml)")


@dataclass(frozen=True)
class Forecast:
    """What a study would cost and whether it may be run to its end: every clause, with both values.

    epsilon is the composed ε of the study's training releases at the policy's δ, by themselves;
    heldout_epsilon that of its evaluations, which other patients pay for (0 without any).
    """

    epsilon: float
    heldout_epsilon: float
    clauses: tuple[Clause, ...]

    @property
    def permitted(self) -> bool:
        """Whether every clause holds, a person's approval included."""
        return all(clause.holds for clause in self.clauses)


def forecast(policy: Policy, terms: Terms, operator: str, ledger: Ledger, now: datetime) -> Forecast:
    """Give every clause, the rest of the budget to the study's last round included; nothing is spent."""
    clauses = [
        *_clauses(policy, terms, operator, ledger, now),
        *_rest_of_budget(policy, terms, operator, ledger),
    ]
    cost = _cost(policy, terms)
    return Forecast(cost["training"], cost.get("held_out", 0.0), tuple(clauses))


def at_approval(policy: Policy, terms: Terms, hospital: str, eligible_patients: int) -> tuple[Clause, ...]:
    """Give the clauses that depend on the tables, for the person who approves to see and to answer for.

    eligible_patients: training patients who pass the gate today. Never decided by the machine at a plan.
    """
    declared = terms.training.public_patients.get(hospital, 0)
    return (
        Clause("hospital", f"hospital={shown(hospital)}", "one that the terms name", declared > 0),
        Clause(
            "min_patients",
            f"eligible patients={eligible_patients}",
            f"at least {policy.min_patients}",
            eligible_patients >= policy.min_patients,
        ),
        Clause(
            "delta",
            f"delta={terms.privacy.delta:g}",
            f"below 1/patients={1 / max(declared, 1):.3g} for {declared} declared patients",
            terms.privacy.delta * declared < 1,
        ),
    )


def _clauses(policy: Policy, terms: Terms, operator: str, ledger: Ledger, now: datetime) -> Iterator[Clause]:
    simulated = "simulations only" if policy.simulation else "no simulation"
    yield Clause(
        "simulation", f"simulation={terms.simulation}", simulated, terms.simulation == policy.simulation
    )
    if policy.simulation:
        return
    yield _one_of("noise", "privacy.noise", terms.privacy.noise, ("local",))
    expiry = f"expires_at={shown(terms.expires_at)}"
    yield Clause("expires_at", expiry, f"later than {now.isoformat()}", _lives(terms, now))
    first = ledger.identify(operator)
    known = first is not None and not {operator, first}.isdisjoint(policy.operators.values())
    yield Clause("operators", f"operator={operator}", _listed(policy.operators), known)
    yield from _what(policy, terms.contract)
    yield _one_of("models", "model.kind", terms.model.kind, policy.models)
    yield from _how(policy, terms)
    yield from _how_much(policy, terms)
    decision = ledger.decision(terms.fingerprint, operator)
    approved = decision == "approved" or (decision is None and not policy.require_approval)
    asked = f"terms {terms.fingerprint} are {decision or 'pending'}"
    yield Clause("approval", asked, "approved terms", approved)


def _what(policy: Policy, contract: Contract) -> Iterator[Clause]:
    yield _one_of("purposes", "purpose", contract.purpose, policy.purposes)
    listed = not {contract.name, contract.fingerprint}.isdisjoint(policy.contracts)
    if policy.contracts or not policy.features:
        asked = f"contract={shown(contract.name)} {contract.fingerprint}"
        yield Clause("contracts", asked, _listed(policy.contracts), listed)
    if policy.features:
        read = {f"{table}.{column}" for table in TABLES for column in contract.columns(table)}
        unlisted = ", ".join(sorted(read - set(policy.features)))
        asked = f"columns={shown(unlisted or 'all listed')}"
        yield Clause("features", asked, _listed(policy.features), not unlisted)
    consent, allowed = contract.consent.required, "true" if policy.require_consent else "true or false"
    holds = consent or not policy.require_consent
    yield Clause("require_consent", f"consent.required={consent}", allowed, holds)
    most = policy.max_events_per_patient
    yield _at_most("max_events_per_patient", "events_per_patient", contract.events_per_patient, most)


def _how(policy: Policy, terms: Terms) -> Iterator[Clause]:
    delta, clip_norm = terms.privacy.delta, terms.privacy.clip_norm
    yield Clause("delta", f"delta={delta:g}", f"{policy.delta:g}", delta == policy.delta)
    yield _at_least("min_clip_norm", "clip_norm", clip_norm, policy.min_clip_norm)
    yield _at_most("max_clip_norm", "clip_norm", clip_norm, policy.max_clip_norm)
    floor = policy.min_noise_multiplier
    yield _at_least("min_noise_multiplier", "noise_multiplier", terms.noise_multiplier, floor)
    yield _at_most("max_rounds", "rounds", terms.training.rounds, policy.max_rounds)


def _how_much(policy: Policy, terms: Terms) -> Iterator[Clause]:
    stated = {"training": terms.privacy.epsilon}
    if terms.evaluation is not None:
        stated["held_out"] = terms.evaluation.epsilon
    for account, cost in _cost(policy, terms).items():
        asked = f"composed epsilon of {account} patients={cost:.8g}"
        yield Clause("epsilon", asked, f"{stated[account]:g}, as the terms say", cost <= stated[account])
        for name, cap in zip(CAP_CLAUSES, policy.caps.limits, strict=True):
            yield _at_most(name, f"epsilon of the study, {account} patients", cost, cap)


def _rest_of_budget(policy: Policy, terms: Terms, operator: str, ledger: Ledger) -> Iterator[Clause]:
    payer = ledger.identify(operator) or operator
    scopes = ((terms.study, payer), (None, payer), (None, None))
    for account, release, count in _releases(terms):
        left = count - ledger.rounds_charged(payer, terms.fingerprint, account)
        further = replace(release, count=release.count * left) if left > 0 else None
        for name, cap, (study, by) in zip(CAP_CLAUSES, policy.caps.limits, scopes, strict=True):
            after = ledger.spent(account, policy.delta, study, by, further)
            asked = f"epsilon after the last round, with all that was spent, {account} patients"
            yield _at_most(name, asked, after, cap)


def _releases(terms: Terms) -> Iterator[tuple[str, PrivacyEvent, int]]:
    """Give each account's releases under the terms: the event of one, and how many there are."""
    training = terms.training
    event = PrivacyEvent(terms.noise_multiplier, training.sampling_rate, training.local_steps)
    yield "training", event, training.rounds
    if terms.evaluation is not None:
        yield "held_out", PrivacyEvent(terms.evaluation.noise_multiplier), len(terms.evaluation.rounds)


def _cost(policy: Policy, terms: Terms) -> dict[str, float]:
    return {
        account: compose_epsilon([replace(release, count=release.count * count)], policy.delta)
        for account, release, count in _releases(terms)
    }


def _lives(terms: Terms, now: datetime) -> bool:
    try:
        return now < datetime.fromisoformat(terms.expires_at)
    except (TypeError, ValueError):  # no date, or one without its time zone
        return False


def _listed(allowed: Collection[str]) -> str:
    return shown(", ".join(allowed)) if allowed else "none"


def _one_of(name: str, key: str, value: str, allowed: tuple[str, ...]) -> Clause:
    return Clause(name, f"{key}={shown(value)}", _listed(allowed), value in allowed)


def _at_least(name: str, key: str, value: float, least: float) -> Clause:
    return Clause(name, f"{key}={value:.8g}", f"at least {least:g}", value >= least)


def _at_most(name: str, key: str, value: float, most: float) -> Clause:
    return Clause(name, f"{key}={value:.8g}", f"at most {most:g}", value <= most)
