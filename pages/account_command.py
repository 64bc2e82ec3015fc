"""``account``: who may log in to a side's pages, and by which password. Alike for both sides."""

import getpass
import sys
from argparse import Namespace
from collections.abc import Callable

from wardround.pages.account_proof import AccountsOfASide, allow
from wardround.pages.accounts import Account, AccountsFile
from wardround.pages.password_line import password_line
from wardround.pages.passwords import check_password
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say, say_json


def run_account(options: Namespace, side: AccountsOfASide, admit: Callable[[str], Account]) -> None:
    """Do what the last word says, where a password allows it. admit: makes an account, by its password."""
    if options.account_action == "list":
        _list(side.accounts, options.json, side.command)
        return
    given = _password(options) if options.account_action in ("add", "passwd") else ""
    if given:
        check_password(given, options.account)
    allow(options, side)
    _change(options, side.accounts, admit, given)


def _change(options: Namespace, accounts: AccountsFile, admit: Callable[[str], Account], given: str) -> None:
    action = options.account_action
    if action == "add":
        account = admit(given)
        _told(options, f"{account.person} may log in as {account.name}: {', '.join(account.roles)}.")
    elif action == "passwd":
        accounts.set_password(options.account, given)
        line = f"{options.account} has another password; whoever was logged in by it is so no more."
        _told(options, line)
    elif action == "disable":
        accounts.set_disabled(options.account, True)
        line = f"{options.account} can log in no more, and whoever was logged in by it is so no more."
        _told(options, line)
    else:
        accounts.set_disabled(options.account, False)
        _told(options, f"{options.account} can log in again.")


def _list(accounts: AccountsFile, machine: bool, command: str) -> None:
    found = list(accounts.all().values())
    if machine:
        say_json([{"account": one.name, "person": one.person, "roles": one.roles, "disabled": one.disabled}
                  for one in found])  # fmt: skip
        return
    for one in found:
        off = "; disabled" if one.disabled else ""
        say(f"{one.name}: {one.person}; {', '.join(one.roles)}{off}")
    if not found:
        say(f"Nobody can log in yet: {command} account add")


def _told(options: Namespace, line: str) -> None:
    if options.json:
        say_json({"account": options.account, "action": options.account_action})
    else:
        say(line)


def _password(options: Namespace) -> str:
    """Read it from a file, or ask twice without showing it; a command line would show it to every process."""
    if options.password_file is not None:
        return password_line(options.password_file)
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError("password: nobody is at the terminal to type it; give --password-file FILE")
    given = getpass.getpass("New password: ")
    if given != getpass.getpass("The same again: "):
        raise ConfigurationError("password: the two differ; nothing was written")
    return given
