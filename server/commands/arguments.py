"""What may be typed after ``wardround-serve``: every command with its flags. Imports nothing heavy."""

from argparse import SUPPRESS
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from wardround.conf.help import help_text
from wardround.deploy.words import service_words
from wardround.pages.account_words import account_words
from wardround.protocol.alerts.words import alerts
from wardround.protocol.command_line.metrics_flags import metrics_at
from wardround.protocol.command_line.parser import SETTINGS, Command, OneLineParser, begin, number

DEFAULT_ADDRESS = "127.0.0.1:8443"


def _provision(parser: OneLineParser) -> None:
    parser.add_argument(
        "--hospital",
        action="append",
        required=True,
        metavar="NAME",
        help="a hospital to make a kit for; may be repeated",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help=f"where hospitals reach the server (default: {DEFAULT_ADDRESS})",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("kits"), metavar="DIR", help="the folder for kits (default: kits)"
    )


def _enrol(parser: OneLineParser) -> None:
    parser.add_argument(
        "--request", type=Path, required=True, metavar="FILE", help="the hospital's request to join"
    )
    parser.add_argument(
        "--fingerprint", metavar="DIGITS", help="the request's, as the hospital read it out (default: ask)"
    )


def _revoke(parser: OneLineParser) -> None:
    parser.add_argument("--hospital", required=True, metavar="NAME", help="the hospital to revoke")


def _up(parser: OneLineParser) -> None:
    parser.add_argument(
        "--bind",
        action="append",
        metavar="ADDRESS",
        help="where hospitals can call: an address or name of this machine, IPv4 or IPv6, 0.0.0.0 for all of IPv4, "
        ":: for all; may be repeated (default: this machine alone, 127.0.0.1)",
    )


def _study(parser: OneLineParser) -> None:
    parser.add_argument("--study", required=True, metavar="NAME", help="the study's name")


def _kept_study(parser: OneLineParser) -> None:
    parser.begin_words("action", "delete")
    delete = parser.add_word(
        "delete", "remove a study of which no hospital was asked anything; frees its name"
    )
    _study(delete)
    # The outer word's defaults would be undone by an inner one's.
    delete.add_argument("--home", type=Path, default=SUPPRESS, metavar="DIR", help="the operator's folder")
    delete.add_argument("--json", action="store_true", default=SUPPRESS, help="print JSON, for scripts")


def _waits(parser: OneLineParser) -> None:
    _study(parser)
    parser.add_argument(
        "--round-seconds",
        type=number,
        default=600.0,
        metavar="S",
        help="a round's deadline; later answers are left out of the round (default: 600)",
    )
    parser.add_argument(
        "--quorum",
        type=number,
        default=0.5,
        metavar="SHARE",
        help="share of hospitals that must answer by then; else the round is asked again (default: 0.5)",
    )
    parser.add_argument(
        "--wait-seconds",
        type=number,
        default=86_400.0,
        metavar="S",
        help="how long to keep asking, or to wait for a server that is down (default: 86400, a day)",
    )


def _composed(parser: OneLineParser, config: str = "serve") -> None:
    parser.add_argument(
        "--show-settings", action="store_true", help="print every setting with its value, and do nothing else"
    )
    parser.add_argument(
        SETTINGS, nargs="*", metavar="SETTING", help="group=option or key=value, as below; after the flags"
    )
    parser.epilog = help_text(config)


def _run(parser: OneLineParser) -> None:
    _waits(parser)
    _composed(parser)


def _terms(parser: OneLineParser) -> None:
    _study(parser)
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="the operator's signing key")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new file of signed terms")
    _composed(parser)


def _contract(parser: OneLineParser) -> None:
    parser.begin_words("action", "advise")
    advise = parser.add_word("advise", "say from public numbers what the study's noise would hide")
    # The outer word's default would be undone by an inner one's.
    advise.add_argument("--json", action="store_true", default=SUPPRESS, help="print JSON, for scripts")
    _composed(advise)


def _feasibility(parser: OneLineParser) -> None:
    _query(parser, "feasibility", _FEASIBILITY)


def _uplift(parser: OneLineParser) -> None:
    _query(parser, "uplift", _UPLIFT)


def _query(parser: OneLineParser, kind: str, summaries: Mapping[str, str]) -> None:
    parser.set_defaults(query=kind)
    parser.begin_words("action", "forecast|terms|run|show")
    for name, summary in summaries.items():
        one = parser.add_word(name, summary)
        # The outer word's defaults would be undone by an inner one's.
        if name != "run":
            one.add_argument("--json", action="store_true", default=SUPPRESS, help="print JSON, for scripts")
        if name == "terms":
            _study(one)
            one.add_argument(
                "--key", type=Path, required=True, metavar="FILE", help="the operator's signing key"
            )
            one.add_argument(
                "--out", type=Path, required=True, metavar="FILE", help="a new file of signed terms"
            )
        else:
            one.add_argument(
                "--home", type=Path, default=Path(), metavar="DIR", help="the operator's folder (default: .)"
            )
            _study(one) if name == "show" else _waits(one)
        if name != "show":
            _composed(one, kind)


_FEASIBILITY = {
    "forecast": "show what the counts would cost, and who would refuse them; signs nothing",
    "terms": "find the noise that ε needs, and sign the terms",
    "run": "sign the terms and ask the hospitals, or go on asking",
    "show": "show what was counted, what to declare, and at which ε a study can work",
}
_UPLIFT = {
    "forecast": "show what the comparison would cost and how exact it would be; signs nothing",
    "terms": "find the noise that ε needs, and sign the terms",
    "run": "sign the terms and ask the hospitals, or go on asking",
    "show": "show each arm's mean outcome, and the differences over all and by group",
}


def _dashboard(parser: OneLineParser) -> None:
    parser.begin_words("action", "serve|account")
    _inner(parser, "serve", "serve the pages until it is stopped", machine=False)
    account = _inner(parser, "account", "say who may log in")
    add = account_words(account, _inner, "let a person log in, by a password", "the name to log in by")
    add.add_argument("--person", required=True, metavar="NAME", help="whose account it is")


def _service(parser: OneLineParser) -> None:
    install = service_words(parser, _homeless, ("pages", "alerts"))
    install.add_argument(
        "--bind", action="append", metavar="ADDRESS", help="as of up; may be repeated (default: 0.0.0.0)"
    )
    for flag, what in (
        ("--mail", "with --with alerts: the mail server or webhook may be reached there"),
        ("--browsers", "with --with pages: browsers call from there (default: this machine alone)"),
    ):
        install.add_argument(flag, action="append", default=[], metavar="ADDRESS", help=f"{what}; repeat it")


def _approve(parser: OneLineParser) -> None:
    _study(parser)
    parser.add_argument("--person", required=True, metavar="NAME", help="who signs")
    parser.add_argument("--reason", required=True, help="why; one line, shown on the model's card")


def _recall(parser: OneLineParser) -> None:
    _study(parser)
    parser.add_argument("--person", required=True, metavar="NAME", help="who answers for the recall")
    parser.add_argument("--reason", required=True, help="why; one line, shown to every hospital")


def _backup(parser: OneLineParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the copy; an older one of yours is replaced")


def _restore(parser: OneLineParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a file that backup wrote")
    parser.add_argument(
        "--asked",
        action="append",
        default=[],
        metavar="STUDY=ROUND",
        help="the last round that any hospital was asked for in a study that had not ended; may be repeated",
    )
    parser.add_argument(
        "--head",
        action="append",
        default=[],
        metavar="HOSPITAL=HEAD",
        help="a hospital's ledger head, as its own status shows it; may be repeated",
    )


def _key(parser: OneLineParser) -> None:
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="a new file; the public half is FILE.pub"
    )


def _homeless(parser: OneLineParser, name: str, summary: str) -> OneLineParser:
    """Add a word with ``--json`` alone: the units have a home of their own."""
    one = parser.add_word(name, summary)
    one.add_argument("--json", action="store_true", help="print JSON, for scripts")
    return one


def _inner(parser: OneLineParser, name: str, summary: str, machine: bool = True) -> OneLineParser:
    """Add a word behind a command, with the flags of every command that has a home."""
    one = parser.add_word(name, summary)
    one.add_argument(
        "--home", type=Path, default=Path(), metavar="DIR", help="the operator's folder (default: .)"
    )
    if machine:
        one.add_argument("--json", action="store_true", help="print JSON, for scripts")
    return one


COMMANDS = (
    Command("provision", "provision", "make certificates, keys and kits; existing ones are kept", _provision),
    Command("enrol", "enrol", "let a hospital take part, by its request to join", _enrol),
    Command("revoke", "revoke", "end a hospital's access; a running server does so within seconds", _revoke),
    Command("renew", "renew", "make a new certificate for the server, under the same root"),
    Command("up", "up", "serve enrolled hospitals over TLS, until it is stopped", _up, machine=False),
    Command(
        "forecast", "forecast", "show what a study would cost, and who would refuse it; signs nothing", _run
    ),
    Command("train", "train", "sign the terms and run the study, or continue it", _run, machine=False),
    Command("resume", "resume", "continue a study that was stopped or killed", _waits, machine=False),
    Command("stop", "stop", "stop a running study after its current round", _study),
    Command("study", "study", "delete a study that never ran", _kept_study),
    Command(
        "alerts",
        "alerts",
        "tell the operator's people what needs them, by e-mail, webhook or apprise",
        lambda parser: alerts(parser, _inner),
        machine=False,
    ),
    Command(
        "metrics",
        "metrics",
        "serve Prometheus how server, hospitals and studies stand",
        lambda parser: metrics_at(parser, 9464),
        machine=False,
    ),
    Command(
        "dashboard",
        "dashboard",
        "serve the operator's pages: hospitals, studies, alerts; say who may log in",
        _dashboard,
        machine=False,
    ),
    Command(
        "service",
        "service",
        "write, show or remove the systemd units of server, pages and alerts",
        _service,
        machine=False,
    ),
    Command("status", "status", "show server, certificates, hospitals and studies"),
    Command(
        "approve", "approve", "sign, as a named person, for limits that were not shown to hold", _approve
    ),
    Command("recall", "recall", "sign that a model must not be used any more, and why", _recall),
    Command(
        "backup", "backup", "copy the home, keys too, into one file; server and studies may run", _backup
    ),
    Command("restore", "restore", "put a backup in a home's place; what stood there is kept aside", _restore),
    Command("key", "key", "make the operator's signing key", _key),
    Command("terms", "terms", "compose a study, find the noise that its ε needs, and sign the terms", _terms),
    Command(
        "feasibility",
        "query",
        "count eligible patients before a study: charged, approved, noised",
        _feasibility,
    ),
    Command(
        "uplift",
        "query",
        "compare the arms of a trial over all hospitals: charged, approved, noised",
        _uplift,
    ),
    Command("contract", "contract", "advise which features of a contract drown in noise", _contract),
)
HOMELESS = ("key", "terms", "contract", "feasibility", "uplift", "alerts", "dashboard", "service")
"""Commands that name their files or need none, and no operator's home."""


def _settings() -> Sequence[str]:
    # Here and not above: only completion asks, and it reads all of conf/.
    from wardround.conf.candidates import candidates

    return candidates("serve")


@cache  # a program that calls many commands, as tests do, would spend a tenth of its time on building it anew
def parser() -> OneLineParser:
    """Give the whole command line; it is built once."""
    top = begin(
        "wardround-serve",
        "What the operator of a federation runs.",
        "wardround-serve COMMAND --help explains a command, and lists the settings of those that compose a study.\n"
        "Exit codes: 0; 2 with one line that says what to fix; 130 when stopped.",
        _settings,
    )
    for command in COMMANDS:
        one = top.add_word(command.name, command.summary)
        command.add(one)
        if command.name not in HOMELESS:
            one.add_argument(
                "--home", type=Path, default=Path(), metavar="DIR", help="the operator's folder (default: .)"
            )
        if command.machine:
            one.add_argument("--json", action="store_true", help="print JSON, for scripts")
        one.set_defaults(module=command.module)
    return top
