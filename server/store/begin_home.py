"""An operator's home, begun: certificate authority, server certificate, signing key, secrets."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

from wardround.protocol.files import write_new
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire.kit import checked_address
from wardround.protocol.wire.signing import new_key, save_key
from wardround.server.store.certificates import Signed, new_root, new_server
from wardround.server.store.operator_home import CONTROL, LOOK, SETTINGS, OperatorHome, load_operator_home

HOME_FOLDERS = (".", "tls", "secrets", "hospitals", "policies", "studies", "superlink", "superlink/empty")
"""What every home has, if empty."""


def begin_operator_home(folder: Path, address: str) -> OperatorHome:
    """Write a new operator's home, its secrets readable by their owner alone."""
    checked_address(address)
    for part in HOME_FOLDERS:
        (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(UTC)
    root = new_root("Wardround study root", now)
    save_key(new_key(), folder / "operator.key")
    save_pair(root, folder / "tls", "root")
    save_pair(new_server(root, address.rpartition(":")[0], now), folder / "tls", "server")
    for name in (CONTROL, "executor", LOOK):
        _begin_secret(folder, name)
    # Last: whoever finds it finds all the rest.
    write_new(folder / SETTINGS, canonical_json({"address": address}) + b"\n", 0o644)
    return load_operator_home(folder)


def ensure_look(home: OperatorHome) -> None:
    """Make the secret of those who only watch, in a home that an earlier release began without it."""
    if not (home.folder / "secrets" / LOOK).exists():
        _begin_secret(home.folder, LOOK)


def _begin_secret(folder: Path, name: str) -> None:
    # Hexadecimal, since it travels in an HTTP header.
    write_new(folder / "secrets" / name, secrets.token_hex(32).encode(), 0o600)


def save_pair(pair: Signed, folder: Path, name: str) -> None:
    """Write a certificate and its key as new files, the key for its owner alone."""
    write_new(folder / f"{name}.key", pair.key, 0o600)
    write_new(folder / f"{name}.crt", pair.certificate, 0o644)
