"""Encoded features kept warm: read again when a table, the day, or what consents say has changed.

A withdrawal in a file is seen at the next round, because the file is; one in a database, because databases
are read for every round. Consents whose time comes or runs out are waited for to the second. Retention is
counted in days: an event goes at the start, in the hospital's own zone, of the day in which its retention ends.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wardround.client.cohort import Cohort
from wardround.client.connectors.reached import require_reached
from wardround.client.connectors.source import TableSource, read_tables
from wardround.client.connectors.timestamps import next_midnight
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.gate.consent import next_change
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import TableAway

logger = logging.getLogger("wardround.hospital")

# A second change within the file system's tick would leave no trace in its times.
_SETTLED_NANOSECONDS = 2_000_000_000
Stamp = tuple[tuple[str, int, int, int, int], ...]


@dataclass(frozen=True, eq=False)
class _Kept:
    """The patients of each account, what they were made from, and the time until which they stand."""

    contract: str
    stamp: Stamp
    since: datetime
    until: datetime
    cohorts: Mapping[str, Cohort] = field(repr=False)

    def stands(self, contract: Contract, stamp: Stamp, now: datetime) -> bool:
        """Whether patients read anew would be the same."""
        # An empty stamp (a database, a missing file) never stands.
        same = self.contract == contract.fingerprint and self.stamp == stamp != ()
        return same and (self.since == now or self.since <= now < self.until)


class WarmFeatures:
    """One hospital's patients as they stand now; the last study's stay in memory, never on disk."""

    def __init__(self, source: TableSource, patients_key: bytes, clock_stands: bool = False) -> None:
        """Name the tables and the secret behind tokens; nothing is read yet. clock_stands: in a simulation."""
        self._source = source
        self._key = patients_key
        self._clock_stands = clock_stands
        self._kept: _Kept | None = None

    def patients(self, account: str, contract: Contract, now: datetime) -> Cohort:
        """Give the patients who at ``now`` may be learned from (``training``) or measured on (``held_out``).

        Guarantee: whoever has not consented at ``now`` is not in it (test_agent_consent.py). Raises
        TableError, TableAway, and whatever a broken file makes its reader raise.
        """
        stamp = stamp_of(self._source)
        if self._kept is None or not self._kept.stands(contract, stamp, now):
            self._kept = None  # two states at once would double the memory
            made = self._made(contract, now, stamp)
            if not stamp or not _settled(stamp):
                return made.cohorts[account]
            self._kept = made
        return self._kept.cohorts[account]

    def _made(self, contract: Contract, now: datetime, stamp: Stamp) -> _Kept:
        """Read and encode; whatever goes wrong with files of a volume that is away is TableAway."""
        try:
            return self._make(contract, now, stamp)
        except TableAway:
            raise
        except Exception:
            require_reached(self._source)
            raise

    def _make(self, contract: Contract, now: datetime, stamp: Stamp) -> _Kept:
        tables = read_tables(self._source, contract)
        midnight = now if self._clock_stands else next_midnight(now, tables.timezone)
        change = next_change(tables, contract, now)
        # At midnight outcomes become known and retention ends; a consent's own date may come sooner.
        until = midnight if change is None else min(midnight, change)
        admitted = admit(tables, contract, self._key, now, kept_until=midnight)
        logger.info("tables read and encoded")
        parts = {"training": admitted.training, "held_out": admitted.heldout}
        cohorts = {account: encode(events, contract) for account, events in parts.items()}
        return _Kept(contract.fingerprint, stamp, now, until, cohorts)


def stamp_of(source: TableSource) -> Stamp:
    """Say in what state a hospital's files are: inode, size and times; empty for databases and missing files."""
    try:
        states = [(str(path), path.stat()) for paths in source.files().values() for path in paths]
    except OSError:
        return ()
    # ctime too: a copy that keeps times (`cp -p`) sets mtime back, and no call sets ctime.
    return tuple((name, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in states)


def _settled(stamp: Stamp) -> bool:
    """Whether the files are old enough that a further change would show in one of their times."""
    latest = max(min(changed, written) for _, _, _, written, changed in stamp)
    return time.time_ns() - latest > _SETTLED_NANOSECONDS
