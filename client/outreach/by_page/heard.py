"""Choices of the patients' page become lines of the hospital's own list of withdrawals. That list can only narrow.

    stop all          no contact any more; only a person at the hospital lifts it (``inbound --again``)
    no more of one    that topic, or that channel, is refused
    a pause           nothing until a day
    again             lifts what the page itself said of the same thing, and nothing else

Whoever holds a link, or the page's whole machine, can so take messages away from the patients of the links that they
saw, and never send anybody one that the hospital's consents, preferences and vetoes forbid
(``test_no_choice_allows_what_was_forbidden_without_it``).
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from wardround.client.connectors.withdrawals import PAGE, PAGE_AGAIN, PAGE_STOP, Withdrawal
from wardround.client.outreach.by_page.keys import PageKey
from wardround.client.outreach.by_page.links import patient_meant
from wardround.client.preferences.choice import END, Choice

_LATE = timedelta(days=2)
"""A link is good until the end of its last day in any zone; then the choice may lie in the spool."""
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class HeardByPage:
    """What choices come to.

    done, waiting: names of files that may go, and of those whose patient no table names today. old: choices made after
    their link's last day, which count for nothing; strange: of links that this hospital did not seal.
    """

    withdrawals: tuple[Withdrawal, ...]
    latest: tuple[datetime, ...]
    done: tuple[str, ...]
    waiting: tuple[str, ...]
    old: int
    strange: int


def hear_choices(
    choices: Mapping[str, Choice], keys: Mapping[int, PageKey], patients: Mapping[str, str], now: datetime
) -> HeardByPage:
    """Turn choices into withdrawals, oldest first. choices: by file's name; patients: identifier by token."""
    rows: list[Withdrawal] = []
    done: list[str] = []
    waiting: list[str] = []
    old = strange = 0
    for name, choice in sorted(choices.items(), key=lambda pair: (pair[1].at, pair[0])):
        meant = patient_meant(choice.token, keys)
        if meant is None or choice.at.date() > meant[1].last_day + _LATE:
            strange += meant is None
            old += meant is not None
            done.append(name)
        elif meant[0] not in patients:
            waiting.append(name)
        else:
            rows += _rows(choice, patients[meant[0]], min(choice.at, now))
            done.append(name)
    # A moment before: the list keeps whole seconds, and a file that is read again after a crash must not count as said
    # after what lifted it.
    latest = tuple(row.at - _SECOND for row in rows)
    return HeardByPage(tuple(rows), latest, tuple(done), tuple(waiting), old, strange)


def _rows(choice: Choice, patient: str, at: datetime) -> Iterator[Withdrawal]:
    def row(why: str, channel: str = "", topic: str = "", until: str = "") -> Withdrawal:
        said = f"{choice.id}\n{patient}\n{why}\n{channel}\n{topic}"
        return Withdrawal(
            patient=patient,
            consent="contact",
            channel=channel,
            topic=topic,
            until=until,
            why=why,
            at=at,
            record=hashlib.sha256(said.encode()).hexdigest(),
        )

    wish = choice.wish
    if wish.stop:
        yield row(PAGE_STOP)
    for topic, again in wish.topics.items():
        yield row(PAGE_AGAIN if again else PAGE, topic=topic)
    for channel, again in wish.channels.items():
        yield row(PAGE_AGAIN if again else PAGE, channel=channel)
    if wish.until:
        # A new pause replaces the one before it, also where it is shorter.
        yield row(PAGE_AGAIN)
    if wish.until not in ("", END):
        yield row(PAGE, until=wish.until)
