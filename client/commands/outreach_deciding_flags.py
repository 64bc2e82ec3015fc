"""What may be typed after ``outreach`` to decide, to send and to listen. Imports nothing heavy."""

from pathlib import Path

from wardround.client.commands.flags import inner, of_person
from wardround.protocol.command_line.parser import OneLineParser, whole_number
from wardround.protocol.command_line.timer_flags import by_timer


def add_deciding(parser: OneLineParser) -> None:
    """Add these acts, each with its flags."""
    queue = inner(parser, "queue", "show what waits for a decision, as your role may see it; changes nothing")
    _choice(queue)
    of_person(queue, "who looks")
    approve = inner(parser, "approve", "say yes to messages; signed with the hospital's key")
    hold = inner(parser, "hold", "keep messages from leaving until somebody decides again")
    refuse = inner(parser, "refuse", "say no to messages, for good")
    for act in (approve, hold, refuse):
        act.add_argument("ids", nargs="*", type=whole_number, metavar="ID", help="ids, as in outreach queue")
        _choice(act)
        _reason(act)
        of_person(act, "who decides", signs=act is approve)
    approve.add_argument("--yes", action="store_true", help="say yes to what is shown, without being asked")
    change = inner(parser, "change", "propose another module in the place of one message's")
    change.add_argument("ids", nargs=1, type=whole_number, metavar="ID", help="an id, as in outreach queue")
    change.add_argument("--to", required=True, metavar="MODULE", help="the module, as in visit-reminder.en")
    _reason(change)
    of_person(change, "who decides")
    _standing(
        inner(
            parser, "standing", "sign, end or apply two people's yes to a module for a trigger, until a date"
        )
    )
    export = inner(
        parser, "export", "send what was approved to a recipient of policy.yaml; each message once"
    )
    by_timer(export, "export")
    export.add_argument("recipient", metavar="RECIPIENT", help="its name in policy.yaml")
    export.add_argument("--as-of", metavar="TIME", help="in a simulated home: the time that counts")
    export.add_argument(
        "--settle",
        choices=("sent", "unsent"),
        help="for messages in doubt: what the recipient told you; sends nothing",
    )
    export.add_argument("--reason", help="of --settle: why, one line")
    of_person(export, "who sends")
    stop = inner(parser, "stop", "void all that has not left, and end every standing approval")
    _reason(stop)
    of_person(stop, "who stops it", signs=False)
    _inbound(inner(parser, "inbound", "turn replies, bounces, complaints and calls into withdrawals at once"))
    about = inner(parser, "about", "show what a patient may ask: what was sent, why, on which consent")
    about.add_argument("patient", metavar="PATIENT", help="the identifier, as in your tables")
    of_person(about, "who asks for the patient")


def _standing(parser: OneLineParser) -> None:
    parser.add_argument(
        "act",
        choices=("begin", "sign", "end", "apply", "list"),
        help="begin: sign a new one; sign: sign it as the second person; end: end it; "
        "apply: approve what they cover now; list: show them",
    )
    parser.add_argument(
        "number",
        nargs="?",
        type=whole_number,
        metavar="NUMBER",
        help="of sign and end: its number, as in list",
    )
    _choice(parser)
    parser.add_argument(
        "--population",
        choices=("known", "unknown", "anybody"),
        default="anybody",
        help="whether the model knows a history of the patient (default: anybody)",
    )
    parser.add_argument("--until", metavar="DATE", help="of begin: its last day")
    for flag, default, what in (
        ("--per-day", 100, "most messages a day"),
        ("--in-all", 1000, "most messages in all"),
        ("--sample", 5, "percent that a person reads first"),
    ):
        parser.add_argument(
            flag, type=whole_number, default=default, metavar="N", help=f"{what} (default: {default})"
        )
    parser.add_argument("--reason", help="why; kept with the signature, one line")
    of_person(parser, "who signs")
    parser.add_argument("--yes", action="store_true", help="sign what is shown, without being asked")


def _inbound(parser: OneLineParser) -> None:
    by_timer(parser, "inbound")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a .csv or .jsonl file")
    parser.add_argument(
        "--page", action="store_true", help="without FILE: read what patients chose on their page"
    )
    parser.add_argument(
        "--patient",
        metavar="PATIENT",
        help="without FILE: the patient who refused, by telephone or at the desk",
    )
    parser.add_argument(
        "--consent",
        choices=("contact", "learn", "personalise", "all"),
        default="all",
        help="what the patient takes back (default: all)",
    )
    parser.add_argument(
        "--again", action="store_true", help="the patient says yes again: lift what was kept here"
    )
    parser.add_argument("--reason", help="why; kept with it, one line")
    of_person(parser, "who recorded it")


def _choice(parser: OneLineParser) -> None:
    parser.add_argument("--trigger", metavar="NAME", help="all messages of this trigger")
    parser.add_argument(
        "--module",
        dest="content_module",
        metavar="NAME",
        help="all messages of this module, as in visit-reminder.en",
    )


def _reason(parser: OneLineParser) -> None:
    parser.add_argument("--reason", required=True, help="why; kept with the decision, one line")
