"""What may be typed after ``outreach``. Imports nothing heavy."""

from wardround.client.commands.flags import inner
from wardround.protocol.command_line.parser import OneLineParser


def outreach(parser: OneLineParser) -> None:
    """Add its words, each with its flags."""
    parser.begin_words("action", "begin|check")
    inner(parser, "begin", "write outreach.yaml to edit, which proposes nothing yet; overwrites nothing")
    inner(parser, "check", "check outreach.yaml, and the tables and modules that it names; changes nothing")
