"""What may be typed after ``content``. Imports nothing heavy."""

from pathlib import Path

from wardround.client.commands.flags import inner, of_contract, of_person
from wardround.protocol.command_line.parser import OneLineParser, whole_number


def content(parser: OneLineParser) -> None:
    """Add its words, each with its flags."""
    parser.begin_words("action", "begin|check|approve|retire|list|draft")
    inner(parser, "begin", "write guidelines and a first module to edit; overwrites nothing")
    check = inner(parser, "check", "check all modules: words, lengths, links, wording; changes nothing")
    check.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="check this folder; needs no home (default: the home's content)",
    )
    of_contract(check)
    approve = inner(parser, "approve", "say yes to a module, word for word; signed with the hospital's key")
    approve.add_argument(
        "--until", metavar="DATE", help="the last day (default: the module's own valid_until)"
    )
    approve.add_argument("--yes", action="store_true", help="say yes to what is shown, without being asked")
    of_contract(approve)
    retire = inner(parser, "retire", "stop sending a module, from now on")
    of_person(approve, "who approves, as in people.yaml")
    of_person(retire, "who retires it", signs=False)
    for action in (approve, retire):
        action.add_argument("name", metavar="MODULE", help="its name, as in visit-reminder.en")
        action.add_argument("--reason", required=True, help="why; kept with the decision, one line")
    draft = inner(
        parser, "draft", "have a program write variants of a module, for people to edit and approve"
    )
    draft.add_argument("name", metavar="MODULE", help="its name, as in visit-reminder.en")
    draft.add_argument(
        "--with",
        dest="program",
        required=True,
        metavar="PROGRAM",
        help="reads JSON, writes JSON; see the docs",
    )
    draft.add_argument(
        "--count", type=whole_number, default=3, metavar="N", help="variants (default: 3, at most 20)"
    )
    draft.add_argument(
        "--seconds",
        type=whole_number,
        default=60,
        metavar="N",
        help="how long it may take (default: 60, at most 600)",
    )
    of_person(draft, "who asks, and cannot approve it", signs=False)
    inner(parser, "list", "show how each module stands today: approved, changed, lapsed, retired")
