"""Wrong passwords in a file, so that pages and commands count them together, and a new process begins with none more.

{"grace": [3.0, "2026-12-01T09:00:00+00:00"]}
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from wardround.pages.attempts import BY_ACCOUNT, Attempts, still_wrong
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import zoned_time
from wardround.protocol.turns import turn_in

LARGEST_FILE = 2**20
_MODE = 0o600
_NOBODY = ""

Counts = dict[str, tuple[float, datetime]]


class AttemptsFile:
    """The file, one writer at a time. Its accounts are ones that there are: who guesses names makes no line."""

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        """Name the file; it is made with the first try."""
        self._path, self._clock = path, clock

    def take(self, account: str) -> bool:
        """Count a try as wrong; False where there were too many, and then no password may be compared."""
        with self._turn() as counts:
            now = self._clock()
            wrong = still_wrong(*counts[account], now) if account in counts else 0.0
            allowed = wrong <= BY_ACCOUNT - 1
            counts[account] = wrong + allowed, now
        return allowed

    def forgive(self, account: str) -> None:
        """Take a try back that was right, and what was wrong before it."""
        with self._turn() as counts:
            counts.pop(account, None)

    @contextmanager
    def _turn(self) -> Iterator[Counts]:
        """Read, change, and write whole."""
        try:
            with turn_in(self._path.parent):
                counts = self._read()
                yield counts
                plain = {name: [wrong, at.isoformat()] for name, (wrong, at) in sorted(counts.items())}
                write_durably(self._path, json.dumps(plain).encode() + b"\n", _MODE)
        except OSError as error:
            raise ConfigurationError(
                f"attempts={self._path}: cannot be written ({error.strerror}), and so nobody is let in"
            ) from error

    def _read(self) -> Counts:
        try:
            content = read_bounded(self._path, LARGEST_FILE)
        except FileNotFoundError:
            return {}
        try:
            plain = read_json(content, LARGEST_FILE)
            return {name: (float(wrong), zoned_time(at)) for name, (wrong, at) in plain.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"attempts={self._path}: is not what counts wrong passwords; remove it, and they count anew"
            ) from error


class KeptAttempts(Attempts):
    """Those of pages, of which the file counts too what concerns an account that there is. Safe for threads."""

    def __init__(
        self, clock: Callable[[], datetime], file: AttemptsFile, is_account: Callable[[str], bool]
    ) -> None:
        """file: shared with the commands."""
        super().__init__(clock)
        self._file, self._is_account = file, is_account

    def take(self, account: str, address: str) -> bool:
        """Count a try as wrong; False where there were too many here or there."""
        if not super().take(account, address):
            return False
        # Who is nobody costs the same work, and counts for nothing: how long this takes tells no name.
        known = self._is_account(account)
        return self._file.take(account if known else _NOBODY) or not known

    def forgive(self, account: str, address: str) -> None:
        """Take a try back that was right."""
        super().forgive(account, address)
        self._file.forgive(account)
