"""What may be typed after ``account``, alike for both sides' pages. Imports nothing heavy."""

from collections.abc import Callable
from pathlib import Path

from wardround.protocol.command_line.parser import OneLineParser

Inner = Callable[[OneLineParser, str, str], OneLineParser]
"""Adds a word with its side's common flags: parser, name, summary."""


def account_words(parser: OneLineParser, inner: Inner, adds: str, known: str) -> OneLineParser:
    """Add the words behind ``account``; gives ``add``'s, for a side's own flags. known: where names come from."""
    parser.begin_words("account_action", "list|add|passwd|disable|enable")
    inner(parser, "list", "list the accounts")
    add = inner(parser, "add", adds)
    passwd = inner(parser, "passwd", "set another password, and end the account's sessions")
    disable = inner(parser, "disable", "stop an account from logging in, and end its sessions")
    enable = inner(parser, "enable", "let an account log in again")
    for word in (add, passwd, disable, enable):
        word.add_argument("account", metavar="ACCOUNT", help=known)
        word.add_argument(
            "--by", metavar="ACCOUNT", help="whose password allows it (default: the account's own)"
        )
        word.add_argument(
            "--by-password-file", type=Path, metavar="FILE", help="its first line is theirs (default: ask)"
        )
        word.add_argument(
            "--forgotten",
            metavar="REASON",
            help="where nobody has a password that could allow it: do it without, note it, and alert people",
        )
    for word in (add, passwd):
        word.add_argument(
            "--password-file",
            type=Path,
            metavar="FILE",
            help="its first line is the new password (default: ask)",
        )
    return add
