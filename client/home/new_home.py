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
from wardround.client.ledger.sqlite import create_ledger
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.files import write_new
from wardround.protocol.text.text import ALLOWED_IN_NAMES, is_name, visible
from wardround.protocol.wire.signing import new_key, save_key


def begin_home(folder: Path, new: NewHome) -> str:
    """Write the folder's files, readable by their owner alone; returns the hospital's public key.

    ConfigurationError where one of them is there already: nothing is written then.
    """
    remedy = f"{ALLOWED_IN_NAMES}; give --hospital NAME"
    require(is_name(new.hospital), "hospital", visible(new.hospital, 60), remedy)
    for name in (SETTINGS, POLICY, LEDGER, HOSPITAL_KEY, PATIENTS_KEY):
        if (folder / name).exists():
            raise ConfigurationError(f"home={folder}: {name} exists already; nothing was overwritten")
    # Both texts before the first file: terms that cannot be written down leave nothing half made.
    policy, settings = policy_text(new), settings_text(new)
    try:
        for part in (folder, folder / "keys", folder / TERMS):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"home={folder}: cannot be made ({error.strerror})") from error
    key = new_key()
    save_key(key, folder / HOSPITAL_KEY)
    write_new(folder / PATIENTS_KEY, f"{secrets.token_hex(32)}\n".encode(), 0o600)
    simulated = new.simulation is not None
    create_ledger(folder / LEDGER, key, program_version(), datetime.now(UTC), simulated).close()
    write_new(folder / POLICY, policy.encode(), 0o600)
    write_new(folder / SETTINGS, settings.encode(), 0o600)
    if new.signed is not None:
        keep_pending(folder / TERMS, new.signed)
    return key.public
