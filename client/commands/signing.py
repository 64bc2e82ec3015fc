"""Who signs by a command. Where passwords are kept, nobody signs as a person whose password they do not know.

The accounts are those of the pages (``console account``), and so is the limit on wrong passwords: what is tried here
counts there. Who has no password signs by name alone where ``people.yaml`` says so (``by_name: true``), or where nobody
has one. Messages are stopped by anybody, by name alone: whoever stops something must not be kept from it.

Guarantee: test_signing.py. It binds who may run commands and cannot write in the home, as by a rule of sudo. Whoever
writes there can put any password into the accounts, and holds the hospital's key.
"""

import getpass
import sys
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

from wardround.client.console.accounts import ATTEMPTS, HospitalAccounts
from wardround.client.policy.people import PEOPLE, Person
from wardround.client.policy.people_file import people_of
from wardround.pages.attempts_file import AttemptsFile
from wardround.pages.password_line import password_line
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.section import shown


def person(name: str | None) -> str:
    """Name who stops something, or records what another said: as given, or the user of this session."""
    try:
        return name or getpass.getuser()
    except (OSError, KeyError):
        raise ConfigurationError("person: this session has no user name; give --person NAME") from None


def signer(options: Namespace) -> str:
    """Name who signs, by the name of ``people.yaml`` where a password was asked and is theirs.

    options: home, person, password_file. ConfigurationError where it is not their password, or they need one first.
    """
    name = person(options.person)
    accounts, people = HospitalAccounts(options.home), people_of(options.home)
    found = people.find(name)
    if found is not None and found.account in accounts.kept():
        _require_password(options, accounts, found)
        return found.name
    by_name = not accounts.kept() if people.by_name is None else people.by_name
    if not by_name:
        raise ConfigurationError(
            f"person={shown(name)}: has no password, and nobody signs by name alone here; give them one: "
            f"wardround-hospital console account add ACCOUNT; or allow it: by_name: true in {PEOPLE}"
        )
    return name


def _require_password(options: Namespace, accounts: HospitalAccounts, found: Person) -> None:
    attempts = AttemptsFile(options.home / ATTEMPTS, lambda: datetime.now(UTC))
    given = _given(options.password_file, found.account)
    if not attempts.take(found.account):
        raise ConfigurationError(
            f"person={found.account}: too many wrong passwords; wait a minute, and nothing was signed"
        )
    if accounts.find(found.account, given) is None:
        raise ConfigurationError(
            f"person={found.account}: that is not their password, or they are disabled; nothing was signed"
        )
    attempts.forgive(found.account)


def _given(path: Path | None, account: str) -> str:
    if path is not None:
        return password_line(path)
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError(
            f"person={account}: has a password, and nobody is at the terminal to type it; give --password-file FILE"
        )
    return getpass.getpass(f"Password of {account}: ")
