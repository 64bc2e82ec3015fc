"""What the notice states: read off the approved contracts, the policy and the ledger, and nothing else."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wardround.client.gate.identity import HELDOUT_SHARE
from wardround.client.ledger.entries import Entry
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.notice.hospital_words import HospitalWords
from wardround.client.notice.odds import Odds, odds, odds_of_two
from wardround.client.notice.sum_condition import SumCondition, gather_condition
from wardround.client.policy.policy import Policy
from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.sizes import numbers_released
from wardround.protocol.terms.limits import expiry_of
from wardround.protocol.terms.request import requests_of
from wardround.protocol.terms.terms import ACCOUNTS
from wardround.protocol.wire.signed_terms import SignedTerms


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """One study that was approved, or that has learned here.

    rounds: the most there can be, spares of them only in the place of rounds that gave no result. releases counts what
    has left under it; numbers are those of one training release. query: what is asked where no model is trained.
    """

    name: str
    operator: str
    purpose: str
    approved_at: datetime | None
    expires_at: datetime
    rounds: int
    spares: int
    rounds_charged: int
    releases: int
    numbers: int
    ended: bool
    query: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the page says.

    contracts: those of its studies, each once. so_far: against whoever sees all that has left; per_study, ever:
    the most that the policy allows, for one study and over all that there will be. two_hospitals: about a person who is
    a patient at another hospital too, which allows as much (group privacy: 2 ε at (1 + e^ε) δ, an upper bound also
    where one secure sum has both of the person's records, for which 2 ε at 2 δ is none).
    sums: what these odds stand on where a study has secure sums, None where none has.
    joined: who is one patient changed after the first release, so that both accounts are of the same patients.
    """

    hospital: str
    contact: str
    at: datetime
    studies: tuple[StudyFacts, ...]
    contracts: tuple[Contract, ...]
    tables: tuple[tuple[str, tuple[str, ...]], ...]
    so_far: Odds
    ever: Odds
    per_study: Odds
    two_hospitals: Odds
    joined: bool
    delta: float
    heldout_share: float
    require_approval: bool
    ledger_entries: int
    ledger_head: str
    policy_digest: str
    words: HospitalWords
    sums: SumCondition | None = None

    @property
    def running(self) -> tuple[StudyFacts, ...]:
        """Studies that may still learn."""
        return tuple(study for study in self.studies if not study.ended)


def gather(
    *,
    hospital: str,
    contact: str,
    known: Sequence[SignedTerms],
    policy: Policy,
    policy_text: bytes,
    ledger: SqliteLedger,
    names: dict[str, str],
    now: datetime,
    words: HospitalWords,
) -> Facts:
    """Read the facts. known: terms whose decisions the ledger holds; names: an operator's key to its real name."""
    entries = ledger.entries()
    _require_known_terms(entries, known)
    charged = {entry.fields["terms"] for entry in entries if entry.kind == "charged"}
    decisions = {s.terms.fingerprint: ledger.decision(s.terms.fingerprint, s.operator) for s in known}
    # What was charged has learned here, whatever a person decided since.
    told = [
        s for s in known if decisions[s.terms.fingerprint] == "approved" or s.terms.fingerprint in charged
    ]
    contracts = {s.terms.contract.fingerprint: s.terms.contract for s in told}
    # The larger one: a patient is in one of the accounts, and the page speaks to all.
    spent = max(ledger.spent(account, policy.delta) for account in ACCOUNTS)
    studies = tuple(_study(s, entries, names, decisions[s.terms.fingerprint], now) for s in told)
    running = [signed for signed, study in zip(told, studies, strict=True) if not study.ended]
    return Facts(
        hospital=hospital,
        contact=contact,
        at=now,
        studies=studies,
        contracts=tuple(contracts.values()),
        tables=_tables(tuple(contracts.values())),
        so_far=odds(spent, policy.delta),
        # What is spent stays spent, also where the cap was lowered since.
        ever=odds(max(policy.max_epsilon_for_life, spent), policy.delta),
        per_study=odds(policy.max_epsilon_per_study, policy.delta),
        two_hospitals=odds_of_two(max(policy.max_epsilon_for_life, spent), policy.delta),
        joined=ledger.joined,
        delta=policy.delta,
        heldout_share=HELDOUT_SHARE,
        require_approval=policy.require_approval,
        ledger_entries=len(entries),
        ledger_head=ledger.head,
        policy_digest=hashlib.sha256(policy_text).hexdigest(),
        words=words,
        sums=gather_condition(known, {s.terms.fingerprint for s in told}, running, policy, ledger),
    )


def _tables(contracts: Sequence[Contract]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Columns read of each table, over all contracts."""
    columns = {table: [c for contract in contracts for c in contract.columns(table)] for table in TABLES}
    return tuple((table, tuple(dict.fromkeys(listed))) for table, listed in columns.items() if listed)


def _require_known_terms(entries: Sequence[Entry], known: Sequence[SignedTerms]) -> None:
    """Refuse to tell half: a study that was charged, and whose terms are not here, may have read anything."""
    here = {signed.terms.fingerprint for signed in known}
    for entry in entries:
        if entry.kind == "charged" and entry.fields["terms"] not in here:
            raise ConfigurationError(
                f"notice: study {entry.fields['study']} was charged, and its terms {str(entry.fields['terms'])[:12]}… "
                f"are not in terms/; put the operator's signed file there"
            )


def _study(
    signed: SignedTerms, entries: Sequence[Entry], names: dict[str, str], decision: str | None, now: datetime
) -> StudyFacts:
    terms = signed.terms
    own = [entry for entry in entries if entry.fields.get("terms") == terms.fingerprint]
    charged = {entry.hash: entry.fields["account"] for entry in own if entry.kind == "charged"}
    expires_at = expiry_of(terms) or now
    # With the spare slots: a study that used one was called ended, after "41 of 40 rounds".
    plans = sum(len(kind.rounds(terms)) for kind in requests_of(terms))
    return StudyFacts(
        name=terms.study,
        operator=names.get(signed.operator, "an operator that is no longer listed"),
        purpose=terms.contract.purpose,
        approved_at=max((entry.time for entry in own if entry.kind == "approved"), default=None),
        expires_at=expires_at,
        rounds=terms.last_round,
        spares=terms.last_round - terms.training.rounds,
        rounds_charged=sum(account == "training" for account in charged.values()),
        releases=sum(entry.kind == "released" and entry.fields["charge"] in charged for entry in entries),
        numbers=numbers_released(terms),
        query=terms.query.kind if terms.query else "",
        ended=expires_at <= now or decision == "declined" or len(charged) >= plans,
    )
