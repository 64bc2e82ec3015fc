"""How often each part is looked at: this machine at each look, the server each minute, tables each hour."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from wardround.client.alerts import events
from wardround.client.alerts.server import at_server
from wardround.client.alerts.standing import local, of_tables
from wardround.client.home.home import Home, load_home
from wardround.protocol.alerts.alert import Alert
from wardround.protocol.errors import WardroundError

SERVER_SECONDS, TABLES_SECONDS = 60.0, 3600.0


class Seldom:
    """One part that is looked at after so many seconds; in between it stands as it was."""

    def __init__(
        self, look: Callable[[Home], list[Alert]], seconds: float, clock: Callable[[], float]
    ) -> None:
        """clock: never goes back."""
        self._look, self._seconds, self._clock = look, seconds, clock
        self._next, self._found = float("-inf"), list[Alert]()

    def __call__(self, home: Home) -> list[Alert]:
        """Give what stands, looked at anew where it is time."""
        if self._clock() >= self._next:
            self._found, self._next = self._look(home), self._clock() + self._seconds
        return self._found


class Looks:
    """All parts of one home, which is read anew at each look: people change its settings while this runs."""

    def __init__(
        self,
        folder: Path,
        ages: Callable[[Home], Sequence[tuple[str, bool]]],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """ages: of a home, each table whose age the policy bounds, and whether it is too old. now: in UTC."""
        self._folder, self._now = folder, now
        self._server = Seldom(at_server, SERVER_SECONDS, clock)
        self._old = Seldom(lambda home: _forget_old(home, now()), TABLES_SECONDS, clock)
        self._tables = Seldom(lambda home: of_tables(home, lambda: ages(home), now()), TABLES_SECONDS, clock)

    def __call__(self) -> list[Alert]:
        """Give all alerts that stand."""
        try:
            home = load_home(self._folder)
        except WardroundError as error:
            every = frozenset(events.EVENTS) - {events.HOME}
            text = f"the home cannot be read: {error}"
            return [Alert(event=events.HOME, subject="home", text=text, hides=every)]
        return [*local(home, self._now()), *self._server(home), *self._tables(home), *self._old(home)]


def _forget_old(home: Home, now: datetime) -> list[Alert]:
    """Delete what the journal has kept for its days: this program runs also where nobody proposes any more.

    Give what is wrong with the clock, by which nothing is deleted then.
    """
    from wardround.client.outreach.forgetting import CLOCK_REMEDY, forget_old  # polars: half a second
    from wardround.client.outreach.journal.journal import JOURNAL_FILE, open_journal

    if not (home.folder / JOURNAL_FILE).is_file():
        return []
    # Whoever cannot open one of the two hears it by the alerts themselves.
    with (
        suppress(WardroundError),
        closing(home.open_ledger()) as ledger,
        open_journal(home.folder) as journal,
    ):
        wrong = forget_old(home.folder, journal, now, ledger).clock
        if wrong:
            return [Alert(event=events.CLOCK, subject="journal", text=wrong, remedy=CLOCK_REMEDY)]
    return []
