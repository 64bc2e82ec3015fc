"""``console.yaml``: where the pages listen, and where their desk is. Without the file: on this machine alone.

    name: North Hospital                 # as the pages show it
    listen: 127.0.0.1:8765               # of any other address only with a certificate
    hosts: [console.north.example:8765]  # what browsers may call it besides
    certificate: console.pem             # the hospital's own, with its chain
    key: console.key
    desk: desk/desk.sock                 # the desk's socket; its folder opens to the pages' user alone
    idle_minutes: 15                     # then a person logs in anew
    longest_hours: 8                     # and after that in any case

Paths are relative to the home folder. The pages' user reads the file in a folder of its own, the desk's in the home.
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from wardround.pages.settings import PageSettings
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.files import read_bounded
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section, shown

SETTINGS = "console.yaml"
NAME, PORT = "This hospital", 8765
LISTEN, DESK = f"127.0.0.1:{PORT}", "desk/desk.sock"
IDLE_MINUTES, LONGEST_HOURS = 15, 8
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[0-9.]+):([0-9]{1,5})")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?")
_LARGEST_PORT = 65_535


@dataclass(frozen=True, kw_only=True)
class ConsoleSettings:
    """The file, checked. address, port: where the pages listen; certificate and key: both or neither."""

    name: str
    address: str
    port: int
    hosts: tuple[str, ...]
    desk: Path
    certificate: Path | None = None
    key: Path | None = None
    idle_minutes: int = IDLE_MINUTES
    longest_hours: int = LONGEST_HOURS

    @property
    def pages(self) -> PageSettings:
        """Give what the pages are served with."""
        literal = f"[{self.address}]" if ":" in self.address else self.address
        # On loopback also by the name that everybody types. Never *, which would let any name be pointed here.
        names = [
            f"{literal}:{self.port}",
            *([f"localhost:{self.port}"] if self._is_loopback else []),
            *self.hosts,
        ]
        return PageSettings(
            name=self.name, hosts=tuple(dict.fromkeys(names)), secure=self.certificate is not None
        )

    @property
    def _is_loopback(self) -> bool:
        return ipaddress.ip_address(self.address).is_loopback

    @property
    def url(self) -> str:
        """What a person opens."""
        return self.pages.origins[-1 if self.hosts else 0]


def load_console_settings(folder: Path) -> ConsoleSettings:
    """Read a folder's ``console.yaml``; ConfigurationError for what is wrong, and for pages open to a network bare."""
    path = folder / SETTINGS
    plain = read_yaml(read_bounded(path, LARGEST_YAML), SETTINGS) if path.exists() else {}
    section = Section(plain or {}, SETTINGS)
    address, port = _address(section.text("listen", LISTEN))
    files = {key: section.optional_text(key) for key in ("certificate", "key")}
    settings = ConsoleSettings(
        name=section.text("name", NAME),
        address=address,
        port=port,
        hosts=section.texts("hosts", ()),
        desk=folder / section.text("desk", DESK),
        certificate=folder / files["certificate"] if files["certificate"] else None,
        key=folder / files["key"] if files["key"] else None,
        idle_minutes=section.integer("idle_minutes", 1, 120) if section.has("idle_minutes") else IDLE_MINUTES,
        longest_hours=section.integer("longest_hours", 1, 24)
        if section.has("longest_hours")
        else LONGEST_HOURS,
    )
    section.finish()
    _check(settings)
    return settings


def _check(settings: ConsoleSettings) -> None:
    where = f"{SETTINGS}: "
    for host in settings.hosts:
        require(
            bool(_HOST.fullmatch(host)), f"{where}hosts", shown(host), "a name in lower case, with its port"
        )
    both = settings.certificate is not None and settings.key is not None
    if (settings.certificate or settings.key) and not both:
        raise ConfigurationError(f"{where}certificate and key go together; name both, or neither")
    if not both and not ipaddress.ip_address(settings.address).is_loopback:
        raise ConfigurationError(
            f"{where}listen={settings.address}: others on the network could read along; name certificate and key, "
            "or listen at 127.0.0.1"
        )


def _address(text: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(text)
    try:
        address = ipaddress.ip_address(found[1].strip("[]")) if found else None
    except ValueError:
        address = None
    port = int(found[2]) if found else 0
    if address is None or not 0 < port <= _LARGEST_PORT:
        raise ConfigurationError(
            f"{SETTINGS}: listen={shown(text)}: must be an address and a port, as in {LISTEN}"
        )
    return str(address), port
