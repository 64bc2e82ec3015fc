"""What is spent of each cap: by account, for life, for each operator and each study that was ever charged."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wardround.client.ledger.entries import Entry
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.policy.operator_names import operator_name
from wardround.client.policy.policy import Policy
from wardround.protocol.terms.limits import CAP_CLAUSES
from wardround.protocol.terms.terms import ACCOUNTS

FOR_LIFE = "for life"


@dataclass(frozen=True, kw_only=True)
class SpentOfCap:
    """ε of one account in one scope, at the policy's δ. unmasked: what holds if every mask failed."""

    account: str
    scope: str
    spent: float
    cap: float
    unmasked: float

    @property
    def share(self) -> float:
        """What is spent of the cap; 1 where there is none."""
        return self.spent / self.cap if self.cap > 0 else 1.0


def budget(ledger: SqliteLedger, policy: Policy, entries: Iterable[Entry]) -> list[SpentOfCap]:
    """Give what was spent of each cap, and *for life* always; no two rows of an account have one scope."""
    scopes = [(FOR_LIFE, None, None), *_charged_scopes(ledger, policy, entries)]
    caps = dict(zip(CAP_CLAUSES, policy.caps.limits, strict=True))
    rows = []
    for account in ACCOUNTS:
        for name, study, key in scopes:
            spent = ledger.spent(account, policy.delta, study, key)
            unmasked = ledger.spent_unmasked(account, policy.delta, study, key)
            cap = caps[CAP_CLAUSES[0 if study else 1 if key else 2]]
            if spent > 0 or (account, name) == (ACCOUNTS[0], FOR_LIFE):
                rows.append(SpentOfCap(account=account, scope=name, spent=spent, cap=cap, unmasked=unmasked))
    return rows


def _charged_scopes(
    ledger: SqliteLedger, policy: Policy, entries: Iterable[Entry]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Give operators, then studies, as (scope, study, key): an operator whose key changed is one operator."""
    charged = {
        (ledger.first_key(str(entry.fields["operator"])), str(entry.fields["study"]))
        for entry in entries
        if entry.kind == "charged"
    }
    for key in sorted({key for key, _ in charged}):
        yield f"operator {operator_name(policy, ledger, key)}", None, key
    named = Counter(study for _, study in charged)
    for key, study in sorted(charged):
        whose = f" of {operator_name(policy, ledger, key)}" if named[study] > 1 else ""
        yield f"study {study}{whose}", study, key
