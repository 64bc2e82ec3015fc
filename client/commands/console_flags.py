"""What may be typed after ``console``. Imports nothing heavy."""

from wardround.client.commands.flags import inner
from wardround.pages.account_words import account_words
from wardround.protocol.command_line.parser import OneLineParser


def console(parser: OneLineParser) -> None:
    """Add the words behind ``console``."""
    parser.begin_words("action", "serve|desk|up|account")
    inner(parser, "serve", "serve the pages, as a user of their own, until it is stopped", machine=False)
    inner(parser, "desk", "answer the pages, as the agent's user, until it is stopped", machine=False)
    inner(parser, "up", "run both as one user; only for demonstrations", machine=False)
    account = inner(parser, "account", "say who may log in")
    account_words(account, inner, "give a person of people.yaml a password", "as in people.yaml")
