"""What may be typed after ``wardround-serve``: every command with its flags. Imports nothing heavy."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from wardround.deploy.words import service_words
from wardround.pages.account_words import account_words
from wardround.protocol.alerts.words import alerts
from wardround.protocol.command_line.metrics_flags import metrics_at
from wardround.protocol.command_line.parser import Command, OneLineParser, begin
from wardround.protocol.command_line.timer_flags import by_timer
from wardround.server.commands.study_flags import (
    contract,
    feasibility,
    kept_study,
    of_study,
    run,
    terms,
    uplift,
    waits,
)

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


def _dashboard(parser: OneLineParser) -> None:
    parser.begin_words("action", "serve|account")
    _inner(parser, "serve", "serve the pages until it is stopped", machine=False)
    account = _inner(parser, "account", "say who may log in")
    add = account_words(account, _inner, "let a person log in, by a password", "the name to log in by")
    add.add_argument("--person", required=True, metavar="NAME", help="whose account it is")


def _service(parser: OneLineParser) -> None:
    install = service_words(parser, _homeless, ("pages", "alerts"), "the home")
    install.add_argument(
        "--bind", action="append", metavar="ADDRESS", help="as of up; may be repeated (default: 0.0.0.0)"
    )
    for flag, what in (
        ("--mail", "with --with alerts: an address that may be reached, of the mail server or webhook"),
        (
            "--browsers",
            "with --with pages: an address from which browsers may call (default: this machine alone)",
        ),
    ):
        install.add_argument(flag, action="append", default=[], metavar="ADDRESS", help=f"{what}; repeat it")


def _approve(parser: OneLineParser) -> None:
    of_study(parser)
    parser.add_argument("--person", required=True, metavar="NAME", help="who signs")
    parser.add_argument("--reason", required=True, help="why; one line, shown on the model's card")


def _recall(parser: OneLineParser) -> None:
    of_study(parser)
    parser.add_argument("--person", required=True, metavar="NAME", help="who answers for the recall")
    parser.add_argument("--reason", required=True, help="why; one line, shown to every hospital")


def _backup(parser: OneLineParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the copy; an older one of yours is replaced")
    by_timer(parser, "server-backup")


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
        "forecast", "forecast", "show what a study would cost, and who would refuse it; signs nothing", run
    ),
    Command("train", "train", "sign the terms and run the study, or continue it", run, machine=False),
    Command("resume", "resume", "continue a study that was stopped or killed", waits, machine=False),
    Command("stop", "stop", "stop a running study after its current round", of_study),
    Command("study", "study", "delete a study that never ran", kept_study),
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
        "serve metrics for Prometheus, about server, hospitals and studies",
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
        "approve",
        "approve",
        "sign an exception: a named person accepts limits that were not shown to hold",
        _approve,
    ),
    Command("recall", "recall", "sign that a model must not be used any more, and why", _recall),
    Command(
        "backup", "backup", "copy the home, keys too, into one file; server and studies may run", _backup
    ),
    Command("restore", "restore", "put a backup in a home's place; what stood there is kept aside", _restore),
    Command("key", "key", "make the operator's signing key", _key),
    Command("terms", "terms", "compose a study, find the noise that its ε needs, and sign the terms", terms),
    Command(
        "feasibility",
        "query",
        "count eligible patients before a study: charged, approved, noised",
        feasibility,
    ),
    Command(
        "uplift",
        "query",
        "compare the arms of a trial over all hospitals: charged, approved, noised",
        uplift,
    ),
    Command("contract", "contract", "advise which features of a contract drown in noise", contract),
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
