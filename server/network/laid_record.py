"""The parts that each node has laid down, on disk beside the SuperLink's database.

Flower's own tables do not say whose a part is once the answer that it belongs to was claimed. Without this record,
a node's share would start again from zero whenever the SuperLink does.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

_TABLE = "CREATE TABLE IF NOT EXISTS part (node TEXT, part TEXT, size INTEGER, PRIMARY KEY (node, part))"


class LaidRecord:
    """Part and size by node. One writer; its caller holds a lock."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        """path: of the record's own file, made where it is missing."""
        self._rows = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # Full durability is not needed: what a power cut loses of Flower's database, it may lose here.
        self._rows.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_TABLE}")

    def parts(self, node: int) -> dict[str, int]:
        """Give a node's parts, in bytes each; 0 for a part that has not arrived."""
        found = self._rows.execute("SELECT part, size FROM part WHERE node = ?", (str(node),))
        return {str(part): int(size) for part, size in found}

    def write(self, node: int, parts: Iterable[str], size: int = 0) -> None:
        """Note parts of one size."""
        rows = [(str(node), part, size) for part in parts]
        with self._rows:
            self._rows.executemany("INSERT OR REPLACE INTO part VALUES (?, ?, ?)", rows)

    def forget(self, node: int, parts: Iterable[str]) -> None:
        """Drop parts that are no longer in the store."""
        rows = [(str(node), part) for part in parts]
        with self._rows:
            self._rows.executemany("DELETE FROM part WHERE node = ? AND part = ?", rows)

    def close(self) -> None:
        """Close the file."""
        self._rows.close()
