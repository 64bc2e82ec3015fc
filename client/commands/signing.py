"""Who signs by a command. Where passwords are kept, nobody signs as a person whose password they do not know.

The accounts are those of the pages (``console account``), and so is the limit on wrong passwords: what is tried here
counts there. Who has no password signs by name alone where ``people.yaml`` says so (``by_name: true``), or where nobody
has one. Messages are stopped by anybody, by name alone: whoever stops something must not be kept from it.

Guarantee: test_signing.py; and nobody gets another person's account by a command (test_account_proof.py). It binds who
may run commands and cannot write in the home, as by a rule of sudo. Whoever writes there can put any password into the
accounts, and holds the hospital's key.
"""

import getpass
from argparse import Namespace
from datetime import UTC, datetime

from wardround.client.console.accounts import ATTEMPTS, HospitalAccounts
from wardround.client.policy.people import PEOPLE
from wardround.client.policy.people_file import people_of
from wardround.pages.account_proof import require_password
from wardround.pages.attempts_file import AttemptsFile
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
        attempts = AttemptsFile(options.home / ATTEMPTS, lambda: datetime.now(UTC))
        require_password(accounts, attempts, found.account, options.password_file, "nothing was signed")
        return found.name
    by_name = not accounts.kept() if people.by_name is None else people.by_name
    if not by_name:
        raise ConfigurationError(
            f"person={shown(name)}: has no password, and nobody signs by name alone here; give them one: "
            f"wardround-hospital console account add ACCOUNT; or allow it: by_name: true in {PEOPLE}"
        )
    return name
