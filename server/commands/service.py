"""``service``: server, pages, alerts and the timer of backups as units of systemd."""

from argparse import Namespace
from collections.abc import Sequence

from wardround.deploy.fill import (
    BIND,
    BROWSERS,
    MAIL,
    SERVER_BACKUP,
    MachineValues,
    address_lines,
    backup_values,
    checked_environment,
)
from wardround.deploy.service import install, remove, status
from wardround.deploy.shipped import OPERATOR, UnitSet


def run(options: Namespace) -> None:
    """Install, remove, or say how it stands."""
    if options.action == "install":
        install(options, _wanted(options), _values(options))
    else:
        {"remove": remove, "status": status}[options.action](options, OPERATOR)


def _wanted(options: Namespace) -> Sequence[UnitSet]:
    names = {OPERATOR[0].name, *options.extras, *["server-backup"] * (options.backup is not None)}
    return [part for part in OPERATOR if part.name in names]


def _values(options: Namespace) -> MachineValues:
    given = {MAIL: ("--mail", options.mail), BROWSERS: ("--browsers", options.browsers)}
    binds = [word for bind in options.bind or () for word in ("--bind", bind)]
    backup = backup_values(SERVER_BACKUP, options.backup, options.backup_at)
    return MachineValues(
        environment=checked_environment(options.environment, options.root),
        lines={**address_lines(given), **backup.lines},
        words={**({BIND: binds} if binds else {}), **backup.words},
    )
