"""The ledger's head outside its database: which entry was the last that anything followed from.

One line beside the database, durable after every entry and before anything is computed or leaves. A database
that lacks this entry has forgotten: a copy of the main file alone, a lost log, an older file. With 0.1.0 such a
copy opened, and a round that had been answered came again with fresh noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wardround.protocol.errors import LedgerError, Refusal
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json

_LARGEST = 1000


@dataclass(frozen=True)
class Head:
    """One entry by number and hash."""

    sequence: int
    hash: str


class Outside:
    """The head outside one database. The caller keeps other writers out (``Store.turn``)."""

    def __init__(self, path: Path | None) -> None:
        """Name the file; None for a copy that stands in nobody's place, and has no head outside."""
        self._path = path
        self._last: Head | None = None

    def read(self) -> None:
        """Read the file. Call this before the database is read: what is written in between only puts that ahead."""
        self._last = None if self._path is None else read_head(self._path)

    def require_in(self, heads: Mapping[str, int], must_exist: bool) -> None:
        """LedgerError unless the database, whose entries' numbers are ``heads``, holds the entry that was read."""
        if self._path is None or (self._last is None and not must_exist):
            return
        if not heads:
            raise LedgerError(
                "the ledger has no entry: it was emptied, or never begun; restore the newest backup"
            )
        if self._last is None:
            raise LedgerError(
                f"head={self._path}: is missing, so nobody can tell whether this ledger is the newest; put the "
                "file back, or see ledger recover --help"
            )
        if heads.get(self._last.hash) != self._last.sequence:
            raise LedgerError(
                f"the ledger holds {len(heads)} entries and not number {self._last.sequence}, which {self._path.name} "
                "names: an older copy was restored, or its log was lost; restore the newest backup (ledger "
                "restore FILE), or see ledger recover --help"
            )

    def keep(self, sequence: int, head: str) -> None:
        """Bring it forward, durably; Refusal where the disk does not take it."""
        now = Head(sequence, head)
        if self._path is None or not sequence or now == self._last:
            return
        try:
            write_head(self._path, now)
        except OSError as error:
            raise Refusal(
                "ledger",
                f"{self._path.name} cannot be written ({error.strerror}); the entry stays, but nothing is released "
                "before that file is written; free the disk or make it writable",
            ) from error
        self._last = now


def head_path(database: Path) -> Path:
    """Name the file beside a database."""
    return database.with_suffix(".head")


def read_head(path: Path) -> Head | None:
    """Read the head; None where there is no such file. LedgerError for anything that is no head."""
    try:
        plain = read_json(read_bounded(path, _LARGEST), _LARGEST)
        head = Head(plain["sequence"], plain["hash"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"head={path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"head={path}: is not what the ledger writes there; restore the newest backup"
        ) from error
    if type(head.sequence) is not int or not isinstance(head.hash, str):
        raise LedgerError(f"head={path}: is not what the ledger writes there; restore the newest backup")
    return head


def write_head(path: Path, head: Head) -> None:
    """Put a head in the place of the one before, durably; OSError leaves that one as it was."""
    write_durably(path, canonical_json({"hash": head.hash, "sequence": head.sequence}) + b"\n", 0o600)
