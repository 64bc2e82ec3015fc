"""What may be typed after ``service``. Imports nothing heavy."""

from argparse import SUPPRESS

from wardround.client.commands.flags import common
from wardround.deploy.words import service_words
from wardround.protocol.command_line.parser import OneLineParser


def service(parser: OneLineParser) -> None:
    """Add the words behind ``service``."""
    install = service_words(parser, _inner, ("pages", "alerts", "preferences"), "the ledger")
    for flag, what in (
        ("--server", "the operator's server may be reached there; the resolver's or proxy's address too"),
        ("--database", "the hospital's database may be reached there"),
        ("--mail", "with --with alerts: the mail server or webhook may be reached there"),
        ("--browsers", "with --with pages: browsers call from there (default: this machine alone)"),
    ):
        install.add_argument(flag, action="append", default=[], metavar="ADDRESS", help=f"{what}; repeat it")
    for word, at in (("score", "02:30"), ("propose", "05:00")):
        install.add_argument(
            f"--{word}",
            metavar="WORDS",
            help=f"every day, what stands behind {'outreach ' * (word == 'propose')}{word}, as one quoted text",
        )
        install.add_argument(f"--{word}-at", default=at, metavar="HH:MM", help=f"when (default: {at})")


def _inner(parser: OneLineParser, name: str, summary: str) -> OneLineParser:
    """Add a word without ``--home``: the units have homes of their own."""
    word = parser.add_word(name, summary)
    common(word, SUPPRESS, homeless=True)
    return word
