"""What may be typed after ``preferences``. Imports nothing heavy."""

from pathlib import Path

from wardround.client.commands.flags import inner
from wardround.protocol.command_line.parser import OneLineParser


def preferences(parser: OneLineParser) -> None:
    """Add its words, each with its flags."""
    parser.begin_words("action", "begin|publish|new-key|serve")
    inner(parser, "begin", "write preferences.yaml to edit, and the page's key; overwrites nothing")
    publish = inner(
        parser, "publish", "write what the page may know into a new file, to be put where it runs"
    )
    publish.add_argument("file", type=Path, metavar="OUT", help="a new file; usually named preferences.json")
    inner(parser, "new-key", "make a new key for links to come; those that were sent go on working")
    inner(
        parser,
        "serve",
        "serve the page from its own folder (--home), until it is stopped",
        machine=False,
    )
