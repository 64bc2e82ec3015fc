"""Tell one recipient: an e-mail, a webhook's POST, or whatever ``apprise`` carries. One message for all that is new.

A message holds what ``Alert`` holds and the sender's name; nothing else is at hand here.
"""

import hmac
import json
import smtplib
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from hashlib import sha256
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.settings import (
    NONE,
    TLS,
    AlertRecipient,
    ByApprise,
    ByMail,
    ByWebhook,
    MailServer,
)
from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.text.text import visible

SECONDS = 15.0
SIGNATURE_HEADER = "X-Wardround-Signature"
_LONGEST = 1000  # characters of a line in a message


class NotTold(WardroundError):
    """A message did not arrive, or may not have; it is sent again later."""


def send(recipient: AlertRecipient, alerts: Sequence[Alert], source: str, now: datetime) -> None:
    """Send one message about all these alerts; NotTold where it was not taken.

    source: who writes, as in ``wardround north``.
    """
    by: dict[type, Callable[..., None]] = {ByMail: _mail, ByWebhook: _post, ByApprise: _apprise}
    by[type(recipient.way)](recipient.way, alerts, source, now)


def title(alerts: Sequence[Alert], source: str) -> str:
    """Say in one line what a message is about."""
    first = visible(alerts[0].text, 120)
    return f"[{source}] {first}" if len(alerts) == 1 else f"[{source}] {len(alerts)} alerts: {first}"


def body(alerts: Sequence[Alert]) -> str:
    """Write all alerts, a paragraph each."""
    parts = []
    for alert in alerts:
        lines = [visible(alert.text, _LONGEST)]
        lines += [f"What to do: {visible(alert.remedy, _LONGEST)}"] if alert.remedy else []
        lines += [f"(event {alert.event}{_when(alert)})"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def payload(alerts: Sequence[Alert], source: str, now: datetime) -> bytes:
    """Write the JSON of a webhook: version, source, time, and the alerts with an id by which a repeat is known."""
    plain = [
        {
            "id": sha256(f"{source} {alert.key}".encode()).hexdigest()[:32],
            "event": alert.event,
            "subject": visible(alert.subject, _LONGEST),
            "text": visible(alert.text, _LONGEST),
            "remedy": visible(alert.remedy, _LONGEST),
        }
        for alert in alerts
    ]
    sent = now.astimezone(UTC).isoformat(timespec="seconds")
    return json.dumps({"version": 1, "source": source, "sent": sent, "alerts": plain}).encode("ascii")


def _when(alert: Alert) -> str:
    return "" if alert.happened is None else f", {alert.happened.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _mail(way: ByMail, alerts: Sequence[Alert], source: str, now: datetime) -> None:
    message = EmailMessage()
    # EmailMessage refuses line breaks in headers; ``title`` has none.
    message["Subject"] = title(alerts, source)
    message["From"], message["To"] = way.server.sender, way.address
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=way.server.sender.partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message.set_content(body(alerts))
    try:
        with _session(way.server) as session:
            session.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise NotTold(f"{way.server.server}: does not take the e-mail ({_reason(error)})") from error


def _session(server: MailServer) -> smtplib.SMTP:
    host, _, port = server.server.rpartition(":")
    host, trust = host.strip("[]"), _trust(server.root)
    if server.security == TLS:
        session: smtplib.SMTP = smtplib.SMTP_SSL(host, int(port), timeout=SECONDS, context=trust)
    else:
        session = smtplib.SMTP(host, int(port), timeout=SECONDS)
    try:
        if server.security not in (TLS, NONE):
            session.starttls(
                context=trust
            )  # an error where the server offers none: nothing is sent in the open
        if server.user:
            session.login(server.user, server.password)
    except BaseException:
        session.close()
        raise
    return session


def _trust(root: str) -> ssl.SSLContext:
    trust = ssl.create_default_context()
    if root:
        trust.load_verify_locations(cadata=root)
    return trust


def _post(way: ByWebhook, alerts: Sequence[Alert], source: str, now: datetime) -> None:
    content = payload(alerts, source, now)
    headers = {"Content-Type": "application/json"}
    if way.secret:
        headers[SIGNATURE_HEADER] = f"sha256={hmac.new(way.secret, content, sha256).hexdigest()}"
    request = Request(way.url, content, headers, method="POST")  # noqa: S310 (settings allow https alone, or this machine)
    host = visible(urlsplit(way.url).hostname or "?", 100)
    # A proxy of the environment is for the world outside; this machine is called directly.
    proxies = ProxyHandler({} if way.url.startswith("http://") else None)
    try:
        with build_opener(proxies, _NoRedirection).open(request, timeout=SECONDS):
            pass
    except HTTPError as error:
        error.close()
        raise NotTold(f"webhook at {host}: answers {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:  # URLError and ssl.SSLError are OSErrors
        raise NotTold(f"webhook at {host}: cannot be called ({_reason(error)})") from error


class _NoRedirection(HTTPRedirectHandler):
    """Whoever answers at the URL must not say where alerts go instead."""

    def redirect_request(self, *_: object) -> None:
        """Give no request to follow: the answer is then an HTTPError."""


def _apprise(way: ByApprise, alerts: Sequence[Alert], source: str, _now: datetime) -> None:
    carrier = _carrier(way)
    if not carrier.notify(title=title(alerts, source), body=body(alerts)):
        raise NotTold("apprise: not all of its URLs took the message")


def _carrier(way: ByApprise) -> Any:
    try:
        import apprise
    except ImportError as error:
        raise ConfigurationError(
            "apprise_file: the library apprise is not installed; install wardround[alerts], or use email or webhook"
        ) from error
    carrier = apprise.Apprise()
    if not all(carrier.add(url) for url in way.urls):
        raise ConfigurationError(
            "apprise_file: holds a line that apprise does not know as a URL; see its list"
        )
    return carrier


def _reason(error: BaseException) -> str:
    """Say why without the other side's own words, which may hold the password or a whole page."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answers {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "it refuses the recipient"
    cause = getattr(error, "reason", None)  # of urllib's URLError
    error = cause if isinstance(cause, BaseException) else error
    return getattr(error, "strerror", None) or type(error).__name__
