"""The spool of the patients' page: whether it can be read and emptied, who reads it, and its room."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardround.client.checks.finding import Finding, fault, ok, warn
from wardround.client.home.home import Home
from wardround.client.outreach.by_page.arrived import ASIDE
from wardround.client.outreach.by_page.settings import page_settings
from wardround.client.preferences.spool import MOST_FILES, SUFFIX
from wardround.protocol.errors import ConfigurationError

HEARD_WITHIN = timedelta(hours=36)
"""How long a choice may lie: ``propose`` reads it each day, and a night may be missed."""
NEARLY_FULL = MOST_FILES * 4 // 5
_READ = "wardround-hospital outreach inbound --page"


@dataclass(frozen=True, kw_only=True)
class SpoolState:
    """How a spool stands. files: whatever lies there; unopened: what was put aside; oldest: of choices, UTC."""

    folder: Path
    files: int
    unopened: int
    oldest: datetime | None

    @property
    def is_nearly_full(self) -> bool:
        """Whether the page turns patients away, or soon will."""
        return self.files >= NEARLY_FULL

    def is_unread(self, now: datetime) -> bool:
        """Whether a choice lies there for longer than it may."""
        return self.oldest is not None and now - self.oldest > HEARD_WITHIN


def spool_state(home: Path) -> SpoolState | None:
    """Look at the spool; None where there is no page. ConfigurationError where it cannot be read and emptied."""
    settings = page_settings(home)
    if settings is None:
        return None
    folder = settings.spool
    try:
        with os.scandir(folder) as found:
            entries = [(one.name, one.stat(follow_symlinks=False)) for one in found]
    except OSError as error:
        raise ConfigurationError(
            f"spool={folder}: cannot be read ({error.strerror}): no choice is heard, and nothing is sent; "
            "see docs/preferences.md for its owner and group"
        ) from error
    if not may_empty(folder.stat(), os.geteuid(), {os.getegid(), *os.getgroups()}):
        raise ConfigurationError(f"spool={folder}: cannot be emptied; its group needs write permission")
    # Not by the last change of bytes alone: its writer can set that to any day.
    times = [min(at.st_mtime, at.st_ctime) for name, at in entries if name.endswith(SUFFIX)]
    return SpoolState(
        folder=folder,
        files=len(entries),
        unopened=sum(name.endswith(ASIDE) for name, _ in entries),
        oldest=datetime.fromtimestamp(min(times), UTC) if times else None,
    )


def may_empty(folder: os.stat_result, user: int, groups: Collection[int]) -> bool:
    """Whether a folder's mode lets this user take files out.

    By its mode alone: the units of desk and alerts see the spool without being able to write, and empty nothing.
    """
    if user in (0, folder.st_uid):
        return user == 0 or folder.st_mode & 0o300 == 0o300
    of_group = folder.st_gid in groups
    return folder.st_mode & 0o030 == 0o030 if of_group else folder.st_mode & 0o003 == 0o003


def preferences(home: Home, now: datetime) -> Iterator[Finding]:
    """Look at the spool; nothing where there is no page."""
    there = spool_state(home.folder)
    if there is None:
        return
    faults = list(_faults(there, now))
    yield from faults
    if not faults:
        yield ok("preferences", f"the spool {there.folder} can be read, and nothing lies there unread")


def _faults(there: SpoolState, now: datetime) -> Iterator[Finding]:
    if there.files >= MOST_FILES:
        yield fault(
            "preferences", f"the spool is full ({there.files:,} files): the page turns patients away", _READ
        )
    elif there.is_nearly_full:
        yield warn("preferences", f"the spool holds {there.files:,} of {MOST_FILES:,} files", _READ)
    if there.oldest is not None and there.is_unread(now):
        yield warn(
            "preferences",
            f"a patient's choice lies unread since {there.oldest:%Y-%m-%d %H:%M} UTC",
            f"{_READ}, each day; it says what waits for an address of its patient",
        )
    if there.unopened:
        yield warn(
            "preferences",
            f"{there.unopened:,} files of the spool were not sealed for this hospital, and were put aside",
            "was keys/preferences.key put back from an old copy, or does somebody else write there?",
        )
