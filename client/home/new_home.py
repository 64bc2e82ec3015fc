"""A new hospital's home folder: commented policy and settings, keys, and an empty ledger; nothing overwritten."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

from wardround.client.home.home import (
    HOSPITAL_KEY,
    LEDGER,
    PATIENTS_KEY,
    POLICY,
    SETTINGS,
    TERMS,
    program_version,
)
from wardround.client.home.settings_text import NewHome, policy_text, settings_text
from wardround.client.home.terms_folder import keep_pending
from wardround.client.ledger.head_file import head_path, read_head
from wardround.client.ledger.sqlite import create_ledger
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.files import SQLITE_BESIDE, remove_durably, settle, write_new
from wardround.protocol.text.text import ALLOWED_IN_NAMES, is_name, visible
from wardround.protocol.wire.signing import new_key, save_key

_MADE = (SETTINGS, POLICY, LEDGER, HOSPITAL_KEY, PATIENTS_KEY)
_OF_LEDGER = (LEDGER, *(LEDGER + end for end in SQLITE_BESIDE), head_path(Path(LEDGER)).name)
BEGUN = f"{SETTINGS}.begun"
"""The settings until all else is there. Without them no command opens a home, so nothing was ever spent from it."""


def begin_home(folder: Path, new: NewHome) -> str:
    """Write the folder's files, readable by their owner alone; returns the hospital's public key.

    ConfigurationError where one of them is there already: nothing is written then. What a run left that was broken
    off, by a full disk or a kill, is made anew.
    """
    remedy = f"{ALLOWED_IN_NAMES}; give --hospital NAME"
    require(is_name(new.hospital), "hospital", visible(new.hospital, 60), remedy)
    broken_off = _is_broken_off(folder)
    for name in () if broken_off else _MADE:
        if (folder / name).exists():
            raise ConfigurationError(f"home={folder}: {name} exists already; nothing was overwritten")
    # Both texts before the first file: terms that cannot be written down leave nothing half made.
    policy, settings = policy_text(new), settings_text(new)
    try:
        for part in (folder, folder / "keys", folder / TERMS):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        if broken_off:
            _remove_begun(folder)
    except OSError as error:
        raise ConfigurationError(f"home={folder}: cannot be made ({error.strerror})") from error
    write_new(folder / BEGUN, settings.encode(), 0o600)
    key = new_key()
    save_key(key, folder / HOSPITAL_KEY)
    write_new(folder / PATIENTS_KEY, f"{secrets.token_hex(32)}\n".encode(), 0o600)
    simulated = new.simulation is not None
    create_ledger(folder / LEDGER, key, program_version(), datetime.now(UTC), simulated).close()
    write_new(folder / POLICY, policy.encode(), 0o600)
    if new.signed is not None:
        keep_pending(folder / TERMS, new.signed)
    settle(folder / BEGUN, folder / SETTINGS)
    return key.public


def _is_broken_off(folder: Path) -> bool:
    if not (folder / BEGUN).exists() or (folder / SETTINGS).exists():
        return False
    # Somebody may have given the settings their name by hand, gone on, and lost them since.
    head = read_head(head_path(folder / LEDGER))
    return head is None or head.sequence <= 1


def _remove_begun(folder: Path) -> None:
    # What says that it was broken off goes last.
    for name in (POLICY, HOSPITAL_KEY, f"{HOSPITAL_KEY}.pub", PATIENTS_KEY, *_OF_LEDGER, BEGUN):
        if (folder / name).exists():
            remove_durably(folder / name)
