"""Copies of a ledger: made whole, put back only where nothing is forgotten by it.

A copy is one file without log, made by SQLite's backup interface (``cp`` of a running ledger's main file held
0 of 6 charges). It holds the stored releases too, since a repeat must stay free and identical. Whatever
is written stands under a hidden name, ends in ``.part``, until it is whole and verified.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from wardround.client.ledger.chain import Chain
from wardround.client.ledger.entries import Entry, read_entry, signed_by
from wardround.client.ledger.head_file import head_path, read_head
from wardround.client.ledger.sqlite import SqliteLedger, open_ledger
from wardround.client.ledger.store import copy_database
from wardround.protocol import files
from wardround.protocol.errors import ConfigurationError, LedgerError, WardroundError
from wardround.protocol.files import SQLITE_BESIDE
from wardround.protocol.turns import turn_in
from wardround.protocol.wire.signing import SigningKey


def read_copy(file: Path, public: str) -> Chain:
    """Follow every entry of a copy, and compare every stored release; LedgerError where it is no whole ledger.

    Reads the one file alone: a log beside it is not part of a backup.
    """
    return read_entries(file, public)[0]


def read_entries(file: Path, public: str) -> tuple[Chain, list[Entry]]:
    """Read a copy as ``read_copy`` does, and give its entries too."""
    try:
        with closing(_connect(file)) as database:
            rows = database.execute("SELECT body, signature FROM entries ORDER BY sequence").fetchall()
            stored = database.execute("SELECT charge, payload FROM stored").fetchall()
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"ledger={file}: cannot be read as a ledger ({error})") from error
    chain, entries = Chain(), [read_entry(str(body).encode(), str(signature)) for body, signature in rows]
    for entry in entries:
        chain.follow(entry)
    if not entries or not signed_by(entries[-1], public):
        raise LedgerError(f"ledger={file}: is not signed by this hospital's key {public}")
    for charge, payload in stored:
        if hashlib.sha256(bytes(payload)).hexdigest() != chain.released.get(str(charge)):
            raise LedgerError(f"ledger={file}: a stored release is not the one that its entry names")
    return chain, entries


def back_up(ledger: SqliteLedger, key: SigningKey, file: Path) -> Chain:
    """Write a ledger into one file, readable by its owner alone, and verify it; what the copy says.

    Takes the place of an older backup of the same ledger, and of nothing else. Guarantee: whatever happens
    on the way, ``file`` is what it was, or the whole new copy.
    """
    if file.exists():
        _require_older_backup(ledger, key, file)
    with ledger_part(file) as part:
        ledger.copy_to(part)
        chain = read_copy(part, key.public)
        files.settle(part, file)
    return chain


def restore(database: Path, key: SigningKey, code: str, file: Path) -> Chain:
    """Put a backup in the place of a ledger that does not open; what the backup says.

    LedgerError, and nothing is changed, where the ledger is whole, or where the backup lacks the entry that the
    head outside names: then something would be forgotten, and a person must recover instead.
    """
    outside = read_head(head_path(database))
    chain = read_copy(file, key.public)
    if outside is None or chain.heads.get(outside.hash) != outside.sequence:
        lacks = (
            "no ledger.head is here"
            if outside is None
            else f"not number {outside.sequence}, the last one here"
        )
        raise LedgerError(
            f"ledger={file}: holds {chain.sequence} entries, to {chain.time:%Y-%m-%d}, and {lacks}; what followed "
            "would be lost, so nothing was restored; see ledger recover --help"
        )
    _require_broken(database, key, code)
    with ledger_part(database) as part:
        copy_of(file, part)
        # The copy once more: the disk may fail, and FILE may change, between the first look and now.
        chain = read_copy(part, key.public)
        put_in_place(part, database)
    return chain


def copy_of(file: Path, part: Path) -> None:
    """Copy a backup into an empty file; sqlite3.Error or OSError where that fails."""
    with closing(_connect(file)) as source:
        copy_database(source, part)


def put_in_place(part: Path, database: Path) -> None:
    """Give a whole ledger its name; what stood there is kept beside it. OSError where that fails.

    Killed on the way, no ledger or none that opens is there, and the same command does it again.
    """
    files.sync_file(part)
    with turn_in(database.parent):
        # A log that stayed would be taken for the new file's.
        for suffix in (*SQLITE_BESIDE, ""):
            old = database.with_name(database.name + suffix)
            if old.exists():
                old.replace(_free_name(old))
        part.replace(database)
        files.sync_folder(database.parent)


@contextmanager
def ledger_part(path: Path) -> Iterator[Path]:
    """Begin an empty file beside ``path``, which its owner alone may read; removed unless it was renamed.

    LedgerError where the disk or SQLite fails meanwhile; what was there before is there still.
    """
    try:
        with files.part_in(path.parent) as part:
            yield part
    except (sqlite3.Error, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise LedgerError(
            f"ledger={path}: cannot be written ({why}); nothing was changed; free some space, and try again"
        ) from error


def _connect(file: Path) -> sqlite3.Connection:
    # immutable: no lock, no file made beside it, and a log that lies there is not read in.
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def _require_older_backup(ledger: SqliteLedger, key: SigningKey, file: Path) -> None:
    try:
        known = file.resolve() != ledger.path.resolve() and ledger.knows(read_copy(file, key.public).head)
    except WardroundError:
        known = False
    if not known:
        raise ConfigurationError(
            f"backup={file}: exists, and is not an older backup of this ledger; give another name"
        )


def _require_broken(database: Path, key: SigningKey, code: str) -> None:
    try:
        open_ledger(database, key, code).close()
    except LedgerError:
        return
    raise LedgerError(f"ledger={database}: is complete and the newest; there is nothing to restore")


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.aside{number}") for number in count(1))
    return next(name for name in names if not name.exists())
