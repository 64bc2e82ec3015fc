"""``console``: the hospital's pages, the desk that answers them, and who may log in."""

import asyncio
import logging
from argparse import Namespace
from datetime import UTC, datetime

from wardround.client.commands.open_home import open_home
from wardround.client.commands.signing import person
from wardround.client.console.accounts import ATTEMPTS, HospitalAccounts
from wardround.client.console.desk_door import serve_desk
from wardround.client.console.desk_line import DeskLine
from wardround.client.console.settings import load_console_settings
from wardround.client.home.home import load_home
from wardround.client.policy.people import IT, PRIVACY
from wardround.pages.account_command import run_account
from wardround.pages.account_proof import AccountsOfASide
from wardround.pages.accounts import Account
from wardround.pages.attempts_file import AttemptsFile
from wardround.protocol.text.log import report


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

    def admit(password: str) -> Account:
        load_home(options.home)  # a folder that is no home gets no accounts
        return accounts.admit(options.account, password)

    def note(topic: str, text: str) -> None:
        with open_home(options.home) as opened:
            opened.ledger.decide("note", opened.now, topic=topic, reason=text, person=person(None))

    side = AccountsOfASide(
        accounts=accounts,
        attempts=AttemptsFile(options.home / ATTEMPTS, lambda: datetime.now(UTC)),
        command="console",
        keepers=frozenset({PRIVACY, IT}),
        note=note,
    )
    run_account(options, side, admit)


_ACTIONS = {"serve": _serve, "desk": _desk, "up": _up, "account": _account}
