"""The journal's file, HOME/outreach.sqlite: every change is one durable transaction, and everything goes through here.

Guarantees (test_journal.py): a crash at any moment leaves the journal as it was or with the whole change; a proposal
moves only as ``states.MOVES`` allows, and each move is written down with who made it; the same occasion of the same
patient is proposed once; the file is its owner's alone.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from wardround.client.outreach.journal.believed import Looked, looked
from wardround.client.outreach.journal.reading import decision_from_row, proposal_from_row
from wardround.client.outreach.journal.records import OutreachDecision, OutreachProposal, as_text, as_time
from wardround.client.outreach.journal.schema import HELD_COLUMNS, LOOKS, PROPOSAL_COLUMNS, SCHEMA, VERSION
from wardround.client.outreach.journal.states import OVER, STATES, sources
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.turns import in_turn

JOURNAL_FILE = "outreach.sqlite"
_WAIT_SECONDS = 30.0
_AT_ONCE = 500  # variables of one statement


class Journal:
    """An open journal. One connection, one thread."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where there is none; ConfigurationError where others may read it."""
        self.path = path
        _made(path)
        try:
            self._db = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
            for setting in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
                self._db.execute(f"PRAGMA {setting}")
            self._begin_tables()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs of ``propose`` out: two would each count caps without the other. A crash lets go."""
        with in_turn(self.path.with_suffix(".lock")):
            yield

    def propose(self, proposals: pl.DataFrame, held: pl.DataFrame) -> int:
        """Write what one run proposed and held back, all of it or nothing; give how many proposals are new.

        proposals: columns ``PROPOSAL_COLUMNS``, as the file keeps them; held: ``HELD_COLUMNS``. An occasion that is
        proposed already stays as it is. What was held for an occasion is replaced by what holds it now.
        """
        with self.together():
            before = self._count()
            self._insert("INSERT OR IGNORE INTO proposals", proposals, PROPOSAL_COLUMNS)
            self._insert("INSERT OR REPLACE INTO held", held, HELD_COLUMNS)
            return self._count() - before

    def move(
        self,
        ids: Sequence[int],
        state: str,
        *,
        person: str,
        reason: str,
        at: datetime,
        among: Sequence[str] = STATES,
    ) -> tuple[int, ...]:
        """Move proposals to a state, and write down who did it, and why; give the ids that were moved.

        What may not become this, or is not in one of the states ``among``, is left as it is: another person, an
        export, or the clock, was first.
        """
        moved: list[int] = []
        allowed = [one for one in sources(state) if one in among]
        marks = ",".join("?" * len(allowed))
        with self.together():
            for one in dict.fromkeys(ids):
                changed = self._db.execute(
                    f"UPDATE proposals SET state = ? WHERE id = ? AND state IN ({marks})",  # noqa: S608 (marks alone)
                    (state, one, *allowed),
                )
                if changed.rowcount:
                    moved.append(one)
            self._db.executemany(
                "INSERT INTO decisions (proposal, at, person, act, reason) VALUES (?, ?, ?, ?, ?)",
                [(one, as_text(at), person, state, reason) for one in moved],
            )
        return tuple(moved)

    def write_exports(self, digests: Mapping[int, str], recipient: str, state: str, at: datetime) -> None:
        """Write down how exports stand, all or none. digests: of the bytes, by proposal; recipient: of the policy's."""
        with self.together():
            self._db.executemany(
                "INSERT OR REPLACE INTO exports VALUES (?, ?, ?, ?, ?)",
                [(one, as_text(at), recipient, state, digest) for one, digest in digests.items()],
            )

    def proposals(
        self, states: Sequence[str] = STATES, ids: Sequence[int] | None = None, token: str | None = None
    ) -> Iterator[OutreachProposal]:
        """Give proposals in these states, oldest first; all, of these ids, or of one patient."""
        where, values = [f"state IN ({','.join('?' * len(states))})"], list[object](states)
        if ids is not None:
            where.append("id IN (SELECT value FROM json_each(?))")
            values.append(str(list(map(int, ids))))
        if token is not None:
            where.append("token = ?")
            values.append(token)
        columns = ", ".join(("id", *PROPOSAL_COLUMNS, "state"))
        query = f"SELECT {columns} FROM proposals WHERE {' AND '.join(where)} ORDER BY id"  # noqa: S608 (our own names)
        for row in self._db.execute(query, values):
            yield proposal_from_row(row)

    def frame(self, columns: Sequence[str], states: Sequence[str] = STATES) -> pl.DataFrame:
        """Give columns of all proposals in these states, as they are kept: ``id``, ``state``, ``PROPOSAL_COLUMNS``."""
        types = {name: _TYPES.get(name, pl.String) for name in columns}
        unknown = set(columns) - {"id", "state", *PROPOSAL_COLUMNS}
        if unknown:
            raise ValueError(f"no columns of a proposal: {', '.join(sorted(unknown))}")
        marks = ",".join("?" * len(states))
        query = f"SELECT {', '.join(columns)} FROM proposals WHERE state IN ({marks})"  # noqa: S608 (known names)
        return pl.DataFrame(self._db.execute(query, tuple(states)).fetchall(), types, orient="row")

    def counts(self) -> dict[str, int]:
        """Count proposals by state."""
        found = dict(self._db.execute("SELECT state, count(*) FROM proposals GROUP BY state").fetchall())
        return {state: found.get(state, 0) for state in STATES}

    def held(self) -> pl.DataFrame:
        """Give what was held back, by which rule: ``HELD_COLUMNS``."""
        rows = self._db.execute(f"SELECT {', '.join(HELD_COLUMNS)} FROM held").fetchall()  # noqa: S608 (our own names)
        return pl.DataFrame(rows, dict.fromkeys(HELD_COLUMNS, pl.String), orient="row")

    def decisions(self, proposal: int | None = None) -> tuple[OutreachDecision, ...]:
        """Give who did what, oldest first; of one proposal, or of all."""
        where, values = ("", ()) if proposal is None else (" WHERE proposal = ?", (proposal,))
        query = f"SELECT proposal, at, person, act, reason FROM decisions{where} ORDER BY id"  # noqa: S608 (ours)
        return tuple(map(decision_from_row, self._db.execute(query, values)))

    def exports(self) -> pl.DataFrame:
        """Give each export: proposal, at, recipient, state, digest."""
        columns = ("proposal", "at", "recipient", "state", "digest")
        rows = self._db.execute("SELECT * FROM exports").fetchall()
        return pl.DataFrame(rows, {name: _TYPES.get(name, pl.String) for name in columns}, orient="row")

    def purge(self, before: datetime) -> int:
        """Delete for good what is over and was made before a time; give how many proposals.

        What nobody decided is over once its own time to be sent lies before that time; what is being exported stays,
        since it may have left.
        """
        with self.together():
            self._db.execute("DELETE FROM held WHERE made_at < ?", (as_text(before),))
            marks = ",".join("?" * len(OVER))
            missed = "(send_before < ? AND state <> 'exporting')"
            query = f"DELETE FROM proposals WHERE made_at < ? AND (state IN ({marks}) OR {missed})"  # noqa: S608 (marks)
            return self._db.execute(query, (as_text(before), *OVER, as_text(before))).rowcount

    def look_at_clock(self, now: datetime, said: datetime | None, most: timedelta) -> Looked:
        """Note this look at the clock, and give what is believed. said, most: as ``believed.looked`` takes them."""
        with self.together():
            self._db.execute(LOOKS)
            found = looked(self.last_look(), now, said, most)
            self._db.execute("DELETE FROM clock")
            row = (as_text(found.sure), as_text(found.seen), as_text(found.said) if found.said else "")
            self._db.execute("INSERT INTO clock VALUES (?, ?, ?)", row)
        return found

    def last_look(self) -> Looked | None:
        """Give what was believed at the last look; before the first, the newest time that stands in the journal."""
        row = self._one("SELECT sure, seen, said FROM clock") if self._has("clock") else None
        if row is not None:
            return Looked(as_time(row[0]), as_time(row[1]), as_time(row[2]) if row[2] else None)
        newest = self._one(
            "SELECT max(made_at) FROM (SELECT made_at FROM proposals UNION SELECT made_at FROM held)"
        )
        return Looked(as_time(newest[0]), as_time(newest[0]), None) if newest and newest[0] else None

    def forget(self, tokens: Sequence[str]) -> int:
        """Delete for good all that is known of patients who opted out; give how many proposals.

        What is being exported at this moment stays: it may have left, and must not leave again.
        """
        found = 0
        with self.together():
            for start in range(0, len(tokens), _AT_ONCE):
                part = tuple(tokens[start : start + _AT_ONCE])
                marks = ",".join("?" * len(part))
                self._db.execute(f"DELETE FROM held WHERE token IN ({marks})", part)  # noqa: S608 (marks alone)
                query = f"DELETE FROM proposals WHERE token IN ({marks}) AND state <> 'exporting'"  # noqa: S608
                found += self._db.execute(query, part).rowcount
        return found

    def _begin_tables(self) -> None:
        with self.together():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
        if version not in (0, VERSION):
            raise ConfigurationError(
                f"journal={self.path}: is of form {version}, and this program writes {VERSION}; install the program "
                "that wrote it"
            )

    def _insert(self, statement: str, frame: pl.DataFrame, columns: Sequence[str]) -> None:
        marks = ",".join("?" * len(columns))
        self._db.executemany(
            f"{statement} ({', '.join(columns)}) VALUES ({marks})", frame.select(columns).iter_rows()
        )

    def _has(self, table: str) -> bool:
        return self._one("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table) is not None

    def _one(self, query: str, *values: str) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
        return found

    def _count(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM proposals").fetchone()[0])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do all of it or nothing, durably; ConfigurationError, which names the cause, where the disk takes nothing."""
        if self._db.in_transaction:
            yield
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        finally:
            # A full disk has SQLite roll back by itself: another ROLLBACK would fail, and hide why.
            if self._db.in_transaction:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")

    def _failed(self, error: sqlite3.Error) -> ConfigurationError:
        # SQLite's own words, which quote no cell.
        return ConfigurationError(f"journal={self.path}: cannot be used ({error}); nothing was changed")


_TYPES: Mapping[str, type[pl.DataType]] = {"id": pl.Int64, "proposal": pl.Int64, "propensity": pl.Float64}


def open_journal(home: Path) -> Journal:
    """Open a home's journal."""
    return Journal(home / JOURNAL_FILE)


def _made(path: Path) -> None:
    """Make an empty file for its owner alone, before anything is written into it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        mode = os.fstat(handle).st_mode & 0o777
        os.close(handle)
    except OSError as error:
        raise ConfigurationError(f"journal={path}: cannot be opened ({error.strerror})") from error
    if mode & 0o077:
        raise ConfigurationError(f"journal={path}: others may read it (mode {mode:o}); chmod 600 {path}")
