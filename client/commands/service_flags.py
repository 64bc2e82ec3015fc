"""What may be typed after ``service``. Imports nothing heavy."""

from argparse import SUPPRESS

from wardround.client.commands.flags import common
from wardround.deploy.words import service_words
from wardround.protocol.command_line.parser import OneLineParser


def service(parser: OneLineParser) -> None:
    """Add the words behind ``service``."""
    install = service_words(parser, _inner, ("pages", "alerts", "preferences"), "the ledger")
    for flag, what in (
        ("--server", "an address that may be reached: the operator's server, the resolver, the proxy"),
        ("--database", "an address that may be reached: the hospital's database"),
        ("--mail", "with --with alerts: an address that may be reached, of the mail server or webhook"),
        (
            "--browsers",
            "with --with pages: an address from which browsers may call (default: this machine alone)",
        ),
    ):
        install.add_argument(flag, action="append", default=[], metavar="ADDRESS", help=f"{what}; repeat it")
    for word, at in (("score", "02:30"), ("propose", "05:00")):
        install.add_argument(
            f"--{word}",
            metavar="WORDS",
            help=f"every day, run {'outreach ' * (word == 'propose')}{word} with these words, as one quoted text",
        )
        install.add_argument(f"--{word}-at", default=at, metavar="HH:MM", help=f"when (default: {at})")


def _inner(parser: OneLineParser, name: str, summary: str) -> OneLineParser:
    """Add a word without ``--home``: the units have homes of their own."""
    word = parser.add_word(name, summary)
    common(word, SUPPRESS, homeless=True)
    return word
