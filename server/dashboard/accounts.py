"""The accounts of the operator's pages: ``accounts.json`` in the home. All have one role; nobody decides anything."""

from pathlib import Path

from wardround.pages.accounts import AccountsFile

ACCOUNTS, ATTEMPTS, OPERATOR = "accounts.json", "attempts.json", "operator"
ROLES = (OPERATOR,)


def operator_accounts(home: Path) -> AccountsFile:
    """Give the accounts of a home."""
    return AccountsFile(home / ACCOUNTS, ROLES)
