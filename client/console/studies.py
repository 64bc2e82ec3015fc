"""Studies as a privacy officer sees and decides them: by the functions of ``forecast``, ``approve`` and ``decline``."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from wardround.client.commands.forecast import refuse_unless_permitted
from wardround.client.commands.open_home import OpenHome
from wardround.client.commands.studies import study_row
from wardround.client.commands.study_decision import (
    APPROVED,
    DECLINED,
    checks_by_tables,
    entry_to_confirm,
    record,
    require_all_hold,
)
from wardround.client.commands.tables_seen import look_at_tables
from wardround.client.commands.terminal import shortened
from wardround.client.notice.board import account_costs
from wardround.client.notice.sum_words import SumFacts, gather_sums, roster_lines, sum_sentences
from wardround.client.notice.words import used_features
from wardround.client.policy.policy import Forecast
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.sizes import numbers_released
from wardround.protocol.terms.cost import two_hospitals_epsilon
from wardround.protocol.terms.limits import Clause
from wardround.protocol.wire.roster_phrase import require_same_phrase
from wardround.protocol.wire.signed_terms import SignedTerms

_PARTS = ("messages", "patients", "assessments", None)
_DECIDED = ("approved", "declined")


def studies(opened: OpenHome) -> list[dict[str, Any]]:
    """List what was proposed, what waits first."""
    rows = [study_row(opened, signed) for signed in opened.known()]
    return sorted(rows, key=lambda row: (row["decision"] != "pending", str(row["study"])))


def study(opened: OpenHome, fingerprint: str) -> dict[str, Any]:
    """Say what a study asks and costs, and what was decided; reads no table."""
    signed = _find(opened, fingerprint)
    terms, seen = signed.terms, opened.forecast(signed)
    return {
        **study_row(opened, signed),
        "delta": opened.policy.delta,
        "query": terms.query.kind if terms.query else None,
        "model": terms.model.kind,
        "numbers": numbers_released(terms),
        "hospitals": len(terms.hospitals),
        "expires_at": terms.expires_at,
        "contract": {
            "name": terms.contract.name,
            "version": terms.contract.version,
            "fingerprint": terms.contract.fingerprint,
            "purpose": terms.contract.purpose,
            "basis": terms.contract.consent.basis or "",
            "consent_required": terms.contract.consent.required,
            "label": terms.contract.label.column,
            "groups": list(terms.contract.groups),
        },
        "used": _used(signed),
        "costs": [
            asdict(cost)
            for cost in account_costs(terms, signed.operator, opened.policy, opened.ledger, seen.joined)
        ],
        "two_hospitals": two_hospitals_epsilon(terms, opened.policy.delta, seen.joined),
        "life": opened.policy.max_epsilon_for_life,
        "joined": seen.joined,
        "clauses": _clauses(seen.clauses),
        "broken": _broken(seen),
        "history": _history(opened, signed),
    }


def before_approval(opened: OpenHome, fingerprint: str) -> dict[str, Any]:
    """Give what depends on the tables, and whom secure sums stand on: what the person who approves answers for."""
    signed = _find(opened, fingerprint)
    seen = opened.forecast(signed)
    refuse_unless_permitted(seen)
    sums = gather_sums(opened.policy, signed, seen, opened.ledger)
    checks = checks_by_tables(opened, signed)
    tables = look_at_tables(opened, signed.terms.contract)
    entry = entry_to_confirm(opened, signed)
    return {
        **study(opened, fingerprint),
        "checks": _clauses(checks),
        "checks_hold": all(clause.holds for clause in checks),
        "findings": [asdict(finding) for finding in tables.findings],
        "shares": [list(row) for row in tables.shares],
        "sums": _sums(sums),
        "last_entry": {"number": entry.number, "text": entry.text} if entry else None,
    }


def approve(opened: OpenHome, person: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Record a yes. It holds for what the person saw: these terms, this end, this last entry of the ledger."""
    signed = _find(opened, given.get("terms", ""))
    reason = _reason(given)
    if given.get("answers") != "yes":
        raise ConfigurationError("approve: tick that you answer for these figures; nothing was recorded")
    if given.get("expires_at") != signed.terms.expires_at:
        raise ConfigurationError("approve: the terms changed since you saw them; look at them again")
    seen = opened.forecast(signed)
    refuse_unless_permitted(seen)
    if given.get("words"):
        _compare(gather_sums(opened.policy, signed, seen, opened.ledger), given["words"])
    require_all_hold(checks_by_tables(opened, signed))
    entry = entry_to_confirm(opened, signed)
    if entry is not None and given.get("last_entry") != str(entry.number):
        raise ConfigurationError(
            f"approve: confirm that the ledger's last entry is number {entry.number}; it was another when you looked"
        )
    return {"head": record(opened, signed, APPROVED, person, reason)}


def decline(opened: OpenHome, person: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Record a no."""
    signed = _find(opened, given.get("terms", ""))
    return {"head": record(opened, signed, DECLINED, person, _reason(given))}


def _find(opened: OpenHome, fingerprint: str) -> SignedTerms:
    """Find kept terms by their whole fingerprint alone: what a browser sends names no file."""
    found = [signed for signed in opened.known() if signed.terms.fingerprint == fingerprint]
    if len(found) != 1:
        raise ConfigurationError("terms: this study is no longer known here; go back to the list")
    return found[0]


def _reason(given: Mapping[str, str]) -> str:
    reason = " ".join(given.get("reason", "").split())
    if not reason:
        raise ConfigurationError("reason: give one; the ledger keeps it")
    return reason


def _compare(sums: SumFacts | None, words: str) -> None:
    if sums is None:
        raise ConfigurationError("words: this study has no secure sums, and so no roster")
    require_same_phrase(words, sums.words)


def _sums(sums: SumFacts | None) -> dict[str, Any] | None:
    if sums is None:
        return None
    return {"sentences": list(sum_sentences(sums)), "roster": list(roster_lines(sums))}


def _used(signed: SignedTerms) -> list[dict[str, Any]]:
    """Describe what is read, by table; the patient's own history last."""
    parts = ((part or "history", used_features(signed.terms.contract, part)) for part in _PARTS)
    return [
        {"table": name, "features": [{**asdict(one), "how": _breakable(one.how)} for one in found]}
        for name, found in parts
        if found
    ]


def _breakable(text: str) -> str:
    """Write common spaces for those that break no line: pages show what cannot be told apart from a space."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def _broken(seen: Forecast) -> list[dict[str, str]]:
    return [
        {"clause": c.name, "asked": c.asked, "allowed": c.allowed, "file": c.file, "remedy": c.remedy}
        for c in seen.clauses
        if not c.holds and c.name != "approval"
    ]


def _clauses(clauses: Iterable[Clause]) -> list[dict[str, Any]]:
    """Spell clauses as the terminal does."""
    return [
        {"clause": c.name, "holds": c.holds, "asked": shortened(c.asked), "allowed": shortened(c.allowed)}
        for c in clauses
    ]


def _history(opened: OpenHome, signed: SignedTerms) -> list[dict[str, str]]:
    """Give who decided about these terms, and why, the last first."""
    return [
        {
            "kind": entry.kind,
            "time": entry.time.isoformat(),
            "person": str(entry.fields["person"]),
            "reason": str(entry.fields["reason"]),
        }
        for entry in reversed(opened.ledger.entries())
        if entry.kind in _DECIDED and entry.fields.get("terms") == signed.terms.fingerprint
    ]
