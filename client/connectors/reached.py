"""Whether the files of tables can be reached at all: a volume that is away says nothing about what they hold (rule 2).

A shared folder whose server does not answer, a right that is missing, a process that may open no more files: asked
again later it goes. A file that is gone is no such thing, for an export that found nobody may write none; nor is
memory that does not suffice, which large tables take.
"""

import errno

from wardround.client.connectors.source import TableSource
from wardround.protocol.errors import TableAway, TableError

_AWAY = frozenset(
    {
        errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE,
        errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.ENOTCONN, errno.ECONNABORTED, errno.ECONNREFUSED,
        errno.ECONNRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ETIMEDOUT,
    }
)  # fmt: skip


def require_reached(source: TableSource) -> None:
    """Raise TableAway where a table's file may be there and cannot be opened and read from now."""
    file = ""
    try:
        for table, paths in source.files().items():
            for path in paths:
                file = f"{table}: {path.name}"
                with path.open("rb") as opened:
                    opened.read(1)
    except OSError as error:
        found = unreached(file or "the tables", error)
        if isinstance(found, TableAway):
            raise found from None


def unreached(what: str, error: OSError) -> TableError:
    """Say that a file or folder cannot be read from now: TableAway where it may be there all the same."""
    kind = TableAway if error.errno in _AWAY else TableError
    return kind(f"{what} cannot be reached now ({error.strerror})")
