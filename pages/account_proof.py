"""Whose password allows that an account is changed, so that nobody becomes another person by a command.

An account's own password allows to change it; that of a keeper (a role that a side names; where no other keeper is
enabled, that of anybody else with an account) allows to add accounts and to change those of others. The first account
is free. What nobody else can allow is done with a reason alone (``--forgotten``), and only that. Whatever the person's
own password did not allow is noted before it is done.
"""

import getpass
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from wardround.pages.accounts import Account, AccountsFile
from wardround.pages.attempts_file import AttemptsFile
from wardround.pages.password_line import password_line
from wardround.protocol.alerts.alert import Alert
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import is_line

ALLOWED, OTHERS, FORGOTTEN = "account_allowed", "account_others", "account_forgotten"
"""Topics of notes: what a keeper disabled or enabled; another change by another person; what no password allowed."""
LOUD = {OTHERS: "by another person's password", FORGOTTEN: "without anybody's password"}
"""What people must be told of: somebody may now act as another."""
_NEWS = timedelta(days=30)
_LONGEST = 300
_ONE_LINE = f"must say why, in one line of at most {_LONGEST} characters"


@dataclass(frozen=True, kw_only=True)
class AccountsOfASide:
    """Accounts, and what goes with them. command: what stands before ``account``; keepers: roles.

    note: writes a topic and a line down, for good.
    """

    accounts: AccountsFile
    attempts: AttemptsFile
    command: str
    keepers: frozenset[str]
    note: Callable[[str, str], None]


def allow(options: Namespace, side: AccountsOfASide) -> None:
    """Return where ``options`` (account_action, account, by, by_password_file, forgotten) may be done, and note it.

    ConfigurationError names who could allow it.
    """
    what, kept = f"{options.account_action} of the account {options.account}", side.accounts.kept()
    if options.account_action == "add" and not kept:
        return
    if options.account_action != "add" and options.account not in kept:
        raise ConfigurationError(f"account={shown(options.account)}: there is none of that name; see list")
    keepers = _keepers(side, but=options.account)
    if options.forgotten is not None:
        require(is_line(options.forgotten, _LONGEST), "forgotten", shown(options.forgotten), _ONE_LINE)
        if keepers:
            others = ", ".join(keepers)
            raise ConfigurationError(f"forgotten: {others} can allow it by a password; give --by ACCOUNT")
        side.note(FORGOTTEN, f"{what}: {options.forgotten}")
        return
    _by_password(options, side, what, keepers)


def _by_password(options: Namespace, side: AccountsOfASide, what: str, keepers: Sequence[str]) -> None:
    own = None if options.account_action == "add" else options.account
    by = own if options.by is None else options.by
    if by is None or (by != own and by not in keepers):
        known = ", ".join(keepers) or "nobody; see --forgotten"
        raise ConfigurationError(
            f"by={shown(by or '')}: {what} needs the password of one of these: {known}; give --by ACCOUNT"
        )
    found = require_password(
        side.accounts, side.attempts, by, options.by_password_file, "nothing was changed"
    )
    if by != own:
        kept = side.keepers & set(found.roles) and options.account_action in ("disable", "enable")
        side.note(ALLOWED if kept else OTHERS, f"{what}, by the password of {by} ({found.person})")


def account_alerts(event: str, topic: str, text: str, at: datetime, now: datetime) -> Iterator[Alert]:
    """Give the alert of a note that somebody must be told of, for so long as it may be news."""
    if topic in LOUD and now - at < _NEWS:
        yield Alert(
            event=event,
            subject=f"{at:%Y-%m-%dT%H:%M:%S} {text[:80]}",
            text=f"{LOUD[topic]}: {text}",
            remedy="ask whose account it is; if they know nothing of it, disable it, and look at what was signed",
            happened=at,
        )


def require_password(
    accounts: AccountsFile,
    attempts: AttemptsFile,
    account: str,
    path: Path | None,
    outcome: str,
    flag: str = "--password-file",
) -> Account:
    """Give the account whose password is in the file, or typed here; a wrong one counts, on pages as well.

    ConfigurationError, with what became of it, where it is not theirs.
    """
    given = _given(path, account, flag)
    if not attempts.take(account):
        raise ConfigurationError(f"person={account}: too many wrong passwords; wait a minute, and {outcome}")
    found = accounts.find(account, given)
    if found is None:
        raise ConfigurationError(
            f"person={account}: that is not their password, or they are disabled; {outcome}"
        )
    attempts.forgive(account)
    return found


def _keepers(side: AccountsOfASide, but: str) -> list[str]:
    enabled = {name: one for name, one in side.accounts.all().items() if name != but and not one.disabled}
    named = [name for name, one in enabled.items() if side.keepers & set(one.roles)]
    return sorted(named or enabled)


def _given(path: Path | None, account: str, flag: str) -> str:
    if path is not None:
        return password_line(path)
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError(
            f"person={account}: has a password, and nobody is at the terminal to type it; give {flag} FILE"
        )
    return getpass.getpass(f"Password of {account}: ")
