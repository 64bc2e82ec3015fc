"""Encoded features kept warm: read again when a table, the day, or what consents say has changed.

A withdrawal in a file is seen at the next round, because the file is; one in a database, because databases
are read for every round. Consents whose time comes or runs out are waited for to the second. Retention is
counted in days: an event goes at the start (UTC) of the day in which its retention ends.
"""

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from client.cohort import Cohort
from client.features import encode
from client.gate.admit import admit
from client.gate.consent import next_change
from client.tables.source import FileSource, TableSource, read_tables
from protocol.contract import Contract

logger = logging.getLogger("wardround.hospital")

_SETTLED_NANOSECONDS = 2_000_000_000
Stamp = tuple[tuple[str, int, int, int, int], ...]


@dataclass(frozen=True, eq=False)
class _Kept:
    """A cohort, what it was made from, and the moment until which it stands."""

    contract: str
    stamp: Stamp
    since: datetime
    until: datetime
    cohort: Cohort = field(repr=False)

    def stands(self, contract: Contract, stamp: Stamp, now: datetime) -> bool:
        """Whether a cohort made anew would be the same."""
        same = self.contract == contract.fingerprint and self.stamp == stamp != ()
        return same and self.since <= now < self.until


class WarmFeatures:
    """The training patients of one hospital as they stand now; the last study's stay in memory, never on disk."""

    def __init__(self, source: TableSource, patients_key: bytes) -> None:
        """Name the tables and the secret behind tokens; nothing is read yet."""
        self._source = source
        self._key = patients_key
        self._kept: _Kept | None = None

    def training(self, contract: Contract, now: datetime) -> Cohort:
        """Give the patients who may be learned from at ``now``.

        Guarantee: whoever must not be learned from at ``now`` is not in it (test_agent_consent.py). Raises
        TableError, TableAway, and whatever a broken file makes its reader raise.
        """
        stamp = stamp_of(self._source)
        if self._kept is not None and self._kept.stands(contract, stamp, now):
            return self._kept.cohort
        self._kept = None  # two cohorts at once would double the memory
        made = self._make(contract, now, stamp)
        if stamp and _settled(stamp):
            self._kept = made
        return made.cohort

    def _make(self, contract: Contract, now: datetime, stamp: Stamp) -> _Kept:
        tables = read_tables(self._source, contract)
        midnight = _next_midnight(now)
        change = next_change(tables.part("consents", contract), now)
        until = midnight if change is None else min(midnight, change.replace(tzinfo=UTC))
        admitted = admit(tables, contract, self._key, now, kept_until=midnight)
        logger.info("tables read and encoded")
        return _Kept(contract.fingerprint, stamp, now, until, encode(admitted.training, contract))


def stamp_of(source: TableSource) -> Stamp:
    """Say in what state a hospital's files are: inode, size and times; empty for databases and missing files."""
    if not isinstance(source, FileSource):
        return ()
    try:
        states = [(str(path), path.stat()) for path in source.paths.values()]
    except OSError:
        return ()
    return tuple((name, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in states)


def _settled(stamp: Stamp) -> bool:
    """Whether the files are old enough that a further change would show in one of their times."""
    latest = max(min(changed, written) for _, _, _, written, changed in stamp)
    return time.time_ns() - latest > _SETTLED_NANOSECONDS


def _next_midnight(now: datetime) -> datetime:
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)
