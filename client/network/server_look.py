"""One look at the server, by the way that the SuperNode takes: who it is, what time it has, whether it knows this node.

Nothing changes at the server: no message is taken, and nobody is activated.
"""

import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wardround.client.network.proxy import PROXY, load_proxy, server_transport
from wardround.client.network.supernode import NodeSettings, node_private_key
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.text import visible

SECONDS = 5.0
# Any path at which the server asks for an enrolled key before it looks at the request, which it then refuses.
_FLEET_PATH = "/v1/fleet/get-run"
_NOT_ENROLLED, _ENROLLED = 401, 405
# As Flower's SuperNode calls them (tests/client/network/test_server_look.py compares): importing Flower takes a second.
SIGNED_HEADERS = ("flwr-public-key", "flwr-timestamp", "flwr-signature")
# By OpenSSL's codes X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED; for all others the kit is not that server's.
_REMEDIES = {
    9: "set this machine's clock, or ask the operator to set the server's and renew",
    10: "ask the operator to run wardround-serve renew and restart up (and check this machine's clock)",
}


@dataclass(frozen=True)
class ServerLook:
    """What was seen. days_left: of its certificate. clock_ahead: of this machine's clock; None: it told no time.

    enrolled: whether it lets this SuperNode's key in; None where it was not asked, or gave another answer.
    """

    days_left: int
    clock_ahead: timedelta | None
    enrolled: bool | None


def look_at_server(settings: NodeSettings, ask: bool = True, now: datetime | None = None) -> ServerLook:
    """Call the server once. ask: with this node's key, or as a stranger, who is told less.

    ConfigurationError, in words, where it cannot be reached or is not who the kit says.
    """
    headers = _signed_headers(settings) if ask else {}
    try:
        with (
            httpx.Client(transport=server_transport(settings.folder), timeout=SECONDS) as client,
            client.stream("GET", f"https://{settings.address}{_FLEET_PATH}", headers=headers) as answer,
        ):
            line = answer.extensions["network_stream"].get_extra_info("ssl_object")
            certificate = line.getpeercert(True)  # of several classes: one takes no keywords
    except (httpx.HTTPError, ssl.SSLError) as error:
        raise _in_words(settings, error) from error
    here = now or datetime.now(UTC)
    expires = x509.load_der_x509_certificate(certificate).not_valid_after_utc
    known = {_NOT_ENROLLED: False, _ENROLLED: True}.get(answer.status_code) if ask else None
    return ServerLook((expires - here).days, _ahead(answer.headers.get("date"), here), known)


def _ahead(told: str | None, here: datetime) -> timedelta | None:
    try:
        return None if told is None else here.replace(microsecond=0) - parsedate_to_datetime(told)
    except (ValueError, TypeError):
        return None


def _signed_headers(settings: NodeSettings) -> Mapping[str, str]:
    """Sign the time with the node's key, as Flower's SuperNode does at each call."""
    key, signed_at = node_private_key(settings.folder), datetime.now(UTC).isoformat()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = key.sign(signed_at.encode("ascii"), ec.ECDSA(hashes.SHA256()))
    values = (b64encode(public).decode("ascii"), signed_at, b64encode(signature).decode("ascii"))
    return dict(zip(SIGNED_HEADERS, values, strict=True))


def _in_words(settings: NodeSettings, error: BaseException) -> ConfigurationError:
    proxy = load_proxy(settings.folder)
    where = f"server={settings.address}"
    through = "" if proxy is None else f" through the proxy {proxy.address}"
    refused = cause_of(error, ssl.SSLError)
    if refused is not None:
        reason = getattr(refused, "verify_message", "") or getattr(refused, "reason", "") or "TLS fails"
        remedy = _REMEDIES.get(getattr(refused, "verify_code", 0), "ask the operator for a new kit")
        if proxy is not None:
            remedy += f", or look at tls, intercepts and root_certificate in {settings.folder / PROXY}"
        return ConfigurationError(f"{where}: its certificate is not accepted{through} ({reason}); {remedy}")
    if isinstance(error, httpx.ProxyError):  # what a proxy answers to CONNECT
        remedy = "ask your network's people to let CONNECT to the server through, or wait for the operator"
        if str(error).startswith("407"):
            remedy = f"look at credentials in {settings.folder / PROXY}"
        # The proxy's own words, which may be 60,000 characters long; this line is said again where they change.
        said = visible(error, 60)
        return ConfigurationError(
            f"{where}: the proxy {proxy and proxy.address} gives no tunnel ({said}); {remedy}"
        )
    fault = cause_of(error, OSError)
    reason = getattr(fault, "strerror", None) or "no answer"
    return ConfigurationError(
        f"{where}: cannot be reached{through} ({reason}); allow outgoing connections to this address, or wait for the "
        "operator"
    )


def cause_of(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    """Find the error below a library's own that says why."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
