"""What may be typed after ``alerts``, at both sides. Imports nothing heavy."""

from collections.abc import Callable

from wardround.protocol.command_line.parser import OneLineParser


def alerts(parser: OneLineParser, inner: Callable[[OneLineParser, str, str], OneLineParser]) -> None:
    """Add its words. inner: adds a word with the flags that every command of this side has."""
    parser.begin_words("action", "begin|check|list|test|watch")
    inner(parser, "begin", "write alerts.yaml to edit, which tells nobody yet; overwrites nothing")
    inner(parser, "check", "check alerts.yaml, and say who is told of what; sends nothing")
    inner(parser, "list", "show the alerts that stand now; tells nobody")
    test = inner(parser, "test", "send a test message to each recipient")
    test.add_argument("recipient", nargs="?", metavar="NAME", help="to this one alone")
    inner(parser, "watch", "tell the recipients of each alert once, until it is stopped")
