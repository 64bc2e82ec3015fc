"""Where a side's pages listen, as its own settings file says. Without a file: on this machine alone.

    name: North Hospital                 # as the pages show it
    listen: 127.0.0.1:8765               # any other address only with a certificate
    hosts: [console.north.example:8765]  # what browsers may call it besides
    certificate: console.pem             # the side's own, with its chain
    key: console.key
    idle_minutes: 15                     # then a person logs in anew
    longest_hours: 8                     # and after that in any case

Paths are relative to the file's folder.
"""

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from wardround.pages.sessions import IDLE, LONGEST
from wardround.pages.settings import PageSettings
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.files import read_bounded
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section, shown

LARGEST_IDLE_MINUTES, LARGEST_HOURS = 120, 24
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[0-9.]+):([0-9]{1,5})")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?")
_LARGEST_PORT = 65_535


@dataclass(frozen=True, kw_only=True)
class ServedPages:
    """The settings, checked. address, port: where the pages listen; certificate and key: both or neither.

    idle, longest: how long a session lasts without a click, and in any case.
    """

    name: str
    address: str
    port: int
    hosts: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    idle: timedelta = IDLE
    longest: timedelta = LONGEST

    @property
    def pages(self) -> PageSettings:
        """Give what the pages are served with."""
        literal = f"[{self.address}]" if ":" in self.address else self.address
        # On loopback also by the name that everybody types. Never *, which would let any name be pointed here.
        names = [
            f"{literal}:{self.port}",
            *([f"localhost:{self.port}"] if ipaddress.ip_address(self.address).is_loopback else []),
            *self.hosts,
        ]
        return PageSettings(
            name=self.name, hosts=tuple(dict.fromkeys(names)), secure=self.certificate is not None
        )

    @property
    def url(self) -> str:
        """What a person opens."""
        return self.pages.origins[-1 if self.hosts else 0]


def settings_section(path: Path) -> Section:
    """Read a side's settings file; empty where there is none."""
    plain = read_yaml(read_bounded(path, LARGEST_YAML), path.name) if path.exists() else {}
    return Section(plain or {}, path.name)


def read_served(section: Section, path: Path, name: str, port: int) -> ServedPages:
    """Take these settings from a file's section; ConfigurationError for what is wrong, or open to a network bare.

    name, port: where the file does not say.
    """
    address, listened = _address(path.name, section.text("listen", f"127.0.0.1:{port}"))
    files = {key: section.optional_text(key) for key in ("certificate", "key")}
    settings = ServedPages(
        name=section.text("name", name),
        address=address,
        port=listened,
        hosts=section.texts("hosts", ()),
        certificate=path.parent / files["certificate"] if files["certificate"] else None,
        key=path.parent / files["key"] if files["key"] else None,
        idle=timedelta(minutes=section.integer("idle_minutes", 1, LARGEST_IDLE_MINUTES))
        if section.has("idle_minutes")
        else IDLE,
        longest=timedelta(hours=section.integer("longest_hours", 1, LARGEST_HOURS))
        if section.has("longest_hours")
        else LONGEST,
    )
    _check(path.name, settings)
    return settings


def _check(file: str, settings: ServedPages) -> None:
    for host in settings.hosts:
        allowed = "a name in lower case, with its port"
        require(bool(_HOST.fullmatch(host)), f"{file}: hosts", shown(host), allowed)
    both = settings.certificate is not None and settings.key is not None
    if (settings.certificate or settings.key) and not both:
        raise ConfigurationError(f"{file}: certificate and key go together; name both, or neither")
    if not both and not ipaddress.ip_address(settings.address).is_loopback:
        raise ConfigurationError(
            f"{file}: listen={settings.address}: others on the network could read along; name certificate and key, "
            "or listen at 127.0.0.1"
        )


def _address(file: str, text: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(text)
    try:
        address = ipaddress.ip_address(found[1].strip("[]")) if found else None
    except ValueError:
        address = None
    port = int(found[2]) if found else 0
    if address is None or not 0 < port <= _LARGEST_PORT:
        raise ConfigurationError(
            f"{file}: listen={shown(text)}: must be an address and a port, as in 127.0.0.1:8765"
        )
    return str(address), port
