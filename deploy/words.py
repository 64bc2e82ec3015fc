"""What may be typed after ``service``, alike for both sides. Imports nothing heavy."""

import sys
from collections.abc import Callable
from pathlib import Path

from wardround.protocol.command_line.parser import OneLineParser

Inner = Callable[[OneLineParser, str, str], OneLineParser]
"""Adds a word with its side's common flags: parser, name, summary."""


def service_words(parser: OneLineParser, inner: Inner, extras: tuple[str, ...], copied: str) -> OneLineParser:
    """Add the words behind ``service``; gives ``install``'s, for a side's own flags.

    extras: parts that may be left. copied: what this side backs up.
    """
    parser.begin_words("action", "install|status|remove")
    install = inner(
        parser, "install", "show the systemd units, users and folders that would be written; ask; write them"
    )
    status = inner(parser, "status", "say whether units stand as they were written, and whether they run")
    remove = inner(parser, "remove", "stop the units and remove them after asking; users and homes stay")
    for word in (install, status, remove):
        word.add_argument(
            "--root",
            type=Path,
            default=Path("/"),
            metavar="DIR",
            help="an image's folder in the place of this machine; nothing is started there",
        )
    for word, act in ((install, "replace"), (remove, "remove")):
        word.add_argument("--yes", action="store_true", help="say yes to what is shown, without being asked")
        word.add_argument("--overwrite", action="store_true", help=f"{act} files that a person changed, too")
    install.add_argument("--dry-run", action="store_true", help="show what would be written, and do nothing")
    install.add_argument(
        "--enable", action="store_true", help="also start the units, now and at each boot (default: neither)"
    )
    install.add_argument(
        "--environment",
        type=Path,
        default=Path(sys.prefix),
        metavar="DIR",
        help="the virtual environment that the units start (default: this one)",
    )
    install.add_argument(
        "--with",
        dest="extras",
        action="append",
        default=[],
        choices=extras,
        help="install these units too; may be repeated",
    )
    install.add_argument(
        "--backup",
        type=Path,
        metavar="FILE",
        help=f"every day, write {copied} into this file; its folder must exist, and be its user's own",
    )
    install.add_argument("--backup-at", default="01:30", metavar="HH:MM", help="when (default: 01:30)")
    return install
