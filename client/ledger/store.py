"""The ledger's database file: an append-only table of entries, and the stored bytes of releases.

SQLite in WAL mode with full synchronisation: a transaction is on the disk when its commit returns.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any

from wardround.client.ledger.entries import Entry, read_entry
from wardround.protocol.errors import ConfigurationError, LedgerError, Refusal
from wardround.protocol.turns import turn_in

BUSY_SECONDS = 30.0

# The rules of the chain once more, in the database itself: whatever opens this file cannot break them by a slip.
_SCHEMA = """
CREATE TABLE entries (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL UNIQUE,
    signature TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX charged_once ON entries (
    json_extract(body, '$.operator'), json_extract(body, '$.terms'),
    json_extract(body, '$.account'), json_extract(body, '$.round')) WHERE kind = 'charged';
CREATE UNIQUE INDEX released_once ON entries (json_extract(body, '$.charge')) WHERE kind = 'released';
CREATE TRIGGER never_updated BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER never_deleted BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER only_appended BEFORE INSERT ON entries
    WHEN NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM entries)
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TABLE stored (charge TEXT PRIMARY KEY, payload BLOB NOT NULL, expires_at TEXT NOT NULL) STRICT;
"""
_OF_SUMS = {
    "roster": """CREATE UNIQUE INDEX IF NOT EXISTS one_roster ON entries (
        json_extract(body, '$.operator'), json_extract(body, '$.terms')) WHERE kind = 'roster'""",
    "survivors": """CREATE UNIQUE INDEX IF NOT EXISTS survivors_once ON entries (
        json_extract(body, '$.operator'), json_extract(body, '$.terms'),
        json_extract(body, '$.account'), json_extract(body, '$.round')) WHERE kind = 'survivors'""",
}
"""By kind of entry: made with its first, since ledgers are older than secure sums, and most never see one."""


class Store:
    """One open database; safe for threads, and beside other processes with a Store of their own."""

    def __init__(self, path: Path) -> None:
        """Open an existing file; LedgerError where there is none: a lost ledger is never begun anew."""
        # Re-entrant: `turn`, `writing` and what is called within them all take it.
        self._lock = RLock()
        self.path = path
        if not path.is_file():
            raise LedgerError(
                f"ledger={path}: is missing; restore the newest backup: ledger restore FILE (a new ledger "
                "would forget what was spent)"
            )
        try:
            # isolation_level=None: Python's module would begin transactions of its own. The lock keeps threads apart.
            self._db = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # Expired releases are overwritten, not only unlinked.
            self._db.execute("PRAGMA secure_delete = ON")
            # In WAL mode NORMAL may lose the last commits when the power fails: a charge that is lost is a refund.
            self._db.execute("PRAGMA synchronous = FULL")
            mode = self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            self._file = _identity(path)
        except sqlite3.Error as error:
            raise LedgerError(f"ledger={path}: cannot be opened as a ledger ({error})") from error
        if mode != "wal":
            raise LedgerError(f"ledger={path}: this disk takes no write-ahead log ({mode}); use a local disk")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep this process's other threads out."""
        with self._lock:
            yield

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold what belongs together, an entry and the head outside, against all other writers.

        LedgerError where another file has taken this one's name: what is written here would be lost. Refusal (clause
        ``ledger``) where another program holds it and does not go on: nothing was written.
        """
        # Not the database's own file: closing it would give up SQLite's locks on it (sqlite.org/howtocorrupt.html).
        with self._lock, turn_in(self.path.parent, _unwritable):
            if _identity(self.path) != self._file:
                raise exchanged()
            yield

    @contextmanager
    def writing(self, consequence: str = "nothing was spent") -> Iterator[None]:
        """Hold the one write lock over all processes; all or nothing is durable when it ends.

        Raises Refusal (clause ``ledger``) where the disk is full, read-only or failing: nothing was written.
        consequence: what that means, for whoever reads the refusal.
        """
        with self._lock:
            try:
                # The write lock before any read: two processes that read the budget first could both pass a cap.
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise Refusal(
                    "ledger",
                    f"cannot be written ({error}); {consequence}; free the disk or make it writable",
                ) from error
            finally:
                if self._db.in_transaction:
                    with suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")

    def append(self, entry: Entry) -> None:
        """Write one entry, within ``writing``."""
        if entry.kind in _OF_SUMS:
            self._db.execute(_OF_SUMS[entry.kind])
        self._db.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
            (entry.sequence, entry.kind, entry.body.decode(), entry.hash, entry.signature),
        )

    def after(self, sequence: int) -> list[Entry]:
        """Read the entries that follow a sequence number; LedgerError for one that was altered."""
        return self._entries("sequence > ?", sequence)

    def of_kind(self, kind: str) -> list[Entry]:
        """Read the entries of one kind; LedgerError for one that was altered."""
        return [entry for entry in self._entries("kind = ?", kind) if entry.kind == kind]

    def _entries(self, which: str, value: int | str) -> list[Entry]:
        query = f"SELECT body, signature FROM entries WHERE {which} ORDER BY sequence"  # noqa: S608 (words of ours)
        rows = self._select(query, (value,))
        return [read_entry(str(body).encode(), str(signature)) for body, signature in rows]

    def hash_at(self, sequence: int) -> str | None:
        """Return the hash that stands at a sequence number."""
        rows = self._select("SELECT hash FROM entries WHERE sequence = ?", (sequence,))
        return str(rows[0][0]) if rows else None

    def keep(self, charge: str, payload: bytes, expires_at: str) -> None:
        """Store a release's bytes, within ``writing``."""
        self._db.execute("INSERT INTO stored VALUES (?, ?, ?)", (charge, payload, expires_at))

    def kept(self, charge: str) -> bytes | None:
        """Read a release's bytes."""
        rows = self._select("SELECT payload FROM stored WHERE charge = ?", (charge,))
        return bytes(rows[0][0]) if rows else None

    def forget(self, now: str) -> int:
        """Delete bytes that expired, within ``writing``; returns how many."""
        return self._db.execute("DELETE FROM stored WHERE expires_at <= ?", (now,)).rowcount

    def flush(self) -> None:
        """Fold the write-ahead log into the file and empty it, so that deleted bytes are gone from both."""
        with self._lock, suppress(sqlite3.Error):  # somebody reads: the next one does it
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy_to(self, target: Path) -> None:
        """Write all that is committed into a file of its own, without log; sqlite3.Error where that fails.

        target: an empty file that is there already.
        """
        with self._lock:
            copy_database(self._db, target)

    def _select(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be read ({error})") from error


def _unwritable(error: OSError) -> Refusal:
    return Refusal("ledger", f"cannot be written ({error.strerror}); nothing was spent")


def exchanged() -> LedgerError:
    """Say that the database is another than it was."""
    return LedgerError(
        "the ledger's file was replaced while it was open; restore the newest backup and restart"
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def copy_database(source: sqlite3.Connection, target: Path) -> None:
    """Copy by SQLite's backup interface, which takes the log in, into one file that needs none."""
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")


def create_store(path: Path) -> Store:
    """Make a new, empty file that its owner alone may read; ConfigurationError where one is."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise ConfigurationError(f"ledger={path}: exists already and is never overwritten") from error
    except OSError as error:
        raise ConfigurationError(f"ledger={path}: cannot be written ({error.strerror})") from error
    store = Store(path)
    with store.writing():
        for statement in _statements(_SCHEMA):
            store._db.execute(statement)
    return store


def _statements(script: str) -> Iterator[str]:
    """Split a script (``executescript`` would commit the transaction it runs in)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
