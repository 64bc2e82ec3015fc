"""What hospital and operator hand each other before a study: a kit one way, a request to join the other way.

    kit      → hospital   the server's address, the certificate that vouches for it, the operator's public key
    request  → operator   the hospital's name and the public halves of its two keys

Neither holds a secret: a hospital makes its keys itself, and a stolen kit lets nobody in. Each is signed with
the key that it brings. Anybody can sign a whole new file with a key of their own: so two people compare the
file's fingerprint, which covers every byte of it, by telephone before anything is done with it.

Each says which protocol its writer speaks (``protocol.wire.speaker``), so that two releases that do not understand each
other are found out before a study begins. The number is only read here; ``join`` and ``enrol`` decide what follows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.text.text import checked_name, visible
from wardround.protocol.wire.signed_file import FileForm, load_content, read_signed, signed_content
from wardround.protocol.wire.signing import Purpose, SigningKey, digits_to_compare
from wardround.protocol.wire.speaker import (
    Speaker,
    speaker_from_mapping,
    speaker_to_mapping,
    this_speaker,
)

KIT = FileForm(
    kind="kit",
    format="wardround-kit-2",
    purpose=Purpose.KIT,
    signer="operator",
    parts=("hospital", "address", "root_certificate", "protocol", "program"),
    giver="the operator",
)
REQUEST = FileForm(
    kind="request",
    format="wardround-request-2",
    purpose=Purpose.JOIN,
    signer="signing_key",
    parts=("hospital", "node_key", "protocol", "program"),
    giver="the hospital",
)
_ADDRESS = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]{2,45}\]):([0-9]{1,5})")
_NODE_KEY = re.compile(r"ecdsa-sha2-nistp(256|384|521) [A-Za-z0-9+/=]{80,400}")
# Exactly one, and nothing around it: cryptography reads the first and ignores others, TLS would trust them all.
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]{100,8000}\n-----END CERTIFICATE-----\n"
)


@dataclass(frozen=True, kw_only=True)
class Kit:
    """What one hospital needs to reach the server. root_certificate: PEM. operator: its Ed25519 public key.

    speaker: the operator's release when it wrote the kit.
    content: the file's bytes, every one of them signed. Made by ``sign_kit`` and ``load_kit`` alone.
    """

    hospital: str
    address: str
    root_certificate: str = field(repr=False)
    operator: str
    speaker: Speaker
    content: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """What two people compare by telephone: of the whole file."""
        return digits_to_compare(self.content)


@dataclass(frozen=True, kw_only=True)
class JoinRequest:
    """How a hospital asks to be let in. node_key: OpenSSH; signing_key: what signs its releases and this.

    speaker: the hospital's release when it asked.
    content: the file's bytes, every one of them signed. Made by ``sign_join_request`` and ``load_join_request``.
    """

    hospital: str
    node_key: str
    signing_key: str
    speaker: Speaker
    content: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """What two people compare by telephone: of the whole file."""
        return digits_to_compare(self.content)


def checked_address(address: str, key: str = "address") -> str:
    """Return ``HOST:PORT`` if it is one; else ConfigurationError under the setting's key."""
    found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    fits = found is not None and 0 < int(found[2]) < 65536
    require(fits, key, visible(address, 60), "must be HOST:PORT, as in study.example:8443")
    return address


def sign_kit(hospital: str, address: str, root_certificate: str, key: SigningKey) -> Kit:
    """Write a hospital's kit, signed by the operator's key."""
    plain = {"hospital": hospital, "address": address, "root_certificate": root_certificate}
    # Read back as the hospital reads it: a kit that it would refuse must not leave the operator.
    return _kit(signed_content(KIT, plain | speaker_to_mapping(this_speaker()), key), "new")


def load_kit(path: Path) -> Kit:
    """Read a kit's file and verify its signature; one ConfigurationError for whatever is wrong with it."""
    return _kit(load_content(KIT, path), path)


def _kit(content: bytes, name: object) -> Kit:
    plain = read_signed(KIT, content, name)
    checked_name(plain["hospital"], f"kit={name}: hospital")
    checked_address(plain["address"], f"kit={name}: address")
    fits = _is_certificate(plain["root_certificate"])
    require(fits, "kit", name, "root_certificate must be one PEM certificate; ask the operator for it again")
    return Kit(**_with_speaker(KIT, plain, name), content=content)


def _with_speaker(form: FileForm, plain: Mapping[str, Any], name: object) -> dict[str, Any]:
    """Put a file's writer in the place of the two parts that name it."""
    try:
        speaker = speaker_from_mapping(plain)
    except ValueError as error:
        raise ConfigurationError(
            f"{form.kind}={name}: {error}; ask {form.giver} for the file again"
        ) from error
    kept = {part: value for part, value in plain.items() if part not in speaker_to_mapping(speaker)}
    return {**kept, "speaker": speaker}


def _is_certificate(text: object) -> bool:
    if not isinstance(text, str) or not _CERTIFICATE.fullmatch(text):
        return False
    try:
        x509.load_pem_x509_certificate(text.encode("ascii"))
    except ValueError:
        return False
    return True


def _is_node_key(text: object) -> bool:
    if not isinstance(text, str) or not _NODE_KEY.fullmatch(text):
        return False
    try:
        return isinstance(load_ssh_public_key(text.encode("ascii")), EllipticCurvePublicKey)
    except (ValueError, UnsupportedAlgorithm, NotImplementedError):  # the last: of a compressed point
        return False


def sign_join_request(hospital: str, node_key: str, key: SigningKey) -> JoinRequest:
    """Ask for a hospital, naming its SuperNode's public key, with the key that will sign its releases."""
    plain = {"hospital": checked_name(hospital), "node_key": node_key}
    return _request(signed_content(REQUEST, plain | speaker_to_mapping(this_speaker()), key), "new")


def load_join_request(path: Path) -> JoinRequest:
    """Read a request's file and verify its signature; one ConfigurationError for whatever is wrong."""
    return _request(load_content(REQUEST, path), path)


def _request(content: bytes, name: object) -> JoinRequest:
    plain = read_signed(REQUEST, content, name)
    checked_name(plain["hospital"], f"request={name}: hospital")
    fits = _is_node_key(plain["node_key"])
    require(fits, "request", name, "node_key must be an OpenSSH public key on a NIST curve")
    return JoinRequest(**_with_speaker(REQUEST, plain, name), content=content)
