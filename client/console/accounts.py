"""The accounts of a hospital's pages: people of ``people.yaml``, with a password each in ``accounts.json``.

Names and roles stand in people.yaml, and count as they stand there now. So a person is one account in whatever they
decide, and who is taken out of people.yaml is out of the pages.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from wardround.client.console.roles import ROLES
from wardround.client.policy.people import PEOPLE, People
from wardround.client.policy.people_file import people_of
from wardround.pages.accounts import Account, AccountsFile
from wardround.protocol.errors import ConfigurationError

ACCOUNTS, ATTEMPTS = "accounts.json", "attempts.json"


class HospitalAccounts(AccountsFile):
    """The accounts of one home."""

    def __init__(self, home: Path) -> None:
        """Name the files; nothing is read yet."""
        super().__init__(home / ACCOUNTS, ROLES)
        self._home = home
        self._people: tuple[tuple[int, ...], People] | None = None

    def all(self) -> Mapping[str, Account]:
        """Give whoever has a password and a role that the pages know; ConfigurationError for a file that is wrong."""
        kept, people = super().all(), self._enrolled().by_account
        found = {}
        for name, account in kept.items():
            person = people.get(name)
            roles = tuple(role for role in ROLES if person and role in person.roles)
            if person and person.left is None and roles:
                found[name] = replace(account, person=person.name, roles=roles)
        return found

    def admit(self, name: str, password: str) -> Account:
        """Give a person of people.yaml a password; ConfigurationError where they are not enrolled for any page."""
        person = self._enrolled().by_account.get(name)
        if person is None or person.left is not None:
            raise ConfigurationError(
                f"account={name}: is not in {PEOPLE}, or left; enrol the person there first"
            )
        roles = tuple(role for role in ROLES if role in person.roles)
        if not roles:
            raise ConfigurationError(f"account={name}: has no role in {PEOPLE}: {', '.join(ROLES)}")
        return self.add(name, person.name, roles, password)

    def _enrolled(self) -> People:
        """Read people.yaml, where it changed: whether two names are one person's takes a while to tell."""
        try:
            found = (self._home / PEOPLE).stat()
            state: tuple[int, ...] = (found.st_ino, found.st_mtime_ns, found.st_size)
        except FileNotFoundError:
            state = ()
        if self._people is None or self._people[0] != state:
            self._people = state, people_of(self._home)
        return self._people[1]
