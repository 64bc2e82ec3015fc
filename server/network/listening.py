"""The sockets at which the server listens: any address of this machine, IPv4 and IPv6, and always 127.0.0.1 too.

This machine's own commands call 127.0.0.1, whatever address hospitals call.
"""

import errno
import resource
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.text import visible

OWN = "127.0.0.1"
EVERYWHERE, EVERYWHERE_IPV4 = "::", "0.0.0.0"  # noqa: S104 (what an operator may choose)
_BACKLOG = 2048
_FILES = 65536  # 512 lines of strangers, and 16 of each of four thousand hospitals
_REMEDIES = {
    errno.EADDRNOTAVAIL: "give an address of this machine (ip address shows them), 0.0.0.0 or ::",
    errno.EADDRINUSE: "another process listens there; stop it first",
    errno.EACCES: "ports below 1024 need the right to bind them; choose a port from 1024 on, or give the unit "
    "AmbientCapabilities=CAP_NET_BIND_SERVICE",
    errno.EAFNOSUPPORT: "this machine has no IPv6; take 0.0.0.0",
}


def listen(binds: Iterable[str], port: int) -> list[socket.socket]:
    """Listen at a port of these addresses or names, ``::`` for all, IPv4 included, and of 127.0.0.1.

    ConfigurationError, in one line, where one is no address of this machine or cannot be listened at.
    """
    found: list[socket.socket] = []
    try:
        for bind in binds:
            found += _listen(bind, port, {made.getsockname()[0] for made in found})
        there = {made.getsockname()[0] for made in found}
        if not there & {OWN, EVERYWHERE_IPV4, EVERYWHERE}:
            found += _listen(OWN, port, there)
    except BaseException:
        for made in found:
            made.close()
        raise
    return found


def _listen(bind: str, port: int, there: set[str]) -> Iterator[socket.socket]:
    try:
        places = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"--bind={visible(bind, 60)}: is no address, and no name that this machine can resolve"
        ) from error
    for family, _, _, _, place in places:
        if str(place[0]) not in there:
            there.add(str(place[0]))
            yield _bound(bind, family, place)


def _bound(bind: str, family: int, place: tuple[object, ...]) -> socket.socket:
    made = None
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # ``::`` alone takes IPv4 too; any other address is its own.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(place[0] != EVERYWHERE))
        made.bind(place)
        made.listen(_BACKLOG)
    except OSError as error:
        if made is not None:
            made.close()
        remedy = _REMEDIES.get(error.errno or 0, "choose another")
        raise ConfigurationError(f"--bind={bind}: {error.strerror}; {remedy}") from error
    return made


def allow_files() -> int:
    """Raise this process's limit of open files as far as the machine allows, and return it.

    Every line is a file. Services usually begin with 1,024, which strangers and three hundred hospitals need together.
    A unit forbids the call, and states the limit itself (``deploy/wardround-server.service``).
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    with suppress(OSError, ValueError):
        if resource.RLIM_INFINITY != now < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _FILES if now == resource.RLIM_INFINITY else now


def check_binds(binds: Iterable[str], port: int) -> None:
    """ConfigurationError where ``listen`` would fail now."""
    for made in listen(binds, port):
        made.close()
