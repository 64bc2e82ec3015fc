"""What may be typed after ``outreach``. Imports nothing heavy."""

from pathlib import Path

from wardround.client.commands.flags import inner, of_model, of_person
from wardround.client.commands.outreach_deciding_flags import add_deciding
from wardround.protocol.command_line.parser import OneLineParser
from wardround.protocol.command_line.timer_flags import by_timer


def outreach(parser: OneLineParser) -> None:
    """Add its words, each with its flags."""
    parser.begin_words(
        "action",
        "begin|check|propose|context|watch|queue|approve|change|hold|refuse|standing|export|stop|inbound|about|protocol|"
        "measure|arms|propensities",
    )
    inner(parser, "begin", "write outreach.yaml to edit, which proposes nothing yet; overwrites nothing")
    inner(parser, "check", "check outreach.yaml, and the tables and modules that it names; changes nothing")
    propose = inner(
        parser, "propose", "propose what is due now, and void what may no longer be sent; sends nothing"
    )
    by_timer(propose, "propose")
    propose.add_argument("--as-of", metavar="TIME", help="in a simulated home: the time that counts")
    watch = inner(parser, "watch", "propose as soon as a table or a module changed, until it is stopped")
    context = inner(parser, "context", "say what a portal may show a visitor without a record; keeps nothing")
    context.add_argument("--topic", required=True, metavar="WORD", help="what the visitor looks for")
    context.add_argument("--channel", default="portal", metavar="WORD", help="where it is shown (portal)")
    context.add_argument("--language", metavar="WORD", help="the visitor's, as in es-MX (default: the first)")
    for one in (propose, watch, context):
        _model(one)
    for one in (propose, watch):
        one.add_argument(
            "--personal",
            action="store_true",
            help="with this hospital's own part, fitted now on its training patients; it stays here",
        )
    add_deciding(parser)
    _protocol(inner(parser, "protocol", "say what is to be found out, and sign it before it begins"))
    measure = inner(parser, "measure", "show what the arms of a signed protocol show so far; changes nothing")
    measure.add_argument("name", nargs="?", metavar="PROTOCOL", help="its name (default: the newest)")
    arms = inner(
        parser, "arms", "write the arms of a signed protocol as a table, for a comparison over hospitals"
    )
    arms.add_argument("name", nargs="?", metavar="PROTOCOL", help="its name (default: the newest)")
    arms.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the table, CSV; an older one is replaced"
    )
    drawn = inner(
        parser,
        "propensities",
        "write which exported messages chance drew, and its chances, to learn from them",
    )
    drawn.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the table, CSV; an older one is replaced"
    )


def _model(parser: OneLineParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help="a study's model.safetensors, with weight_error.safetensors beside it (default: standard messages alone)",
    )
    of_model(parser)


def _protocol(parser: OneLineParser) -> None:
    parser.add_argument(
        "act",
        choices=("begin", "check", "sign", "end", "list"),
        help="begin: write protocol.yaml to edit; check: read it; sign: sign it; end: count in nobody more; "
        "list: show those that were signed",
    )
    parser.add_argument("name", nargs="?", metavar="PROTOCOL", help="of end: the protocol's name")
    parser.add_argument(
        "--reason", help="of sign and end: why, and who decided that it is improvement or research"
    )
    of_person(parser, "who signs")
    parser.add_argument("--yes", action="store_true", help="say yes to what is shown, without being asked")
