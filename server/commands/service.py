"""``service``: server, pages, alerts and the timer of backups as units of systemd."""

from argparse import Namespace

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
from wardround.deploy.service import serve_service
from wardround.deploy.shipped import OPERATOR


def run(options: Namespace) -> None:
    """Install, remove, or say how it stands."""
    serve_service(options, OPERATOR, _wanted, _values)


def _wanted(options: Namespace) -> list[str]:
    return [*options.extras, *["server-backup"] * (options.backup is not None)]


def _values(options: Namespace) -> MachineValues:
    given = {MAIL: ("--mail", options.mail), BROWSERS: ("--browsers", options.browsers)}
    binds = [word for bind in options.bind or () for word in ("--bind", bind)]
    backup = backup_values(SERVER_BACKUP, options.backup, options.backup_at)
    return MachineValues(
        environment=checked_environment(options.environment, options.root),
        lines={**address_lines(given), **backup.lines},
        words={**({BIND: binds} if binds else {}), **backup.words},
    )
