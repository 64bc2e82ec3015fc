"""How much memory and disk Flower's database takes beside what is stored in it, and how long it is waited for.

Flower 1.42 lets each connection of its pool keep 64 MiB of the file, map 256 MiB more, and keep the last large part
bound to a statement; its journal stays as large as it once was. One hospital that fills its share would leave 300 MiB
in memory that nobody needs.

Flower has SQLite give up on a database that others write to after 5 s, and the call is answered 500, which ends a
SuperNode, or its heartbeats: too soon where the machine does much else.
"""

from functools import partialmethod
from typing import Any

BUSY_SECONDS = 30
_PRAGMAS = (
    ("busy_timeout", str(1000 * BUSY_SECONDS)),
    ("cache_size", "-4096"),
    ("mmap_size", "0"),
    ("journal_size_limit", str(2**23)),
)
_CONNECT = {"check_same_thread": False, "cached_statements": 0}


def keep_lean(sql_mixin: Any) -> None:
    """Bound every database that Flower opens from now on. sql_mixin: Flower's module of that name."""
    sql_mixin.SQLITE_PRAGMAS = (*sql_mixin.SQLITE_PRAGMAS, *_PRAGMAS)
    sql_mixin.SqlMixin.initialize = partialmethod(sql_mixin.SqlMixin.initialize, connect_args=_CONNECT)
