"""``dashboard``: the operator's pages, and who may log in to them."""

import os
from argparse import Namespace
from datetime import UTC, datetime

from wardround.pages.account_command import run_account
from wardround.pages.account_proof import AccountsOfASide
from wardround.pages.accounts import Account
from wardround.pages.attempts_file import AttemptsFile
from wardround.protocol.text.log import report, take_over
from wardround.server.dashboard.accounts import ATTEMPTS, ROLES, operator_accounts
from wardround.server.dashboard.settings import load_dashboard_settings
from wardround.server.store.account_notes import note_account
from wardround.server.store.operator_home import load_operator_home


def run(options: Namespace) -> None:
    """Serve until it is stopped, or change accounts."""
    home = load_operator_home(options.home)
    if options.action == "account":
        _account(options)
        return
    from wardround.pages.serving import serve_guarded  # FastAPI: only where pages are served
    from wardround.server.dashboard.pages import operator_app
    from wardround.server.dashboard.questions import operator_desk

    settings = load_dashboard_settings(home.folder)
    take_over("wardround", os.environ)  # who logged in, and what failed
    if not operator_accounts(home.folder).all():
        report("Nobody can log in yet: wardround-serve dashboard account add")
    report(f"Pages at {settings.url}; Ctrl-C stops them.")
    serve_guarded(operator_app(settings, operator_desk(home.folder, settings)), settings)


def _account(options: Namespace) -> None:
    accounts = operator_accounts(options.home)

    def admit(password: str) -> Account:
        return accounts.add(options.account, options.person, ROLES, password)

    # The dashboard counts wrong passwords in its own memory, and the commands in this file.
    attempts = AttemptsFile(options.home / ATTEMPTS, lambda: datetime.now(UTC))
    side = AccountsOfASide(
        accounts=accounts,
        attempts=attempts,
        command="dashboard",
        keepers=frozenset(ROLES),
        note=lambda topic, text: note_account(options.home, topic, text),
    )
    run_account(options, side, admit)
