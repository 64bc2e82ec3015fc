"""``service``: server, pages and alerts as units of systemd."""

from argparse import Namespace
from collections.abc import Sequence

from wardround.deploy.fill import BIND, BROWSERS, MAIL, MachineValues, address_lines, checked_environment
from wardround.deploy.service import install, remove, status
from wardround.deploy.shipped import OPERATOR, UnitSet


def run(options: Namespace) -> None:
    """Install, remove, or say how it stands."""
    if options.action == "install":
        install(options, _wanted(options), _values(options))
    else:
        {"remove": remove, "status": status}[options.action](options, OPERATOR)


def _wanted(options: Namespace) -> Sequence[UnitSet]:
    return [part for part in OPERATOR if part.name in {OPERATOR[0].name, *options.extras}]


def _values(options: Namespace) -> MachineValues:
    given = {MAIL: ("--mail", options.mail), BROWSERS: ("--browsers", options.browsers)}
    binds = [word for bind in options.bind or () for word in ("--bind", bind)]
    return MachineValues(
        environment=checked_environment(options.environment, options.root),
        lines=address_lines(given),
        words={BIND: binds} if binds else {},
    )
