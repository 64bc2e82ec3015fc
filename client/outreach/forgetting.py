"""What the journal keeps is deleted when its days are over, also at a hospital that proposes nothing any more."""

from datetime import datetime, timedelta
from pathlib import Path

from wardround.client.ledger.clock import leaps
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.triggers.settings import KEEP_DAYS, OUTREACH
from wardround.client.outreach.triggers.settings_file import settings_of
from wardround.protocol.errors import ConfigurationError


def forget_old(home: Path, journal: Journal, now: datetime, last: datetime) -> int:
    """Delete for good what is over for ``keep_days``; give how many proposals. last: the ledger's time.

    Without an outreach.yaml the default holds: the hospital has stopped. Nothing is deleted while that file cannot
    be read, since the days are its to say, nor by a clock that leaps, or was ahead for a moment: what was sent must not
    be forgotten, and sent again, because a machine began with a wrong date.
    """
    if leaps(now, last):
        return 0
    try:
        days = settings_of(home).keep_days if (home / OUTREACH).exists() else KEEP_DAYS
    except ConfigurationError:
        return 0
    return journal.purge(journal.sure_time(now) - timedelta(days=days))
