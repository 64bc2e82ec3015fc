"""``service``: agent, SuperNode, pages, alerts and timers as units of systemd."""

import shlex
from argparse import Namespace

from wardround.deploy.fill import (
    BACKUP,
    BROWSERS,
    DATABASE,
    MAIL,
    PROPOSE,
    PROPOSE_AT,
    SCORE,
    SCORE_AT,
    SERVER,
    MachineValues,
    address_lines,
    backup_values,
    checked_environment,
    daily_line,
)
from wardround.deploy.service import serve_service
from wardround.deploy.shipped import HOSPITAL
from wardround.protocol.errors import ConfigurationError


def run(options: Namespace) -> None:
    """Install, remove, or say how it stands."""
    serve_service(options, HOSPITAL, _wanted, _values)


def _wanted(options: Namespace) -> list[str]:
    timed = [word for word in ("score", "propose", "backup") if getattr(options, word) is not None]
    return [*options.extras, *timed]


def _values(options: Namespace) -> MachineValues:
    if not options.server:
        raise ConfigurationError(
            "--server: is missing; give the address of the operator's server, and the resolver's where it has a name"
        )
    given = {SERVER: ("--server", options.server), DATABASE: ("--database", options.database)}
    given |= {MAIL: ("--mail", options.mail), BROWSERS: ("--browsers", options.browsers)}
    backup = backup_values(BACKUP, options.backup, options.backup_at)
    return MachineValues(
        environment=checked_environment(options.environment, options.root),
        lines={**address_lines(given), **_times(options), **backup.lines},
        words={**_timed_words(options), **backup.words},
    )


def _times(options: Namespace) -> dict[str, list[str]]:
    found = {}
    for word, example in (("score", SCORE_AT), ("propose", PROPOSE_AT)):
        line = daily_line(f"--{word}-at", getattr(options, f"{word}_at"))
        if getattr(options, word) is not None:
            found[example] = line
    return found


def _timed_words(options: Namespace) -> dict[str, list[str]]:
    """Give each timer's command line, which the command itself has taken: a slip shows now, and not at night."""
    from wardround.client.commands.arguments import parser

    found = {}
    for flag, example, command in (
        ("score", SCORE, ["score", "--by-timer", "24"]),
        ("propose", PROPOSE, ["outreach", "propose", "--by-timer", "24"]),
    ):
        if (text := getattr(options, flag)) is None:
            continue
        try:
            words = [*command, *shlex.split(text)]
            parser().parse_args(words)
        except ValueError as error:
            raise ConfigurationError(f"--{flag}={text}: cannot be read as words ({error})") from error
        except ConfigurationError as error:
            raise ConfigurationError(f"--{flag}={text}: {error}") from error
        found[example] = words
    return found
