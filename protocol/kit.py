"""What hospital and operator hand each other before a study: a kit one way, a request to join the other way.

    kit      → hospital   the server's address, the certificate that vouches for it, the operator's public key
    request  → operator   the hospital's name and the public halves of its two keys, signed with one of them

Neither holds a secret: a hospital makes its keys itself, and a stolen kit lets nobody in. Both are one line of
canonical JSON; two people compare the keys' fingerprints by telephone.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from protocol.canonical import canonical_json
from protocol.errors import ConfigurationError, require
from protocol.signing import Purpose, SigningKey, checked_public_key, read_bounded, verifies, write_new
from protocol.text import checked_name

KIT_FORMAT, REQUEST_FORMAT = "wardround-kit-1", "wardround-request-1"
LARGEST = 64 * 2**10
_ADDRESS = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]{2,45}\]):([0-9]{1,5})")
_NODE_KEY = re.compile(r"ecdsa-sha2-nistp(256|384|521) [A-Za-z0-9+/=]{80,400}")
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]{100,8000}\n-----END CERTIFICATE-----\n"
)


@dataclass(frozen=True, kw_only=True)
class Kit:
    """What one hospital needs to reach the server. root_certificate: PEM. operator: its Ed25519 public key."""

    hospital: str
    address: str
    root_certificate: str = field(repr=False)
    operator: str

    def __post_init__(self) -> None:
        """Check the spelling of every part."""
        checked_name(self.hospital)
        checked_address(self.address)
        fits = _CERTIFICATE.fullmatch(self.root_certificate) is not None
        require(fits, "kit.root_certificate", "…", "must be one PEM certificate")
        checked_public_key(self.operator)


@dataclass(frozen=True, kw_only=True)
class JoinRequest:
    """How a hospital asks to be let in. node_key: OpenSSH; signing_key: what signs its releases and this."""

    hospital: str
    node_key: str
    signing_key: str
    signature: str = field(repr=False)


def checked_address(address: str) -> str:
    """Return ``HOST:PORT`` if it is one; else ConfigurationError."""
    found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    fits = found is not None and 0 < int(found[2]) < 65536
    require(fits, "address", repr(address), "must be HOST:PORT, as in study.example:8443")
    return address


def save_kit(kit: Kit, path: Path) -> None:
    """Write a kit's file; never overwrites."""
    plain = {"format": KIT_FORMAT, **vars(kit)}
    write_new(path, canonical_json(plain) + b"\n", 0o644)


def load_kit(path: Path) -> Kit:
    """Read a kit's file; one ConfigurationError for whatever is wrong with it."""
    plain = _load(path, KIT_FORMAT, ("hospital", "address", "root_certificate", "operator"))
    return Kit(**plain)


def sign_join_request(hospital: str, node_key: str, key: SigningKey) -> JoinRequest:
    """Ask for a hospital, naming its SuperNode's public key, with the key that will sign its releases."""
    signature = key.sign(Purpose.JOIN, _signing_bytes(checked_name(hospital), node_key, key.public))
    return JoinRequest(
        hospital=hospital, node_key=node_key, signing_key=key.public, signature=signature.hex()
    )


def save_join_request(asked: JoinRequest, path: Path) -> None:
    """Write a request's file; never overwrites."""
    write_new(path, join_request_bytes(asked), 0o644)


def join_request_bytes(asked: JoinRequest) -> bytes:
    """Give what a request's file holds."""
    return canonical_json({"format": REQUEST_FORMAT, **vars(asked)}) + b"\n"


def load_join_request(path: Path) -> JoinRequest:
    """Read a request's file and verify its signature; one ConfigurationError for whatever is wrong."""
    plain = _load(path, REQUEST_FORMAT, ("hospital", "node_key", "signing_key", "signature"))
    asked = JoinRequest(**plain)
    checked_name(asked.hospital)
    checked_public_key(asked.signing_key)
    fits = _NODE_KEY.fullmatch(asked.node_key) is not None
    require(fits, "request.node_key", "…", "must be an OpenSSH public key on a NIST curve")
    signature = bytes.fromhex(asked.signature) if re.fullmatch("[0-9a-f]{128}", asked.signature) else b""
    signed = _signing_bytes(asked.hospital, asked.node_key, asked.signing_key)
    if not verifies(asked.signing_key, Purpose.JOIN, signed, signature):
        raise ConfigurationError(f"request={path}: its signature does not fit; ask the hospital for it again")
    return asked


def _signing_bytes(hospital: str, node_key: str, signing_key: str) -> bytes:
    return canonical_json({"hospital": hospital, "node_key": node_key, "signing_key": signing_key})


def _load(path: Path, form: str, keys: tuple[str, ...]) -> dict[str, str]:
    try:
        content = read_bounded(path, LARGEST)
    except OSError as error:
        raise ConfigurationError(f"file={path}: cannot be read ({error.strerror})") from error
    try:
        plain = json.loads(content) if len(content) <= LARGEST else None
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict) or plain.pop("format", None) != form or set(plain) != set(keys):
        raise ConfigurationError(f"file={path}: is not a file of the format {form}")
    if not all(isinstance(value, str) for value in plain.values()):
        raise ConfigurationError(f"file={path}: every part must be a text")
    return plain
