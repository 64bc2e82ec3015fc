"""What may be typed after ``wardround-hospital``: every command with its arguments. Imports nothing heavy."""

import os
from functools import cache
from pathlib import Path

from wardround.client.commands.console_flags import console
from wardround.client.commands.content_flags import content
from wardround.client.commands.flags import common, inner, of_contract, of_model, of_person, optional_terms
from wardround.client.commands.outreach_flags import outreach
from wardround.client.commands.preferences_flags import preferences
from wardround.client.commands.record_flags import ledger, operators, peers
from wardround.client.commands.service_flags import service
from wardround.protocol.alerts.words import alerts
from wardround.protocol.command_line.metrics_flags import metrics_at
from wardround.protocol.command_line.parser import Command, OneLineParser, begin, whole_number
from wardround.protocol.command_line.timer_flags import by_timer


def _init(parser: OneLineParser) -> None:
    parser.add_argument("--operator", metavar="KEY", help="the operator's public key, or its file")
    parser.add_argument("--terms", type=Path, metavar="FILE", help="a study's signed terms to prepare for")
    parser.add_argument(
        "--hospital", metavar="NAME", help="this hospital's name (default: the home folder's)"
    )
    parser.add_argument(
        "--from",
        dest="source",
        nargs=2,
        metavar=("KIND", "PLACE"),
        help="propose where your tables are, from names and types alone: csv FOLDER, postgresql URL, odbc CONNECTION "
        "or fhir FOLDER",
    )
    parser.add_argument("--dialect", metavar="NAME", help="of --from odbc: the database, as in mariadb")
    parser.add_argument("--user", metavar="NAME", help="of --from odbc: the user")
    parser.add_argument(
        "--password-file", type=Path, metavar="FILE", help="of --from odbc: holds the password"
    )
    parser.add_argument("--request", action="store_true", help="write a request to join, for the operator")
    parser.add_argument(
        "--simulation", metavar="SEED", help="make a simulated hospital, for good: its noise protects nobody"
    )
    parser.add_argument(
        "--as-of", metavar="TIME", help="with --simulation: the date and time that its gate takes for now"
    )


def _join(parser: OneLineParser) -> None:
    parser.add_argument("kit", type=Path, metavar="KIT", help="the operator's kit for this hospital")
    parser.add_argument(
        "--fingerprint", metavar="DIGITS", help="the kit's, as the operator read it out (default: ask)"
    )


def _terms(parser: OneLineParser) -> None:
    parser.add_argument("terms", metavar="TERMS", help="a signed terms file, or the name of a study")


def _declare(parser: OneLineParser) -> None:
    of_contract(parser)
    parser.add_argument(
        "--patients", type=whole_number, metavar="N", help="declare this number instead; one digit and zeros"
    )


def _doctor(parser: OneLineParser) -> None:
    parser.add_argument("terms", nargs="?", metavar="TERMS", help="check this study only")
    parser.add_argument(
        "--show-values", action="store_true", help="list unknown words of your tables on this screen"
    )


def _approval(parser: OneLineParser) -> None:
    _decision(parser)
    parser.add_argument("--yes", action="store_true", help="say yes to what is shown, without being asked")
    parser.add_argument(
        "--last-entry",
        type=whole_number,
        metavar="N",
        help="with --yes, at an operator's first study: the number of the ledger's last entry",
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write a page for a privacy board; decides nothing"
    )
    parser.add_argument(
        "--roster",
        metavar="WORDS",
        help="the eight words of the hospitals' keys as another hospital read them out; refused if they differ",
    )


def _decision(parser: OneLineParser) -> None:
    _terms(parser)
    parser.add_argument("--reason", help="why; kept in the ledger, one line")
    of_person(parser, "who decides")


def _score(parser: OneLineParser) -> None:
    by_timer(parser, "score")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a study's model.safetensors")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="a new .csv or .parquet file, or a folder for new ones"
    )
    of_model(parser)
    parser.add_argument("--personal", action="store_true", help="adjust to this hospital's own patients")
    parser.add_argument(
        "--identify", action="store_true", help="write identifier and time of each message beside its score"
    )


def _model(parser: OneLineParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="a study's model.safetensors")
    parser.add_argument(
        "--signature", type=Path, metavar="FILE", help="the study's model.signature (default: beside MODEL)"
    )
    optional_terms(parser)


def _recall(parser: OneLineParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the operator's model.recall")
    of_person(parser, "who records it", signs=False)


def _policy(parser: OneLineParser) -> None:
    parser.add_argument("--publish", type=Path, metavar="FILE", help="write a signed extract for operators")


def _notice(parser: OneLineParser) -> None:
    parser.add_argument(
        "out",
        nargs="?",
        type=Path,
        metavar="OUT",
        help="a new .html file (default: notice.html here, with --outreach messages.html)",
    )
    parser.add_argument(
        "--contact", metavar="TEXT", help="whom a patient asks, as in 'privacy office, 555 0100'"
    )
    parser.add_argument("--name", metavar="TEXT", help="the hospital's name for patients")
    parser.add_argument(
        "--outreach",
        action="store_true",
        help="the page about messages: what is sent, who decides, how to say no",
    )
    parser.add_argument("--language", metavar="WORD", help="with --outreach: en or es (default: en)")


def _people(parser: OneLineParser) -> None:
    parser.begin_words("action", "begin|list")
    inner(parser, "begin", "write people.yaml to edit, which names nobody yet; overwrites nothing")
    inner(parser, "list", "check people.yaml, and show who decides in which role; changes nothing")


def _contract(parser: OneLineParser) -> None:
    parser.begin_words("action", "draft")
    draft = inner(parser, "draft", "write a contract to start with, from names and types of columns alone")
    draft.add_argument(
        "messages",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="the table of messages (default: the tables of the home, files, database or FHIR)",
    )
    draft.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new .yaml file")
    draft.add_argument("--patients", type=Path, metavar="FILE", help="with FILE: the table of patients")
    draft.add_argument("--name", default="draft", metavar="NAME", help="the contract's name (draft)")
    draft.add_argument(
        "--purpose", default="patient_engagement", metavar="TEXT", help="what it is for (patient_engagement)"
    )
    for flag, what in (
        ("--patient", "the patient's identifier"),
        ("--decided-at", "when a message was decided"),
        ("--outcome-at", "when its outcome falls due"),
        ("--label", "what the patient did"),
    ):
        draft.add_argument(flag, metavar="COLUMN", help=f"{what} (told from the names)")
    for flag, what in (("--engaged", "did"), ("--not-engaged", "did not")):
        draft.add_argument(
            flag,
            action="append",
            metavar="WORD",
            help=f"the label's word where the patient {what}; repeat it",
        )


COMMANDS = (
    Command("init", "init", "write policy, settings, keys and an empty ledger; overwrites nothing", _init),
    Command(
        "join",
        "join",
        "accept the operator's kit (address, certificate), and write the request to join",
        _join,
    ),
    Command(
        "doctor", "doctor", "check everything that a study needs; exit code 0 only if one could run", _doctor
    ),
    Command("forecast", "forecast", "show what a study would cost, clause by clause; spends nothing", _terms),
    Command("rehearse", "rehearse", "compute one round with a throwaway ledger; nothing leaves", _terms),
    Command("studies", "studies", "list the studies that were proposed, and what was decided"),
    Command("approve", "decide", "say yes to a study; recorded with a person and a reason", _approval),
    Command("decline", "decide", "say no to a study; recorded with a person and a reason", _decision),
    Command("operators", "operators", "list, rotate or revoke operators' keys", operators),
    Command("peers", "peers", "list, add or remove hospitals that you know, and whom they vouch for", peers),
    Command("agent", "agent", "answer signed plans at the socket, until it is stopped", machine=False),
    Command(
        "supernode",
        "supernode",
        "carry messages between server and agent, until it is stopped",
        machine=False,
    ),
    Command("up", "up", "run agent and supernode as one user; only for demonstrations", machine=False),
    Command("status", "status", "show the budget left, the next possible round, the last releases"),
    Command(
        "alerts",
        "alerts",
        "tell this hospital's people what needs them, by e-mail, webhook or apprise",
        lambda parser: alerts(parser, inner),
    ),
    Command(
        "metrics",
        "metrics",
        "serve metrics for Prometheus; nothing in them depends on tables",
        lambda parser: metrics_at(parser, 9465),
        machine=False,
    ),
    Command("ledger", "ledger", "show, verify, export, back up or recover the record of releases", ledger),
    Command(
        "policy",
        "policy",
        "show the limits in force; --publish writes a signed extract for operators",
        _policy,
    ),
    Command("contract", "contract", "draft a contract from the columns of your tables", _contract),
    Command(
        "gate",
        "gate",
        "count who passes the gate today, by reason, and list the columns read",
        optional_terms,
    ),
    Command(
        "declare", "declare", "print the rounded number of patients that the operator may know", _declare
    ),
    Command(
        "model", "model", "show who signed a model and its card, and whether it may be used here", _model
    ),
    Command(
        "recall",
        "recall",
        "record that an operator recalled a model; nothing here uses it from then on",
        _recall,
    ),
    Command("score", "score", "write one probability per message, with reasons", _score),
    Command("people", "people", "say who decides about messages to patients, and in which role", _people),
    Command("content", "content", "check, approve, retire and draft what messages to patients say", content),
    Command("outreach", "outreach", "say who is due a message, and propose what they are sent", outreach),
    Command(
        "preferences",
        "preferences",
        "set up and serve the page on which patients choose their messages",
        preferences,
    ),
    Command(
        "console",
        "console",
        "serve the pages for people who use no terminal, and say who may log in",
        console,
    ),
    Command(
        "service",
        "service",
        "write, show or remove the systemd units of agent, SuperNode, pages, alerts and timers",
        service,
    ),
    Command("notice", "notice", "write the page for patients, from contract, policy and ledger", _notice),
)
HOMELESS = ("service",)
"""Commands that have nothing to do with one home folder."""


def parser() -> OneLineParser:
    """Give the whole command line; it is built once for each default home."""
    return _built(Path(os.environ.get("WARDROUND_HOME", ".")))


@cache  # a program that calls many commands, as tests do, would spend a tenth of its time on building it anew
def _built(home: Path) -> OneLineParser:
    top = begin(
        "wardround-hospital",
        "What a hospital runs: agent, ledger, policy, models.",
        "The home folder is given by --home or WARDROUND_HOME; default: the current folder.\n"
        "Exit codes: 0; 2 with one line that says what to fix.",
    )
    for command in COMMANDS:
        one = top.add_word(command.name, command.summary)
        common(one, home, machine=command.machine, homeless=command.name in HOMELESS)
        command.add(one)
        one.set_defaults(module=command.module)
    return top
