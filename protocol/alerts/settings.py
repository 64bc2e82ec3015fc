"""``alerts.yaml``: who is told of what, and by which way. Nobody is told of anything that it does not say.

    mail:
      server: mail.north.example:587
      security: starttls                 # or tls; none only for a server on this machine
      from: wardround@north.example
      user: wardround                    # without user nobody logs in
      password_file: mail.password       # one line, for its owner alone; named from this file's folder
      root_certificate: corporate.pem    # beside the system's roots, if your mail server needs it
    recipients:
      it: {email: it@north.example, events: all}
      night: {webhook: "https://pager.north.example/wardround", secret_file: pager.secret, events: [disk, agent]}
      chat: {apprise_file: chat.urls, events: [study_to_approve]}

Secrets stand in files of their own, which their owner alone can read.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, read_private
from wardround.protocol.text.faults import Faults
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section, shown
from wardround.protocol.trusted_roots import read_trusted_roots
from wardround.protocol.wire.kit import checked_address

ALERTS = "alerts.yaml"
ALL = "all"
STARTTLS, TLS, NONE = "starttls", "tls", "none"
MOST_RECIPIENTS, MOST_URLS = 50, 20
_LARGEST_SECRET = 10_000
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_ON_THIS_MACHINE = ("127.0.0.1", "localhost", "::1", "[::1]")


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """Where e-mail is handed in. root: certificates (PEM) to trust beside the system's."""

    server: str
    security: str
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)
    root: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class ByMail:
    """To one address."""

    address: str
    server: MailServer


@dataclass(frozen=True, kw_only=True)
class ByWebhook:
    """To one URL, as JSON; with a secret, signed (HMAC-SHA-256)."""

    url: str = field(repr=False)
    secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True)
class ByApprise:
    """By whatever the library ``apprise`` carries; its URLs hold secrets."""

    urls: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class AlertRecipient:
    """Who is told, of which events, and how."""

    name: str
    events: frozenset[str]
    way: ByMail | ByWebhook | ByApprise


def load_recipients(path: Path, events: Collection[str]) -> tuple[AlertRecipient, ...]:
    """Read the file; ConfigurationError with all its faults in one line.

    events: the side's own list; another word is refused, so that a misspelt event leaves nobody waiting for it.
    """
    try:
        content = read_bounded(path, LARGEST_YAML)
    except OSError as error:
        raise ConfigurationError(
            f"alerts={path}: cannot be read ({error.strerror}); run alerts begin"
        ) from error
    section, faults = Section(read_yaml(content, ALERTS) or {}, ALERTS), Faults()
    mail = faults.take(lambda: _mail(section, path.parent), None)
    part = faults.take(lambda: section.section("recipients", {}), Section({}, f"{ALERTS}.recipients"))
    names = part.keys()
    faults.note(
        len(names) <= MOST_RECIPIENTS,
        f"{part.path}: {len(names)} recipients; at most {MOST_RECIPIENTS} can be told",
    )
    found = [faults.take(partial(_recipient, part, name, mail, path.parent, events), None) for name in names]
    faults.take(section.finish, None)
    if faults.lines:
        raise ConfigurationError("; ".join(dict.fromkeys(faults.lines)))
    return tuple(one for one in found if one is not None)


def _mail(section: Section, folder: Path) -> MailServer | None:
    if not section.has("mail"):
        return None
    part = section.section("mail")
    address = checked_address(part.text("server"), f"{part.path}.server")
    security = part.choice("security", (STARTTLS, TLS, NONE), STARTTLS)
    if security == NONE and address.rpartition(":")[0] not in _ON_THIS_MACHINE:
        raise part.fail("security", "only a mail server on this machine (127.0.0.1) is used without TLS")
    user, password_file, root = (
        part.optional_text(key) for key in ("user", "password_file", "root_certificate")
    )
    if (user is None) != (password_file is None):
        raise ConfigurationError(f"{part.path}: user and password_file belong together; give both or neither")
    found = MailServer(
        server=address,
        security=security,
        sender=_mail_address(part, "from"),
        user=user or "",
        password=_secret(part, "password_file", folder) if password_file else "",
        root=_root(part, folder) if root else "",
    )
    part.finish()
    return found


def _recipient(
    part: Section, name: str, mail: MailServer | None, folder: Path, events: Collection[str]
) -> AlertRecipient:
    section = part.section(name)
    ways = [key for key in ("email", "webhook", "apprise_file") if section.has(key)]
    if len(ways) != 1:
        raise ConfigurationError(f"{section.path}: needs exactly one of email, webhook and apprise_file")
    way: ByMail | ByWebhook | ByApprise
    if ways[0] == "email":
        if mail is None:
            raise ConfigurationError(f"{section.path}.email: needs {ALERTS}.mail, which is missing or wrong")
        way = ByMail(address=_mail_address(section, "email"), server=mail)
    elif ways[0] == "webhook":
        secret = _secret(section, "secret_file", folder).encode() if section.has("secret_file") else b""
        way = ByWebhook(url=_url(section), secret=secret)
    else:
        way = ByApprise(urls=_urls(section, folder))
    found = AlertRecipient(name=name, events=_events(section, events), way=way)
    section.finish()
    return found


def _events(section: Section, events: Collection[str]) -> frozenset[str]:
    if section.value("events") == ALL:
        return frozenset(events)
    found = section.texts("events")
    for word in found:
        if word not in events:
            hint = did_you_mean(word, events)
            raise ConfigurationError(
                f"{section.path}.events: {shown(word)} is no event; {hint}allowed: {ALL}, {', '.join(sorted(events))}"
            )
    return frozenset(found)


def _mail_address(section: Section, key: str) -> str:
    text = section.text(key)
    if not _ADDRESS.fullmatch(text):
        raise section.fail(key, "must be one e-mail address, as in it@hospital.example")
    return text


def _url(section: Section) -> str:
    text = section.text("webhook", most=1000)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigurationError(f"{section.path}.webhook: is no URL") from error
    # Never the URL itself in an error: it may hold the secret by which it is called.
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _ON_THIS_MACHINE):
        raise ConfigurationError(
            f"{section.path}.webhook: must begin with https://; only this machine (127.0.0.1) is called by http://"
        )
    if not host or not text.isascii() or parts.username is not None:
        raise ConfigurationError(
            f"{section.path}.webhook: must name a host, in ASCII, without a user and password"
        )
    return text


def _urls(section: Section, folder: Path) -> tuple[str, ...]:
    lines = tuple(
        line.strip() for line in _private(section, "apprise_file", folder).splitlines() if line.strip()
    )
    if not 1 <= len(lines) <= MOST_URLS or not all(line.isprintable() for line in lines):
        raise section.fail("apprise_file", f"must hold 1 to {MOST_URLS} lines, each a URL of apprise")
    return lines


def _secret(section: Section, key: str, folder: Path) -> str:
    text = _private(section, key, folder).strip()
    if not text or not text.isprintable():
        raise section.fail(key, "must hold one line that is not empty")
    return text


def _private(section: Section, key: str, folder: Path) -> str:
    """Read a file of secrets, named from the folder; refuses one that others may read, and never quotes it."""
    path = folder / section.text(key)
    try:
        content = read_private(path, f"{section.path}.{key}", _LARGEST_SECRET)
        if len(content) > _LARGEST_SECRET:
            raise section.fail(key, f"must hold at most {_LARGEST_SECRET} bytes")
        return content.decode("utf-8")
    except (OSError, ValueError) as error:
        raise section.fail(key, "cannot be read as a file of text") from error


def _root(part: Section, folder: Path) -> str:
    try:
        return read_trusted_roots(folder / part.text("root_certificate"))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise part.fail("root_certificate", "cannot be read as certificates in PEM") from error


def ways(recipients: Collection[AlertRecipient]) -> Mapping[str, str]:
    """Say by which way each recipient is told, without any secret."""
    words = {ByMail: "e-mail", ByWebhook: "webhook", ByApprise: "apprise"}
    return {one.name: words[type(one.way)] for one in recipients}
