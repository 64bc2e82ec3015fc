"""What stands behind a decision about a study, whoever asks for it: the terminal (``decide``) or the pages."""

from collections.abc import Iterable

from wardround.client.commands.last_entry import LastEntry, last_entry
from wardround.client.commands.open_home import OpenHome
from wardround.client.connectors.source import read_tables
from wardround.client.gate.admit import admit
from wardround.client.home.terms_folder import keep_pending
from wardround.client.ledger.fields import utc_text
from wardround.client.policy.policy import at_approval
from wardround.client.train.check_training import check_training
from wardround.protocol.errors import Refusal
from wardround.protocol.terms.limits import Clause, expiry_of
from wardround.protocol.wire.signed_terms import SignedTerms

APPROVED, DECLINED = "approved", "declined"


def checks_by_tables(opened: OpenHome, signed: SignedTerms) -> tuple[Clause, ...]:
    """Give the clauses that depend on the tables; a model of the hospital's own is tried first."""
    if signed.terms.module_digest:  # the models that ship are compared before the first round alone: seconds
        check_training(signed.terms)
    eligible = eligible_patients(opened, signed)
    return at_approval(opened.policy, signed.terms, opened.home.hospital, eligible)


def require_all_hold(checks: Iterable[Clause]) -> None:
    """Raise Refusal by the first of these clauses that does not hold."""
    for clause in checks:
        if not clause.holds:
            raise Refusal(
                clause.name, f"{clause.asked}; this hospital allows {clause.allowed}; nothing was recorded"
            )


def entry_to_confirm(opened: OpenHome, signed: SignedTerms) -> LastEntry | None:
    """Give the ledger's last entry, where a person must say that it is the newest; None where the operator can."""
    new = opened.home.simulation is None and not opened.ledger.has_charged(signed.operator)
    return last_entry(opened) if new else None


def record(opened: OpenHome, signed: SignedTerms, kind: str, person: str, reason: str) -> str:
    """Write the decision to the ledger; gives its new head."""
    # What the person saw: who extends terms later extends neither this word nor the keys that rest on it.
    until = expiry_of(signed.terms) if kind == APPROVED else None
    head = opened.ledger.decide(
        kind,
        opened.now,
        operator=signed.operator,
        study=signed.terms.study,
        terms=signed.terms.fingerprint,
        reason=reason,
        person=person,
        **({"expires_at": utc_text(until)} if until else {}),
    )
    # Also what came as a file: notice and recover ask for the terms of all that was approved or charged.
    keep_pending(opened.home.terms_folder, signed)
    return head


def eligible_patients(opened: OpenHome, signed: SignedTerms) -> int:
    """Count the training patients who pass the gate now."""
    contract = signed.terms.contract
    tables = read_tables(opened.home.source, contract)
    return admit(tables, contract, opened.home.patients_key, opened.now).counts["training patients"]
