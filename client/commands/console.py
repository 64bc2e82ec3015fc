"""``console``: the hospital's pages, the desk that answers them, and who may log in."""

import asyncio
import getpass
import logging
import sys
from argparse import Namespace

from wardround.client.commands.terminal import say, table
from wardround.client.console.accounts import HospitalAccounts
from wardround.client.console.desk_door import serve_desk
from wardround.client.console.desk_line import DeskLine
from wardround.client.console.settings import load_console_settings
from wardround.client.home.home import load_home
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded
from wardround.protocol.text.log import report
from wardround.protocol.text.say import say_json

_LARGEST_PASSWORD_FILE = 4096


def run(options: Namespace) -> None:
    """Serve, answer, or change accounts."""
    _ACTIONS[options.action](options)


def _serve(options: Namespace) -> None:
    from wardround.client.console.serve import serve_pages  # FastAPI: only where pages are served

    settings = load_console_settings(options.home)
    report(f"Pages at {settings.url}; Ctrl-C stops them.")
    serve_pages(settings, DeskLine(settings.desk))


def _desk(options: Namespace) -> None:
    from wardround.client.console.questions import hospital_desk  # torch and polars: seconds

    load_home(
        options.home
    )  # what is wrong with the home is told now, and not to the first person who logs in
    settings = load_console_settings(options.home)
    desk = hospital_desk(options.home, settings)
    if not HospitalAccounts(options.home).all():
        report("Nobody can log in yet: wardround-hospital console account add")
    asyncio.run(serve_desk(settings.desk, desk))


def _up(options: Namespace) -> None:
    from wardround.client.console.questions import hospital_desk
    from wardround.client.console.serve import serve_pages

    load_home(options.home)
    settings = load_console_settings(options.home)
    report(
        "WARNING: pages and desk run as one user, so that whoever takes over the pages could read tables and keys; "
        "for patients' data use the two systemd units (deploy/)",
        logging.WARNING,
    )
    report(f"Pages at {settings.url}; Ctrl-C stops them.")
    serve_pages(settings, hospital_desk(options.home, settings))


def _account(options: Namespace) -> None:
    accounts = HospitalAccounts(options.home)
    _ACCOUNT_ACTIONS[options.account_action](accounts, options)


def _list(accounts: HospitalAccounts, options: Namespace) -> None:
    found = list(accounts.all().values())
    if options.json:
        say_json([{"account": one.name, "person": one.person, "roles": one.roles, "disabled": one.disabled}
                  for one in found])  # fmt: skip
    elif not found:
        say("Nobody can log in yet: console account add")
    else:
        rows = [
            (one.name, one.person, ", ".join(one.roles), "disabled" if one.disabled else "") for one in found
        ]
        table("Accounts", ("account", "person", "roles", ""), rows)


def _add(accounts: HospitalAccounts, options: Namespace) -> None:
    load_home(options.home)  # a folder that is no home gets no accounts
    account = accounts.admit(options.account, _password(options))
    _told(options, f"{account.person} may log in as {account.name}: {', '.join(account.roles)}.")


def _passwd(accounts: HospitalAccounts, options: Namespace) -> None:
    accounts.set_password(options.account, _password(options))
    _told(options, f"{options.account} has another password; whoever was logged in by it is so no more.")


def _disable(accounts: HospitalAccounts, options: Namespace) -> None:
    accounts.set_disabled(options.account, True)
    _told(options, f"{options.account} can log in no more, and whoever was logged in by it is so no more.")


def _enable(accounts: HospitalAccounts, options: Namespace) -> None:
    accounts.set_disabled(options.account, False)
    _told(options, f"{options.account} can log in again.")


def _told(options: Namespace, line: str) -> None:
    if options.json:
        say_json({"account": options.account, "action": options.account_action})
    else:
        say(line)


def _password(options: Namespace) -> str:
    """Read it from a file, or ask twice without showing it; a command line would show it to every process."""
    if options.password_file is not None:
        return _first_line(options)
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError("password: nobody is at the terminal to type it; give --password-file FILE")
    given = getpass.getpass("Password: ")
    if given != getpass.getpass("The same again: "):
        raise ConfigurationError("password: the two differ; nothing was written")
    return given


def _first_line(options: Namespace) -> str:
    path = options.password_file
    try:
        text = read_bounded(path, _LARGEST_PASSWORD_FILE).decode()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--password-file={path}: cannot be read as text") from error
    return text.split("\n")[0].rstrip("\r")


_ACTIONS = {"serve": _serve, "desk": _desk, "up": _up, "account": _account}
_ACCOUNT_ACTIONS = {"list": _list, "add": _add, "passwd": _passwd, "disable": _disable, "enable": _enable}
