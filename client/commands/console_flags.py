"""What may be typed after ``console``. Imports nothing heavy."""

from pathlib import Path

from wardround.client.commands.flags import inner
from wardround.protocol.command_line.parser import OneLineParser


def console(parser: OneLineParser) -> None:
    """Add the words behind ``console``."""
    parser.begin_words("action", "serve|desk|up|account")
    inner(parser, "serve", "serve the pages, as a user of their own, until it is stopped", machine=False)
    inner(parser, "desk", "answer the pages, as the agent's user, until it is stopped", machine=False)
    inner(parser, "up", "run both as one user; only for demonstrations", machine=False)
    _account(inner(parser, "account", "say who may log in"))


def _account(parser: OneLineParser) -> None:
    parser.begin_words("account_action", "list|add|passwd|disable|enable")
    inner(parser, "list", "list the accounts")
    add = inner(parser, "add", "give a person of people.yaml a password")
    passwd = inner(parser, "passwd", "set another password; it ends the account's sessions")
    disable = inner(parser, "disable", "let an account log in no more; it ends its sessions")
    enable = inner(parser, "enable", "let it log in again")
    for word in (add, passwd, disable, enable):
        word.add_argument("account", metavar="ACCOUNT", help="as in people.yaml")
    for word in (add, passwd):
        word.add_argument(
            "--password-file", type=Path, metavar="FILE", help="its first line is the password (default: ask)"
        )
