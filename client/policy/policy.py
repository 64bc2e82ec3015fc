"""A hospital's own limits. Deny by default: what policy.yaml does not allow is refused.

Every clause is decided from terms, policy, ledger and clock alone, so that its name may leave the
hospital (rule 2). What depends on the tables is shown to the person who approves (``at_approval``).
A clause is named as its key in policy.yaml; ``client.policy.policy_file`` reads that file.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from wardround.client.ledger.budget import Caps
from wardround.client.ledger.port import Ledger
from wardround.client.policy.outreach import OutreachPolicy
from wardround.client.policy.peers import KnownMembers, Peer, known_members, peers_clause
from wardround.protocol.errors import Refusal
from wardround.protocol.plugin_file import PLUGINS
from wardround.protocol.privacy.mechanism import MOST_PATIENTS
from wardround.protocol.terms.cost import both_accounts_epsilon, events_left, releases, study_epsilon
from wardround.protocol.terms.limits import (
    CAP_CLAUSES,
    Clause,
    Limits,
    at_most,
    delta_clause,
    limit_clauses,
    listed,
    one_of,
    validity_clauses,
)
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.section import shown
from wardround.protocol.wire.peer_file import PeerFile

MAX_OTHER = 0.2
"""Share of a column's cells that may be none of the contract's words, unless a person allows more with a reason."""


@dataclass(frozen=True, kw_only=True)
class Policy(Limits):
    """A hospital's limits, who may propose studies here, and who decides; the defaults allow nothing.

    operators maps a name to a public key (``ed25519:…``). min_patients is for the person who approves.
    simulation permits terms marked so, and no others; own_models are the words that the home's plugins.yaml maps;
    identity is this hospital's own name and signing key, vouchers the verified peer files that the home keeps.
    policy.yaml can set none of these. peers: hospitals whose keys a person here compared, by name.
    max_other and max_export_age_days (by table) are what doctor holds the tables to. outreach: who decides about
    messages to patients, and where they may go.
    """

    operators: Mapping[str, str] = field(default_factory=dict)
    min_patients: int = 0
    require_approval: bool = True
    simulation: bool = False
    own_models: tuple[str, ...] = ()
    max_other: float = MAX_OTHER
    max_export_age_days: Mapping[str, float] = field(default_factory=dict)
    peers: Mapping[str, Peer] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict)
    vouchers: tuple[PeerFile, ...] = field(default=(), repr=False)
    outreach: OutreachPolicy = field(default_factory=OutreachPolicy)

    @property
    def peer_keys(self) -> dict[str, str]:
        """The peers' signing keys, by name."""
        return {name: peer.key for name, peer in self.peers.items()}

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


def permit(policy: Policy, terms: Terms, operator: str, ledger: Ledger, now: datetime) -> None:
    """Refuse terms that are looser than the policy, at the first clause that does not hold; spends nothing.

    operator is the public key that verified the terms' signature. What is left of the budget is checked
    by ``Ledger.charge``, so that a repeat of a release already paid for stays possible.
    """
    for clause in _clauses(policy, terms, operator, ledger, now):
        if not clause.holds:
            raise Refusal(
                clause.name, f"{clause.asked}; this hospital allows {clause.allowed} ({clause.file})"
            )


def allows_operator(policy: Policy, ledger: Ledger, operator: str) -> bool:
    """Whether the policy lists this key, or the one that it took the place of; a key out of use is nobody's."""
    first = ledger.identify(operator)
    return first is not None and not {operator, first}.isdisjoint(policy.operators.values())


def known_in(policy: Policy, terms: Terms) -> KnownMembers:
    """Sort the members of a study's secure sums by how this hospital knows them; ValueError where it has none."""
    if terms.secure_sum is None:
        raise ValueError("these terms have no secure sums")
    sums = terms.secure_sum
    return known_members(policy.peer_keys, policy.vouchers, sums.members, policy.identity, sums.colluding)


@dataclass(frozen=True)
class Forecast:
    """What a study would cost and whether it may be run to its end: every clause, with both values.

    epsilon is the composed ε of the study's training releases at the policy's δ, by themselves;
    heldout_epsilon that of its evaluations, which other patients pay for (0 without any). joined: who is one patient
    changed, so that the same patients may pay for both; each is then the ε of both together.
    """

    epsilon: float
    heldout_epsilon: float
    clauses: tuple[Clause, ...]
    joined: bool = False

    @property
    def permitted(self) -> bool:
        """Whether every clause holds, a person's approval included."""
        return all(clause.holds for clause in self.clauses)


def forecast(
    policy: Policy,
    terms: Terms,
    operator: str,
    ledger: Ledger,
    now: datetime,
    settings: Sequence[Clause] = (),
    would_join: bool = False,
) -> Forecast:
    """Give every clause, the rest of the budget to the study's last round included; nothing is spent.

    settings: clauses that the hospital's other settings decide. would_join: whether the study's next release makes both
    accounts of the ledger add up (``client.ledger.known_by``).
    """
    joined = ledger.joined or would_join
    clauses = [
        *_clauses(policy, terms, operator, ledger, now),
        *settings,
        *_rest_of_budget(policy, terms, operator, ledger, joined),
    ]
    cost = study_epsilon(terms, policy.delta)
    if joined:
        cost = dict.fromkeys(cost, both_accounts_epsilon(terms, policy.delta))
    return Forecast(cost["training"], cost.get("held_out", 0.0), tuple(clauses), joined)


def at_approval(policy: Policy, terms: Terms, hospital: str, eligible_patients: int) -> tuple[Clause, ...]:
    """Give the clauses that depend on the tables, for the person who approves to see and to answer for.

    eligible_patients: training patients who pass the gate today. Never decided by the machine at a plan.
    """
    # At a plan, a refusal by these would tell the operator about the tables (rule 2): a person answers for them, once.
    declared = terms.training.public_patients.get(hospital, 0)
    return (
        Clause(
            "hospital",
            f"hospital={shown(hospital)}, declared patients={declared}",
            "one that the terms name",
            declared > 0,
        ),
        Clause(
            "min_patients",
            f"eligible patients={eligible_patients}",
            f"at least {policy.min_patients}",
            eligible_patients >= policy.min_patients,
        ),
        # By the larger number, which is the stricter one.
        delta_clause(terms.privacy.delta, max(declared, eligible_patients), policy.max_delta_times_patients),
        Clause(
            "max_patients",
            f"eligible patients={eligible_patients}",
            f"at most {MOST_PATIENTS}",
            eligible_patients <= MOST_PATIENTS,
        ),
    )


def operator_clause(policy: Policy, operator: str, ledger: Ledger) -> Clause:
    """Whether the policy lists this key: what is asked of a request before anything else."""
    known = allows_operator(policy, ledger, operator)
    return Clause("operators", f"operator={operator}", listed(policy.operators), known)


def _clauses(policy: Policy, terms: Terms, operator: str, ledger: Ledger, now: datetime) -> Iterator[Clause]:
    simulated = "simulations only" if policy.simulation else "no simulation"
    yield Clause(
        "simulation", f"simulation={terms.simulation}", simulated, terms.simulation == policy.simulation
    )
    if policy.simulation:
        return
    yield from validity_clauses(terms, now)
    yield operator_clause(policy, operator, ledger)
    yield from limit_clauses(policy, terms)
    if terms.secure_sum is not None:
        yield peers_clause(known_in(policy, terms), terms.secure_sum, policy.min_colluding)
    if terms.model.structure.own_module:
        known = one_of("plugins", "model.kind", terms.model.kind, policy.own_models)
        yield replace(known, file=PLUGINS)
    decision = ledger.decision(terms.fingerprint, operator)
    # What a person declined stays declined, also where the policy asks for no approval.
    approved = decision == "approved" or (decision is None and not policy.require_approval)
    asked = f"terms {terms.fingerprint} are {decision or 'pending'}"
    yield Clause("approval", asked, "approved terms", approved)


def _rest_of_budget(
    policy: Policy, terms: Terms, operator: str, ledger: Ledger, joined: bool
) -> Iterator[Clause]:
    payer = ledger.identify(operator) or operator
    scopes = ((terms.study, payer), (None, payer), (None, None))
    rests = {}
    for account, _ in releases(terms):
        charged = ledger.rounds_charged(payer, terms.fingerprint, account)
        rests[account] = events_left(terms, account, charged)
    for account, rest in rests.items():
        # Where accounts add up, what is left of both is paid by the same patients.
        further = [event for one in rests.values() for event in one] if joined else rest
        for name, cap, (study, by) in zip(CAP_CLAUSES, policy.caps.limits, scopes, strict=True):
            after = ledger.spent(account, policy.delta, study, by, further, joined)
            asked = f"epsilon after the last round, with all that was spent, {account} patients"
            yield at_most(name, asked, after, cap)
