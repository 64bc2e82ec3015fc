"""What may be typed after ``wardround-hospital``: every command with its arguments. Imports nothing heavy."""

import os
from argparse import SUPPRESS
from pathlib import Path

from wardround.protocol.command_line.parser import Command, OneLineParser, begin, whole_number


def _init(parser: OneLineParser) -> None:
    parser.add_argument("--operator", metavar="KEY", help="the operator's public key, or its file")
    parser.add_argument("--terms", type=Path, metavar="FILE", help="a study's signed terms to prepare for")
    parser.add_argument("--hospital", metavar="NAME", help="this hospital's name (the home folder's)")
    parser.add_argument("--request", action="store_true", help="write a request to join, for the operator")
    parser.add_argument(
        "--simulation", metavar="SEED", help="a simulated hospital, for good: its noise protects nobody"
    )
    parser.add_argument("--as-of", metavar="MOMENT", help="with --simulation: what its gate takes for now")


def _join(parser: OneLineParser) -> None:
    parser.add_argument("kit", type=Path, metavar="KIT", help="the operator's kit for this hospital")
    parser.add_argument(
        "--fingerprint", metavar="DIGITS", help="the kit's, as you were told by telephone (asked for)"
    )


def _terms(parser: OneLineParser) -> None:
    parser.add_argument("terms", metavar="TERMS", help="a signed terms file, or the name of a study")


def _optional_terms(parser: OneLineParser) -> None:
    parser.add_argument(
        "--terms", metavar="TERMS", help="a signed terms file or study, where several contracts are known"
    )


def _declare(parser: OneLineParser) -> None:
    _optional_terms(parser)
    parser.add_argument("--contract", type=Path, metavar="FILE", help="the contract, before there are terms")
    parser.add_argument(
        "--patients", type=whole_number, metavar="N", help="declare this number of one digit instead"
    )


def _doctor(parser: OneLineParser) -> None:
    parser.add_argument("terms", nargs="?", metavar="TERMS", help="look at this study alone")


def _approval(parser: OneLineParser) -> None:
    _decision(parser)
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write a page for a privacy board, and decide nothing"
    )


def _decision(parser: OneLineParser) -> None:
    _terms(parser)
    parser.add_argument("--reason", help="why; kept in the ledger, one line")
    parser.add_argument("--person", metavar="NAME", help="who decides (the user's name)")
    parser.add_argument("--yes", action="store_true", help="answer for what is shown without being asked")
    parser.add_argument(
        "--last-entry",
        type=whole_number,
        metavar="N",
        help="with --yes, at an operator's first study: the number of the ledger's last entry",
    )


def _ledger(parser: OneLineParser) -> None:
    parser.begin_words("action", "show|verify|export|backup|restore|recover|clock")
    show = _inner(parser, "show", "the last entries")
    show.add_argument("--last", type=whole_number, default=20, metavar="N", help="how many (20)")
    verify = _inner(parser, "verify", "check every entry; works away from here")
    verify.add_argument("file", nargs="?", type=Path, metavar="EXPORT", help="an export (this ledger)")
    verify.add_argument(
        "--key", metavar="KEY", help="the hospital's public key, or its file (this hospital's)"
    )
    verify.add_argument("--head", metavar="HASH", help="a head that somebody else kept")
    export = _inner(parser, "export", "write all entries, without stored bytes")
    export.add_argument("file", type=Path, metavar="OUT", help="a new file")
    backup = _inner(parser, "backup", "write all of it into one file, while the agent runs")
    backup.add_argument("file", type=Path, metavar="FILE", help="a new file, or an older backup")
    restore = _inner(parser, "restore", "put a backup back, where nothing is forgotten by it")
    restore.add_argument("file", type=Path, metavar="FILE", help="the newest backup")
    _recover(_inner(parser, "recover", _RECOVER))
    clock = _inner(parser, "clock", "say that the clock is right now")
    _reason(clock, "who says so")


_RECOVER = "go on after a loss: enter the heads that operators hold, and charge what may have been spent"


def _recover(parser: OneLineParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="the newest backup (what lies in the ledger's place)",
    )
    parser.add_argument(
        "--head",
        action="append",
        metavar="HASH",
        help="an operator's newest head of this hospital; repeat it",
    )
    parser.add_argument(
        "--terms", action="append", type=Path, metavar="FILE", help="signed terms not kept here; repeat it"
    )
    parser.add_argument(
        "--no-other-studies",
        action="store_true",
        help="no study was approved after that copy but those whose terms are here; else all ε for life is charged",
    )
    _reason(parser, "who says so")
    parser.add_argument("--yes", action="store_true", help="answer for what is shown without being asked")


def _reason(parser: OneLineParser, who: str) -> None:
    parser.add_argument("--reason", required=True, help="why; kept in the ledger, one line")
    parser.add_argument("--person", metavar="NAME", help=f"{who} (the user's name)")


def _score(parser: OneLineParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="a study's model.safetensors")
    parser.add_argument(
        "--signature", type=Path, metavar="FILE", help="the study's model.signature (beside MODEL)"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="a new .csv or .parquet file")
    _optional_terms(parser)
    parser.add_argument("--personal", action="store_true", help="adjust to this hospital's own patients")
    parser.add_argument(
        "--identify", action="store_true", help="write identifier and time of each message beside its score"
    )
    parser.add_argument(
        "--accept-not-releasable", metavar="REASON", help="use a signed model that nobody released; recorded"
    )
    parser.add_argument(
        "--accept-unsigned", metavar="REASON", help="use a model that nobody answers for; recorded"
    )
    parser.add_argument("--person", metavar="NAME", help="who accepts (the user's name)")


def _model(parser: OneLineParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="a study's model.safetensors")
    parser.add_argument(
        "--signature", type=Path, metavar="FILE", help="the study's model.signature (beside MODEL)"
    )
    _optional_terms(parser)


def _policy(parser: OneLineParser) -> None:
    parser.add_argument("--publish", type=Path, metavar="FILE", help="write a signed extract for operators")


def _notice(parser: OneLineParser) -> None:
    parser.add_argument(
        "out", nargs="?", type=Path, metavar="OUT", help="a new .html file (notice.html here)"
    )
    parser.add_argument(
        "--contact", metavar="TEXT", help="whom a patient asks, as in 'privacy office, 555 0100'"
    )
    parser.add_argument("--name", metavar="TEXT", help="the hospital's name for patients")


def _operators(parser: OneLineParser) -> None:
    parser.begin_words("action", "list|rotate|revoke")
    _inner(parser, "list", "operators and whether their keys are in use")
    rotate = _inner(parser, "rotate", "a new key takes the old one's account")
    revoke = _inner(parser, "revoke", "a key is out of use for good")
    for action in (rotate, revoke):
        action.add_argument("key", metavar="KEY", help="the operator's public key, or its file")
    rotate.add_argument("successor", metavar="NEW", help="the new public key, or its file")
    for action in (rotate, revoke):
        _reason(action, "who decides")


def _contract(parser: OneLineParser) -> None:
    parser.begin_words("action", "draft")
    draft = _inner(parser, "draft", "a contract to start with, from names and types of columns alone")
    draft.add_argument("messages", type=Path, metavar="FILE", help="the table of messages")
    draft.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new .yaml file")
    draft.add_argument("--patients", type=Path, metavar="FILE", help="the table of patients")
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
        "join", "join", "take the operator's kit: address, certificate; write the request to join", _join
    ),
    Command(
        "doctor", "doctor", "check everything that a study needs; exit 0 only when one could run", _doctor
    ),
    Command("forecast", "forecast", "what a study would cost, clause by clause; spends nothing", _terms),
    Command("rehearse", "rehearse", "one round against a throwaway ledger; nothing leaves", _terms),
    Command("studies", "studies", "the studies that were proposed, and what was decided"),
    Command("approve", "decide", "a person's yes to a study, recorded with a reason", _approval),
    Command("decline", "decide", "a person's no to a study, recorded with a reason", _decision),
    Command("operators", "operators", "list, rotate or revoke the keys of operators", _operators),
    Command("agent", "agent", "answer signed plans at the socket, until stopped", machine=False),
    Command(
        "supernode",
        "supernode",
        "carry messages between the server and the agent, until stopped",
        machine=False,
    ),
    Command("up", "up", "agent and supernode as one user: for demonstrations", machine=False),
    Command("status", "status", "budget left, next round possible, last releases"),
    Command("ledger", "ledger", "the record of every release: show, verify, export, back up", _ledger),
    Command("policy", "policy", "the limits in force; --publish: a signed extract for operators", _policy),
    Command("contract", "contract", "draft a contract from the columns of your tables", _contract),
    Command("gate", "gate", "who passes today, by reason, and the columns read", _optional_terms),
    Command("declare", "declare", "the rounded number of patients that the operator may know", _declare),
    Command("model", "model", "who signed a model and its card, and whether it may be used here", _model),
    Command("score", "score", "one probability per message, with reasons", _score),
    Command("notice", "notice", "the page for patients, from contract, policy and ledger", _notice),
)


def parser() -> OneLineParser:
    """Build the whole command line."""
    top = begin(
        "wardround-hospital",
        "What a hospital runs: its limits, its record, its own say.",
        "The home folder is named by --home, by WARDROUND_HOME, or is the current one.\n"
        "Exit codes: 0; 2 with one line that says what to mend.",
    )
    for command in COMMANDS:
        one = top.add_word(command.name, command.summary)
        _common(one, machine=command.machine)
        command.add(one)
        one.set_defaults(module=command.module)
    return top


def _inner(parser: OneLineParser, name: str, summary: str) -> OneLineParser:
    """Add a word behind a command, whose common flags leave alone what stood before it."""
    word = parser.add_word(name, summary)
    _common(word, inner=True)
    return word


def _common(parser: OneLineParser, machine: bool = True, inner: bool = False) -> None:
    """Add the flags of every command. machine: with ``--json``."""
    home = SUPPRESS if inner else Path(os.environ.get("WARDROUND_HOME", "."))
    parser.add_argument("--home", type=Path, default=home, metavar="DIR", help="the home folder")
    off = SUPPRESS if inner else False
    if machine:
        parser.add_argument("--json", action="store_true", default=off, help="answer for a machine to read")
    parser.add_argument(
        "--verbose", "-v", action="store_true", default=off, help="log each step on standard error"
    )
