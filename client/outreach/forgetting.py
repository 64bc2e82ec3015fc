"""What the journal keeps is deleted when its days are over, also at a hospital that proposes nothing any more."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from wardround.client.ledger.clock import clock_fault
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.outreach.journal.believed import jump_of, most_idle
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.triggers.settings import KEEP_DAYS, OUTREACH
from wardround.client.outreach.triggers.settings_file import settings_of
from wardround.protocol.errors import ConfigurationError

CLOCK_REMEDY = "set the clock; if it is right, wardround-hospital ledger clock --reason TEXT"


class Forgotten(NamedTuple):
    """How many proposals were deleted; and what is wrong with the clock, empty where nothing is."""

    proposals: int
    clock: str


def forget_old(home: Path, journal: Journal, now: datetime, ledger: SqliteLedger) -> Forgotten:
    """Look at the clock, and delete for good what is over for ``keep_days`` by it.

    Without an outreach.yaml the default holds: the hospital has stopped. Nothing is deleted while that file cannot
    be read, since the days are its to say, nor by a clock that jumped or was ahead for a moment: what was sent must not
    be forgotten, and sent again, because a machine began with a wrong date.
    """
    wrong, days = wrong_clock(home, journal, now, ledger), _keep_days(home)
    if wrong or days is None:
        return Forgotten(0, wrong)
    said = now if ledger.simulated else ledger.clock_confirmed
    found = journal.look_at_clock(now, said, most_idle(days))
    return Forgotten(journal.purge(found.sure - timedelta(days=days)), "")


def wrong_clock(home: Path, journal: Journal, now: datetime, ledger: SqliteLedger) -> str:
    """Say what is wrong with the clock beside journal and ledger, and note nothing; empty where nothing is.

    A simulated hospital's date is its settings' to say.
    """
    if ledger.simulated:
        return ""
    last = journal.last_look()
    # A hospital may run outreach for years without a study: of a clock that is ahead its own looks know more.
    if last is None or now < ledger.time:
        return clock_fault(now, ledger.time)
    return jump_of(last, now, ledger.clock_confirmed, most_idle(_keep_days(home) or KEEP_DAYS))


def _keep_days(home: Path) -> int | None:
    """Give the settings' days; None where they cannot be read."""
    try:
        return settings_of(home).keep_days if (home / OUTREACH).exists() else KEEP_DAYS
    except ConfigurationError:
        return None
