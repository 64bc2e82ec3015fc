"""Look, tell, and look again: what stands now is compared with what was told, and what is new goes out.

At each step what is on disk is true: a recipient is noted as told right after the message was taken. A watch that is
killed between the two tells once more; nothing is told to nobody. Recipients do not wait for one another: each has
pauses of its own, from 30 seconds to an hour, while a message to it fails.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.settings import AlertRecipient
from wardround.protocol.alerts.told import ToldFile, begin_again, due, look, meet, tell
from wardround.protocol.errors import WardroundError
from wardround.protocol.retry import Backoff, LastLine
from wardround.protocol.text.log import report

FIRST_PAUSE, LONGEST_PAUSE = 30.0, 3600.0  # seconds between two messages to a recipient that was not reached
LOOK_SECONDS = 30.0
Send = Callable[[AlertRecipient, Sequence[Alert], str, datetime], None]


class Watch:
    """What one process keeps between two looks. now: wall clock, in UTC. monotonic: for pauses."""

    def __init__(
        self,
        told: ToldFile,
        source: str,
        send: Send,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        tell_person: Callable[[str], object] = report,
    ) -> None:
        """told: its file. source: who writes. send: carries one message. tell_person: takes what fails, once."""
        self._file, self._source, self._send = told, source, send
        self._now, self._monotonic, self._tell_person = now, monotonic, tell_person
        self._state = begin_again(told.read(now()), now())
        self._pauses: dict[str, Backoff] = {}
        self._not_before: dict[str, float] = {}
        self._last: dict[str, LastLine] = {}
        self._written, self._unwritten = False, LastLine()

    def step(self, alerts: Iterable[Alert], recipients: Sequence[AlertRecipient]) -> int:
        """Take in what stands now and tell whoever is due; how many messages were taken."""
        found = sorted(alerts, key=lambda alert: alert.key)
        before, now = self._state, self._now()
        self._state = meet(look(before, found, now), (recipient.name for recipient in recipients), now)
        if self._state != before or not self._written:
            self._keep()
        return sum(self._tell(recipient, found) for recipient in recipients)

    def _tell(self, recipient: AlertRecipient, alerts: Sequence[Alert]) -> bool:
        mine = [alert for alert in alerts if alert.event in recipient.events]
        new = due(self._state, mine, recipient.name, self._now())
        if not new or self._monotonic() < self._not_before.get(recipient.name, 0.0):
            return False
        pauses = self._pauses.setdefault(recipient.name, Backoff(FIRST_PAUSE, LONGEST_PAUSE))
        last = self._last.setdefault(recipient.name, LastLine())
        try:
            self._send(recipient, new, self._source, self._now())
        except WardroundError as error:
            self._not_before[recipient.name] = self._monotonic() + pauses.next_pause()
            if last.differs(str(error)):
                self._tell_person(f"alerts: {recipient.name} is not told: {error}; tried again")
            return False
        pauses.reset()
        last.clear()
        self._state = tell(self._state, (alert.key for alert in new), recipient.name)
        self._keep()
        return True

    def _keep(self) -> None:
        try:
            self._file.write(self._state)
        except OSError as error:
            # A full disk is itself an alert: people are told all the same, and told anew after a restart.
            line = f"alerts={self._file.path}: cannot be written ({error.strerror}); free some space"
            if self._unwritten.differs(line):
                self._tell_person(line)
            self._written = False
        else:
            self._unwritten.clear()
            self._written = True
