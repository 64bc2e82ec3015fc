"""Accounts: who may enter, as whom, and in which roles. One JSON file, for its owner alone.

Each account stands for one person, by the name that is signed when they decide. Names and roles are checked where
they are written; the file is read anew whenever it changed, so that what is disabled ends at once.
"""

import json
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from wardround.pages.passwords import check_password, hash_of_nothing, hash_password, is_password
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.section import Section, shown
from wardround.protocol.text.text import checked_name, is_line
from wardround.protocol.turns import turn_in

LARGEST_FILE = 2**20
MOST_ACCOUNTS = 1000
LONGEST_PERSON = 80
MODE = 0o600


@dataclass(frozen=True, kw_only=True)
class Account:
    """One person's way in. person: the name that decisions carry; kept: what is kept of the password."""

    name: str
    person: str
    roles: tuple[str, ...]
    kept: str = field(repr=False)
    disabled: bool = False


class AccountsFile:
    """The accounts at one path. ``roles`` are those that this side's pages know."""

    def __init__(self, path: Path, roles: tuple[str, ...]) -> None:
        """Name the file; nothing is read yet."""
        self._path, self._roles = path, roles
        self._read: tuple[tuple[int, int, int], dict[str, Account]] | None = None
        # What an unknown name is compared with: an answer must take as long as a known one's.
        self._nobody = hash_of_nothing()

    def all(self) -> Mapping[str, Account]:
        """Give the accounts by name; none where there is no file. ConfigurationError for a file that is not right."""
        return self.kept()

    def kept(self) -> Mapping[str, Account]:
        """Give whatever stands in the file, which is read where it changed; for a side, of people who left too."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return {}
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise ConfigurationError(f"accounts={self._path}: others may read it; chmod 600 {self._path}")
        state = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._read is None or self._read[0] != state:
            self._read = state, self._parsed(read_bounded(self._path, LARGEST_FILE))
        return self._read[1]

    def find(self, name: str, password: str) -> Account | None:
        """Give the account whose password this is; None alike for an unknown name, another password, a disabled one.

        Takes one computation of argon2id whatever is the case.
        """
        account = self.all().get(name)
        right = is_password(password, account.kept if account else self._nobody)
        return account if account and right and not account.disabled else None

    def add(self, name: str, person: str, roles: tuple[str, ...], password: str) -> Account:
        """Write a new account; ConfigurationError where the name is taken, or the person has one."""
        checked_name(name, "account")
        self._check(person, roles)
        check_password(password, name, person)
        with self._writing() as accounts:
            require(name not in accounts, "account", name, "has an account already; see passwd")
            same = [one.name for one in self.all().values() if one.person.casefold() == person.casefold()]
            # Two accounts of one person would be two people where two are needed.
            require(not same, "person", person, f"has an account already, {', '.join(same)}")
            require(len(accounts) < MOST_ACCOUNTS, "accounts", len(accounts), f"at most {MOST_ACCOUNTS}")
            account = Account(name=name, person=person, roles=roles, kept=hash_password(password))
            accounts[name] = account
        return account

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password, which ends its sessions; one that was disabled stays so."""
        with self._writing() as accounts:
            account = _known(accounts, name)
            check_password(password, name, account.person)
            accounts[name] = replace(account, kept=hash_password(password))

    def set_disabled(self, name: str, disabled: bool) -> None:
        """Let nobody in by this account any more, and end its sessions; or let its person in again."""
        with self._writing() as accounts:
            accounts[name] = replace(_known(accounts, name), disabled=disabled)

    def _check(self, person: str, roles: tuple[str, ...]) -> None:
        allowed = f"must be a name of at most {LONGEST_PERSON} characters"
        require(is_line(person, LONGEST_PERSON), "person", shown(person), allowed)
        known = bool(roles) and set(roles) <= set(self._roles)
        require(known, "roles", shown(", ".join(roles)), f"must be of {', '.join(self._roles)}")

    def _parsed(self, content: bytes) -> dict[str, Account]:
        where = f"accounts={self._path}"
        try:
            plain = read_json(content, LARGEST_FILE)
        except ValueError as error:
            raise ConfigurationError(f"{where}: {error}") from error
        section = Section(plain, "accounts")
        found = {name: self._account(name, section.section(name)) for name in section.keys()}  # noqa: SIM118
        section.finish()
        return found

    def _account(self, name: str, part: Section) -> Account:
        account = Account(
            name=checked_name(name, "account"),
            person=part.text("person"),
            roles=part.texts("roles"),
            kept=part.text("password"),
            disabled=part.boolean("disabled", False),
        )
        part.finish()
        self._check(account.person, account.roles)
        return account

    @contextmanager
    def _writing(self) -> Iterator[dict[str, Account]]:
        """Read, change, and write whole, one writer at a time."""
        try:
            with turn_in(self._path.parent):
                accounts = dict(self.kept())
                yield accounts
                write_durably(self._path, _spelled(accounts), MODE)
                self._read = None
        except OSError as error:
            raise ConfigurationError(
                f"accounts={self._path}: cannot be written ({error.strerror})"
            ) from error


def _known(accounts: Mapping[str, Account], name: str) -> Account:
    if name not in accounts:
        raise ConfigurationError(f"account={shown(name)}: there is none of that name; see list")
    return accounts[name]


def _spelled(accounts: Mapping[str, Account]) -> bytes:
    plain = {}
    for name, account in sorted(accounts.items()):
        fields = asdict(account)
        del fields["name"]
        plain[name] = {"password": fields.pop("kept"), **fields}
    return json.dumps(plain, indent=1, ensure_ascii=False).encode() + b"\n"
