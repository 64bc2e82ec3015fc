"""Which links a module may hold: https, a host of the hospital's list, and nothing that tells one reader from another.

A link is the same for all patients: it has no placeholder. What stands behind the question mark is refused unless the
hospital lists the parameter's name, so no campaign or click identifier passes, known or new.
"""

import re
from collections.abc import Collection
from urllib.parse import parse_qsl, urlsplit

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]*)*")
_VALUE = re.compile(r"[A-Za-z0-9._~-]{0,40}")
LONGEST_LINK = 200


def link_fault(link: str, hosts: Collection[str], parameters: Collection[str] = ()) -> str | None:
    """Say why a link may not be sent, None where it may. hosts: allowed, each by its exact name.

    >>> link_fault("https://north.example/visits", ["north.example"])
    >>> link_fault("https://north.example@evil.example/", ["north.example"])
    'must name no user (what stands before an @)'
    """
    # Before it is parsed: urlsplit drops line ends and tabs without a word.
    if (
        len(link) > LONGEST_LINK
        or not link.isascii()
        or not link.isprintable()
        or " " in link
        or "\\" in link
    ):
        return f"must be at most {LONGEST_LINK} usual characters, without spaces"
    try:
        parts = urlsplit(link)
        port = parts.port
    except ValueError:
        return "is not an address"
    if parts.scheme != "https" or not link.startswith("https://"):
        return "must begin with https://"
    if "@" in parts.netloc:
        return "must name no user (what stands before an @)"
    if port is not None or parts.netloc != parts.hostname:
        return "must name a host in lower case, and no port"
    return _host_fault(parts.netloc, hosts) or _rest_fault(parts.path, parts.query, link, parameters)


def _host_fault(host: str, hosts: Collection[str]) -> str | None:
    if not is_host(host):
        return "must name a host in plain letters; xn-- names can look like another host's"
    if host not in hosts:
        return "its host is not in guidelines.yaml (link_hosts)"
    return None


def is_host(host: str) -> bool:
    """Whether this names a host in plain letters: no address in digits, no punycode."""
    labels = host.split(".")
    return (
        _HOST.fullmatch(host) is not None
        and not host.startswith("xn--")
        and (not any(label.startswith("xn--") for label in labels) and not labels[-1].isdigit())
    )


def _rest_fault(path: str, query: str, link: str, parameters: Collection[str]) -> str | None:
    if "#" in link:
        return "must hold no #"
    if not _PATH.fullmatch(path) or "//" in path or {".", ".."} & set(path.split("/")):
        return "its path must be letters, digits, '.', '_', '-', '~' between single slashes"
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, value in pairs:
        if name not in parameters:
            return "holds a parameter that guidelines.yaml (link_parameters) does not list; it may identify a reader"
        if not _VALUE.fullmatch(value):
            return "a parameter's value must be at most 40 letters, digits, '.', '_', '-', '~'"
    # What is signed is what is sent: no second spelling of the same pairs.
    if query != "&".join(f"{name}={value}" for name, value in pairs) or ("?" in link and not pairs):
        return "its parameters must be written as name=value, joined by &"
    return None
