"""The operator's own certificate authority: one root for the hospitals, one certificate for the server."""

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wardround.protocol.errors import ConfigurationError

ROOT_DAYS, SERVER_DAYS, WARN_DAYS = 3650, 397, 30
_BACKDATED = timedelta(hours=2)  # hospitals whose clocks are behind must not find it not yet valid


@dataclass(frozen=True, eq=False)
class Signed:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def new_root(name: str, now: datetime) -> Signed:
    """Make a self-signed root (EC P-256)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), now, ROOT_DAYS)
    # path_length=0: the root vouches for servers alone, never for another authority.
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return _signed(builder, key, key, key.public_key())


def new_server(root: Signed, host: str, now: datetime) -> Signed:
    """Make the server's certificate for ``host``, and for this machine's own name and address."""
    issuer = x509.load_pem_x509_certificate(root.certificate)
    signer = serialization.load_pem_private_key(root.key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ConfigurationError("tls/root.key: is not an EC key; provision anew in another folder")
    key = ec.generate_private_key(ec.SECP256R1())
    # X.509 allows a common name 64 characters; what clients compare are the alternative names below.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    builder = _builder(subject, issuer.subject, key.public_key(), now, SERVER_DAYS)
    # The operator's own commands dial 127.0.0.1, and verify this certificate as everybody does.
    names = [_general_name(one) for one in dict.fromkeys((host, "localhost", "127.0.0.1"))]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    server_auth = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(server_auth, critical=False)
    return _signed(builder, key, signer, signer.public_key())


def days_left(path: Path, now: datetime | None = None) -> int:
    """Say for how many more days a certificate file is valid; negative once it has expired."""
    return (_loaded(path).not_valid_after_utc - (now or datetime.now(UTC))).days


def require_begun(path: Path, now: datetime | None = None) -> None:
    """ConfigurationError where a certificate is not valid yet, as one that was made while a clock was ahead."""
    begins = _loaded(path).not_valid_before_utc
    if begins > (now or datetime.now(UTC)):
        remedy = (
            "run wardround-serve renew"
            if path.name == "server.crt"
            else "provision in another folder, and send its kits: nobody accepts this one until then"
        )
        raise ConfigurationError(
            f"certificate={path}: is valid from {begins:%Y-%m-%d} on, since this machine's clock was ahead when it was "
            f"made, or is behind now; set the clock, or {remedy}"
        )


def _loaded(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        remedy = (
            "wardround-serve renew" if path.name == "server.crt" else "restore it from your copy of the home"
        )
        raise ConfigurationError(f"certificate={path}: cannot be read; {remedy}") from error


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _BACKDATED).not_valid_after(now + timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)


def _signed(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: ec.EllipticCurvePublicKey,
) -> Signed:
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer)
    certificate = builder.add_extension(authority, critical=False).sign(signer, hashes.SHA256())
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return Signed(
        certificate.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    )


def _usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host)
