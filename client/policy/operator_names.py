"""What this hospital calls an operator, whichever of its keys is at hand."""

from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.policy.policy import Policy


def operator_names(policy: Policy, ledger: SqliteLedger) -> dict[str, str]:
    """Give the policy's names of operators by the first key of each, which names its account."""
    return {ledger.first_key(key): name for name, key in policy.operators.items()}


def operator_name(policy: Policy, ledger: SqliteLedger, key: str) -> str:
    """Give the policy's name for a key, its successors and its forerunners; the key's beginning for a stranger's."""
    return operator_names(policy, ledger).get(ledger.first_key(key), f"{key[:16]}…")
