"""What the ledger believes of a clock: time runs forward, and a leap asks a person."""

from datetime import UTC, datetime, timedelta

MOST_AHEAD = timedelta(days=400)
"""How far a clock may be beyond the last entry. A hospital with one study a year is idle for a year and a
month; a battery that died, a restored machine or a typing error in a year is off by more."""
MOST_BEHIND = timedelta(days=1)
"""From which difference on a clock behind the last entry is a fault: no two time zones differ by more."""
FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Before and after which a clock is wrong, whoever says that it is right."""


def leaps(now: datetime, last: datetime) -> bool:
    """Whether a clock is implausibly beyond the last entry."""
    return now - last > MOST_AHEAD


def clock_fault(now: datetime, last: datetime) -> str:
    """Say what is wrong with a clock beside a ledger whose last entry is of ``last``; empty where nothing is."""
    entry = f"the ledger's last entry ({last:%Y-%m-%d})"
    if leaps(now, last):
        days, most = (now - last).days, MOST_AHEAD.days
        return (
            f"the clock says {now:%Y-%m-%d}, {days} days after {entry}; more than {most} days are implausible"
        )
    if last - now > MOST_BEHIND:
        return (
            f"the clock says {now:%Y-%m-%d}, {(last - now).days} days before {entry}, whose time then counts"
        )
    return ""


def next_second(now: datetime, last: datetime) -> datetime:
    """Give the whole second in which an entry after one of ``last`` is written."""
    second = now.replace(microsecond=0)
    if second >= last:
        return second
    whole = last.replace(microsecond=0)
    # Entries of 0.1.0 have microseconds: after such a one the next whole second begins.
    return whole if whole == last else whole + timedelta(seconds=1)
