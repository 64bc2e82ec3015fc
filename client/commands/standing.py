"""Where the hospital stands, as plain rows: which round could be next, and what is wrong."""

from collections.abc import Iterable
from datetime import UTC, datetime

from wardround.client.checks.files import strange_heads
from wardround.client.checks.finding import WARN
from wardround.client.checks.sums import sum_standing
from wardround.client.commands.open_home import OpenHome
from wardround.client.ledger.clock import clock_fault
from wardround.client.ledger.entries import Entry
from wardround.client.ledger.known_by import describe_joined
from wardround.protocol.terms.limits import CAP_CLAUSES
from wardround.protocol.terms.request import UPDATE
from wardround.protocol.wire.signed_terms import SignedTerms


def faults_now(opened: OpenHome, entries: Iterable[Entry]) -> list[str]:
    """Say what a person must look at: a clock that leapt, and operators who hold entries that are not here."""
    strange = strange_heads(opened.ledger, opened.policy, entries)
    faults = [f"{name} names a head that this ledger does not have (doctor says more)" for name in strange]
    clock = "" if opened.ledger.simulated else clock_fault(datetime.now(UTC), opened.ledger.time)
    if opened.ledger.joined:
        faults.append(describe_joined(opened.ledger.spent_by_both(opened.policy.delta), opened.policy.delta))
    return [*faults, clock] if clock else faults


def content_lines(opened: OpenHome) -> list[str]:
    """Say which approvals of modules end soon, or hold no longer."""
    if not opened.home.content_folder.is_dir():
        return []
    from wardround.client.checks.modules import modules  # only where there are any: they take time to import

    found = modules(opened.home, opened.home.date(opened.now))
    return [finding.text for finding in found if finding.state == WARN]


def next_round(opened: OpenHome, signed: SignedTerms) -> dict[str, object]:
    """Say which round could be next, or the first cap that would not hold."""
    terms, ledger = signed.terms, opened.ledger
    payer = ledger.identify(signed.operator) or signed.operator
    following, last = ledger.last_round(payer, terms.fingerprint) + 1, terms.last_round
    scopes = ((terms.study, payer), (None, payer), (None, None))
    answer = f"round {following} of {last}"
    if following > last:
        answer = "all rounds are charged"
    for clause, cap, (study, key) in zip(CAP_CLAUSES, opened.policy.caps.limits, scopes, strict=True):
        if following > last:
            break
        after = ledger.spent("training", opened.policy.delta, study, key, [UPDATE.event(terms, following)])
        if after > cap:
            answer = f"none: {clause} would be {after:.4g} of {cap:g}"
            break
    row: dict[str, object] = {"study": terms.study, "next": answer, "expires_at": terms.expires_at}
    standing = sum_standing(opened.home, ledger, signed)
    return row | ({"secure_sum": str(standing)} if standing else {})
