"""What may be typed after ``console``. Imports nothing heavy."""

from pathlib import Path

from wardround.client.commands.flags import inner
from wardround.client.console.roles import ROLES
from wardround.protocol.command_line.parser import OneLineParser


def console(parser: OneLineParser) -> None:
    """Add the words behind ``console``."""
    parser.begin_words("action", "serve|desk|up|account")
    inner(parser, "serve", "serve the pages, as a user of their own, until it is stopped", machine=False)
    inner(parser, "desk", "answer the pages, as the agent's user, until it is stopped", machine=False)
    inner(parser, "up", "run both as one user; only for demonstrations", machine=False)
    _account(inner(parser, "account", "say who may log in, and in which roles"))


def _account(parser: OneLineParser) -> None:
    parser.begin_words("account_action", "list|add|passwd|disable|enable")
    inner(parser, "list", "list the accounts")
    add = inner(parser, "add", "let a person log in")
    passwd = inner(parser, "passwd", "set another password; it ends the account's sessions")
    disable = inner(parser, "disable", "let an account log in no more; it ends its sessions")
    enable = inner(parser, "enable", "let it log in again")
    for word in (add, passwd, disable, enable):
        word.add_argument("account", metavar="ACCOUNT", help="what the person types to log in")
    add.add_argument(
        "--person",
        required=True,
        metavar="NAME",
        help="the name that their decisions carry, as policy.yaml has it",
    )
    add.add_argument(
        "--role",
        dest="roles",
        action="append",
        required=True,
        choices=ROLES,
        help="may be repeated",
    )
    for word in (add, passwd):
        word.add_argument(
            "--password-file", type=Path, metavar="FILE", help="its first line is the password (default: ask)"
        )
