"""An operator's home, begun: certificate authority, server certificate, signing key, secrets."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_new
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire.kit import checked_address
from wardround.protocol.wire.signing import load_key, new_key, save_key, save_public_half
from wardround.server.store.certificates import Signed, new_root, new_server
from wardround.server.store.operator_home import (
    CONTROL,
    LOOK,
    SETTINGS,
    OperatorHome,
    load_operator_home,
    require_no_restore,
)

HOME_FOLDERS = (".", "tls", "secrets", "hospitals", "policies", "studies", "superlink", "superlink/empty")
"""What every home has, if empty."""
_USED = ("hospitals", "heads", "studies")
"""What no home has before its first hospital: its keys are known to others, and must not be made anew."""


def begin_operator_home(folder: Path, address: str) -> OperatorHome:
    """Write a new operator's home, its secrets readable by their owner alone.

    Completes one that was begun and broken off, and keeps a signing key that is there. ConfigurationError, and
    nothing is written, in a folder that lost its ``operator.json`` and was in use, or that a restore left.
    """
    checked_address(address)
    _require_unused(folder)
    for part in HOME_FOLDERS:
        (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(UTC)
    root = new_root("Wardround study root", now)
    _begin_key(folder / "operator.key")
    # Anew, whatever is there: no kit was written before operator.json was, so nobody was given such a root.
    _replace_pair(root, folder / "tls", "root")
    _replace_pair(new_server(root, address.rpartition(":")[0], now), folder / "tls", "server")
    for name in (CONTROL, "executor", LOOK):
        _ensure_secret(folder, name)
    # Last: whoever finds it finds all the rest.
    write_new(folder / SETTINGS, canonical_json({"address": address}) + b"\n", 0o644)
    return load_operator_home(folder)


def ensure_look(home: OperatorHome) -> None:
    """Make the secret of those who only watch, in a home that an earlier release began without it."""
    _ensure_secret(home.folder, LOOK)


def _require_unused(folder: Path) -> None:
    require_no_restore(folder)
    used = [part for part in _USED if any((folder / part).glob("*"))]
    if used:
        raise ConfigurationError(
            f"home={folder}: holds no {SETTINGS}, and was in use ({', '.join(used)}): restore it from its backup, or "
            "choose another --home"
        )


def _begin_key(path: Path) -> None:
    if not path.exists():
        save_key(new_key(), path)
    elif not path.with_name(f"{path.name}.pub").exists():
        save_public_half(load_key(path), path)


def _replace_pair(pair: Signed, folder: Path, name: str) -> None:
    for end in ("key", "crt"):
        (folder / f"{name}.{end}").unlink(missing_ok=True)
    save_pair(pair, folder, name)


def _ensure_secret(folder: Path, name: str) -> None:
    path = folder / "secrets" / name
    if not path.exists():
        # Hexadecimal, since it travels in an HTTP header.
        write_new(path, secrets.token_hex(32).encode(), 0o600)


def save_pair(pair: Signed, folder: Path, name: str) -> None:
    """Write a certificate and its key as new files, the key for its owner alone."""
    write_new(folder / f"{name}.key", pair.key, 0o600)
    write_new(folder / f"{name}.crt", pair.certificate, 0o644)
