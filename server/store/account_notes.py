"""What was changed of the operator's accounts by another person, or by nobody's password: ``accounts.log`` in the home.

One JSON object per line, as in a study's event log; lines are added, and none is taken away.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wardround.server.store.event_log import EventLog, read_events

ACCOUNT_NOTES = "accounts.log"


def note_account(home: Path, topic: str, text: str) -> None:
    """Add a line; it is on the disk when this returns."""
    EventLog(home / ACCOUNT_NOTES, quiet=True).write(topic, text=text)


def account_notes(home: Path) -> list[Mapping[str, Any]]:
    """Give all of them, the oldest first: time, event (the topic), text."""
    return read_events(home / ACCOUNT_NOTES)
