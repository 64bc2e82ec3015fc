"""What the journal believes of a clock, by which it forgets and by which messages leave. Pure.

It notes when it was looked at. A clock that went on since the last look by no more than ``most_idle`` is believed; one
that jumped, or went back, is not, until a person says that it is right (``ledger clock``): by a wrong date what was
sent is forgotten and sent again, and appointments of another month are due.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from wardround.client.ledger.clock import MOST_BEHIND

SURE_AFTER = timedelta(days=1)
"""How long a clock must go on before something is deleted by it."""
_MOST_IDLE = timedelta(days=36)
"""A hospital that proposes on each month's first Monday, and runs nothing in between, is idle for five weeks."""


class Looked(NamedTuple):
    """sure: a time that is surely past. seen: the last look that was believed. said: a person's last word, if any."""

    sure: datetime
    seen: datetime
    said: datetime | None


def most_idle(keep_days: int) -> timedelta:
    """Give how long nobody may have looked. keep_days: of the journal; what is younger than half of them stays."""
    return min(_MOST_IDLE, timedelta(days=keep_days) / 2)


def looked(before: Looked | None, now: datetime, said: datetime | None, most: timedelta) -> Looked:
    """Give what is believed after a look at the clock; None before the first, which is believed.

    said: when a person last said that the clock is right. What is sure is an earlier look, a day ago or more.
    """
    if before is None:
        return Looked(now, now, said)
    if _is_news(before, now, said, most):
        return Looked(min(before.seen, now), now, said)
    if jump_of(before, now, said, most) or now - before.seen < SURE_AFTER:
        return before
    return Looked(before.seen, now, before.said)


def jump_of(before: Looked | None, now: datetime, said: datetime | None, most: timedelta) -> str:
    """Say how a clock jumped since the last look; empty where it is believed."""
    if before is None or _is_news(before, now, said, most):
        return ""
    ahead = now - before.seen
    if ahead > most:
        return (
            f"the clock says {now:%Y-%m-%d}, {ahead.days} days after outreach was last looked at "
            f"({before.seen:%Y-%m-%d}); more than {most.days} days are believed when a person says so"
        )
    if -ahead > MOST_BEHIND:
        return (
            f"the clock says {now:%Y-%m-%d}, {(-ahead).days} days before outreach was last looked at "
            f"({before.seen:%Y-%m-%d})"
        )
    return ""


def _is_news(before: Looked, now: datetime, said: datetime | None, most: timedelta) -> bool:
    """Whether a person said of this clock that it is right, and since the last look: an old word is of another time."""
    return said is not None and said != before.said and timedelta(0) <= now - said <= most
