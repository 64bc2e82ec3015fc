"""The hospital's own HTTP proxy, where the server may be reached only through one: ``supernode/proxy.yaml``.

    address: proxy.hospital.example:3128
    tls: true                         # this machine speaks TLS with the proxy itself (default: false)
    credentials: proxy.credentials    # a file of one line, USER:PASSWORD, that its owner alone can read
    root_certificate: corporate.crt   # vouches for the proxy, with tls or intercepts
    intercepts: true                  # the proxy opens the TLS line to the server (default: false)

Files are named from the folder of proxy.yaml. The proxy is asked for a tunnel (CONNECT), by the server's name: this
machine need not resolve it. In a tunnel the proxy sees bytes of TLS alone. One that intercepts sees what the server
sees: plans and releases, which are signed end to end, so that it can change none; masked parts stay sealed.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, read_private
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section
from wardround.protocol.trusted_roots import read_trusted_roots
from wardround.protocol.wire.kit import checked_address

PROXY = "proxy.yaml"
KEPT_SECONDS = 20.0
"""How long a line that nobody uses is used again: less than the server keeps one, and a NAT remembers one (30 s)."""
_LIMITS = httpx.Limits(keepalive_expiry=KEPT_SECONDS)
_LARGEST_CREDENTIALS = 1000


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One proxy, as proxy.yaml names it. credentials: user and password; root: trusted certificates, PEM."""

    address: str
    tls: bool = False
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    root: str | None = field(default=None, repr=False)
    intercepts: bool = False


def load_proxy(folder: Path) -> Proxy | None:
    """Read a SuperNode's proxy.yaml; None where there is none, ConfigurationError for whatever is wrong with it."""
    path = folder / PROXY
    try:
        content = read_bounded(path, LARGEST_YAML)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"proxy={path}: cannot be read ({error.strerror})") from error
    section = Section(read_yaml(content, PROXY), PROXY)
    address = checked_address(section.text("address"), f"{PROXY}.address")
    tls, intercepts = section.boolean("tls", False), section.boolean("intercepts", False)
    credentials, root = section.optional_text("credentials"), section.optional_text("root_certificate")
    section.finish()
    if intercepts and root is None:
        raise ConfigurationError(
            f"{PROXY}.intercepts=true: needs root_certificate, the file of the root that your proxy signs with"
        )
    return Proxy(
        address=address,
        tls=tls,
        credentials=None if credentials is None else _credentials(folder / credentials),
        root=None if root is None else _root(folder / root),
        intercepts=intercepts,
    )


def server_transport(folder: Path) -> httpx.HTTPTransport:
    """Give what carries requests to the server whose root lies in a SuperNode's folder: through its proxy, if any.

    Variables such as HTTPS_PROXY are not looked at: whoever sets them for other programs means other servers.
    """
    proxy = load_proxy(folder)
    trust = ssl.create_default_context(cafile=str(folder / "root.crt"))
    if proxy is None:
        return httpx.HTTPTransport(verify=trust, limits=_LIMITS)
    if proxy.intercepts:
        trust.load_verify_locations(cadata=proxy.root)
    url = f"{'https' if proxy.tls else 'http'}://{proxy.address}"
    own_trust = ssl.create_default_context(cadata=proxy.root) if proxy.tls else None
    return httpx.HTTPTransport(
        verify=trust,
        limits=_LIMITS,
        proxy=httpx.Proxy(url, auth=proxy.credentials, ssl_context=own_trust),
    )


def _credentials(path: Path) -> tuple[str, str]:
    where = f"{PROXY}.credentials={path}"
    try:
        line = read_private(path, f"{PROXY}.credentials", _LARGEST_CREDENTIALS).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{where}: cannot be read as one line USER:PASSWORD") from error
    user, colon, password = line.partition(":")
    # Never the line itself: it is a password.
    if not colon or not user or not line.isprintable():
        raise ConfigurationError(f"{where}: must hold one line USER:PASSWORD")
    return user, password


def _root(path: Path) -> str:
    try:
        return read_trusted_roots(path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        where = f"{PROXY}.root_certificate={path}"
        raise ConfigurationError(f"{where}: cannot be read as certificates in PEM") from error
