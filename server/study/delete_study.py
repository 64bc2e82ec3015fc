"""Delete a study of which no hospital was ever asked anything, so that its name is free again."""

import shutil
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.server.store.event_log import NOT_ENROLLED, NOT_READ, read_events
from wardround.server.store.lock import alone
from wardround.server.store.operator_home import StudyFolder, load_operator_home

# What the log holds before the first request leaves. Any other event, of a later release too, keeps a study.
_BEFORE_ASKING = {"started", "resumed", "waiting", NOT_ENROLLED, NOT_READ, "server_away", "stopped"}


def delete_study(home: Path, name: str) -> None:
    """Remove a study's folder; ConfigurationError where it is not here, runs, or has asked a hospital for anything."""
    folder = load_operator_home(home).study(name)
    if not folder.folder.is_dir():
        raise ConfigurationError(f"study={name}: is not here ({folder.folder})")
    with alone(folder.lock, f"study={name}: another process is running it; stop that one first"):
        if _has_asked(folder):
            raise ConfigurationError(
                f"study={name}: has asked hospitals for releases, and its files say what they were charged for; "
                "keep it, and choose another name for another study"
            )
        # First: where this is cut short, the name is free all the same.
        folder.terms.unlink(missing_ok=True)
        try:
            shutil.rmtree(folder.folder)
        except OSError as error:
            raise ConfigurationError(
                f"study={name}: its files cannot all be removed ({error.strerror}); its name is free again"
            ) from error


def _has_asked(folder: StudyFolder) -> bool:
    asked = any(event.get("event") not in _BEFORE_ASKING for event in read_events(folder.events))
    return asked or any(
        part.exists() for part in (folder.checkpoints, folder.sums, folder.evaluations, folder.query)
    )
