"""The files that lie beside this one, and what of them a side installs."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
_UNITS = "systemd/system/"


@dataclass(frozen=True, kw_only=True)
class UnitSet:
    """What belongs together. files: where they go, below /etc; started: the units that systemd is to start."""

    name: str
    files: tuple[str, ...]
    started: tuple[str, ...]


def _part(name: str, *others: str, units: tuple[str, ...], started: tuple[str, ...]) -> UnitSet:
    return UnitSet(name=name, files=(*others, *(_UNITS + unit for unit in units)), started=started)


def _services(name: str, *others: str, units: tuple[str, ...]) -> UnitSet:
    services = tuple(f"wardround-{unit}.service" for unit in units)
    return _part(name, *others, units=services, started=services)


def _timer(name: str) -> UnitSet:
    units = (f"wardround-{name}.service", f"wardround-{name}.timer")
    return _part(name, units=units, started=units[1:])


def _users(name: str) -> tuple[str, str]:
    return f"sysusers.d/wardround-{name}.conf", f"tmpfiles.d/wardround-{name}.conf"


HOSPITAL = (
    _services(
        "agent",
        *_users("hospital"),
        "systemd/journald@wardround-node.conf",
        units=("agent", "supernode"),
    ),
    _services("pages", *_users("console"), units=("desk", "console")),
    _services("alerts", units=("alerts",)),
    _services("preferences", *_users("preferences"), units=("preferences",)),
    _timer("score"),
    _timer("propose"),
    _timer("backup"),
)
OPERATOR = (
    _services("server", *_users("operator"), units=("server",)),
    _services("pages", units=("dashboard",)),
    _services("alerts", units=("server-alerts",)),
    _timer("server-backup"),
)
"""The first part of a side is always installed."""


def shipped(file: str) -> str:
    """Read what is shipped for a path below /etc."""
    return (FOLDER / file.removeprefix(_UNITS).removeprefix("systemd/")).read_text(encoding="utf-8")


def unit_of(file: str) -> str:
    """Give the unit's name; empty for a file that is none."""
    return file.removeprefix(_UNITS) if file.startswith(_UNITS) else ""
