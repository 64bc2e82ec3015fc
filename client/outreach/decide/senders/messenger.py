"""One POST for each message, in the form of listmonk's messengers (https://listmonk.app/docs/messengers).

No redirect is followed, no proxy asked for an address of this machine, and an answer is looked at for its status
alone. ``Idempotency-Key`` is the message's id: a sender that keeps keys sends it once, however often it is asked.
"""

import http.client
import json
import threading
import uuid
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from wardround.client.outreach.decide.message import TELEPHONES, OutgoingMessage
from wardround.client.outreach.journal.records import as_text
from wardround.client.policy.outreach import Recipient
from wardround.pages.one_click import FIELD, VALUE
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_private
from wardround.protocol.text.text import is_line

_LARGEST_SECRET = 4096
_LOCAL = ("127.0.0.1", "::1", "localhost")


class Sent(Enum):
    """What became of a POST. NOT: it did not leave, or the sender refused it. DOUBT: it may have been taken."""

    TAKEN = "taken"
    NOT = "not sent"
    DOUBT = "in doubt"


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        """Follow nothing: a message goes to the address that the policy names."""
        return


def payload(message: OutgoingMessage) -> bytes:
    """Spell a message: the same bytes for the same message."""
    email = message.address if message.channel == "email" else ""
    attributes = {
        "channel": message.channel,
        "phone": message.address if message.channel in TELEPHONES else "",
        "address": message.address,
        "patient": message.patient,
        "language": message.language,
        "send_after": as_text(message.send_after),
        "send_before": as_text(message.send_before),
        **({"preferences": message.preferences} if message.preferences else {}),
    }
    person = {"uuid": _uuid(message), "email": email, "name": "", "attribs": attributes, "status": "enabled"}
    campaign: dict[str, Any] = {"uuid": _uuid(message), "name": message.module, "tags": [message.topic]}
    html = message.channel == "email" and bool(message.page)
    campaign["headers"] = _headers(message)
    plain = {
        "subject": message.subject,
        "body": message.page if html else message.text,
        "content_type": "html" if html else "plain",
        "recipients": [person],
        "campaign": campaign,
        "attachments": [],
    }
    return json.dumps(plain, sort_keys=True, ensure_ascii=True).encode()


def _headers(message: OutgoingMessage) -> list[dict[str, str]]:
    """Give the headers by which mail programs unsubscribe in one click (RFC 2369, RFC 8058)."""
    if message.channel != "email" or not message.preferences:
        return []
    return [
        {"List-Unsubscribe": f"<{message.preferences}>"},
        {"List-Unsubscribe-Post": f"{FIELD}={VALUE}"},
    ]


def secret_of(recipient: Recipient, home: Path) -> str:
    """Read what is sent as ``Authorization``; empty where the policy names no file. ConfigurationError else."""
    if not recipient.secret:
        return ""
    path = home / recipient.secret
    try:
        content = read_private(path, "secret", _LARGEST_SECRET).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"secret={path}: cannot be read") from error
    if not is_line(content, _LARGEST_SECRET) or not content.isascii():
        raise ConfigurationError(f"secret={path}: must be one line of ASCII")
    return content


def post(message: OutgoingMessage, recipient: Recipient, secret: str) -> Sent:
    """Send one message, and say what became of it, in at most twice the recipient's ``timeout_seconds``.

    The socket's own timeout is for each of its reads: a sender that answers byte by byte would keep a stop waiting.
    """
    outcomes: list[Sent] = []
    asking = threading.Thread(
        target=lambda: outcomes.append(_posted(message, recipient, secret)), daemon=True
    )
    asking.start()
    asking.join(2 * recipient.timeout_seconds)
    return outcomes[0] if outcomes else Sent.DOUBT


def _posted(message: OutgoingMessage, recipient: Recipient, secret: str) -> Sent:
    headers = {"Content-Type": "application/json", "Idempotency-Key": message.id}
    if secret:
        headers["Authorization"] = secret
    request = Request(recipient.url, payload(message), headers, method="POST")  # noqa: S310 (policy: http, https)
    try:
        with _opener(recipient.url).open(request, timeout=recipient.timeout_seconds) as answer:
            return Sent.TAKEN if 200 <= answer.status < 300 else Sent.DOUBT
    except HTTPError as error:
        with error:
            # A redirect or a refusal was not taken, but for "timed out" and "slow down"; a sender's own fault may be.
            return Sent.NOT if 300 <= error.code < 500 and error.code not in (408, 425, 429) else Sent.DOUBT
    except URLError as error:
        # The connection was never made: nothing left.
        return Sent.NOT if isinstance(error.reason, ConnectionRefusedError) else Sent.DOUBT
    except (OSError, http.client.HTTPException):
        return Sent.DOUBT


def _opener(url: str) -> OpenerDirector:
    local = urlsplit(url).hostname in _LOCAL
    return build_opener(_NoRedirect, *([ProxyHandler({})] if local else []))


def _uuid(message: OutgoingMessage) -> str:
    return str(uuid.UUID(hex=message.id))
