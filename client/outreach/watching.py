"""``outreach watch``: look again as soon as a table, a module or a setting changed, and from time to time.

A look costs one stat for each file. Where tables lie in a database there is nothing to compare: then every look is a
run. What a run raises is told and does not end the watch: an export may be half written.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from wardround.client.connectors.source import TableSource

LOOK_SECONDS = 1.0
"""Between two looks. What was written is proposed within five seconds, as long as a run takes less than four."""
AGAIN_SECONDS = 60.0
"""A run even if nothing changed: time passes, and appointments come nearer."""

Stamps = Mapping[Path, tuple[int, int, int]]


def stamps_of(source: TableSource, others: Iterator[Path]) -> Stamps | None:
    """Give when each file was last written, its size and its number; None where the tables are in no files."""
    files = source.files()
    if not files:
        return None
    paths = [path for table in files.values() for path in table]
    return {path: found for path in (*paths, *others) if (found := _stamp(path)) is not None}


def watch(
    run: Callable[[], None],
    stamps: Callable[[], Stamps | None],
    wait: Callable[[float], bool],
    now: Callable[[], float],
) -> int:
    """Run at once, then whenever a stamp differs or ``AGAIN_SECONDS`` passed; give how many runs there were.

    wait: sleep so many seconds, and say whether it is time to end. now: a clock that never goes back. The stamps are
    taken before a run: what is written during it is seen by the next.
    """
    runs, last, seen = 0, float("-inf"), None
    ended = False
    while not ended:
        found = stamps()
        if found is None or found != seen or now() - last >= AGAIN_SECONDS:
            seen, last = found, now()
            run()
            runs += 1
        ended = wait(LOOK_SECONDS)
    return runs


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
