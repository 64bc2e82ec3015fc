"""When a message may be sent: time slots within the hours of the patient's own clock. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from wardround.client.outreach.triggers.settings import OutreachSettings

LEAST = timedelta(minutes=15)
"""What must be left of a slot: export needs a moment."""


@dataclass(frozen=True)
class TimeSlot:
    """A message may be sent from ``after`` to ``before``, in UTC. hour: of the patient's clock, where it begins."""

    after: datetime
    before: datetime
    hour: int


def next_slots(settings: OutreachSettings, zone: str, now: datetime) -> tuple[TimeSlot, ...]:
    """Give what is left of today's slots, or all of tomorrow's: at least one, each within the hours.

    Guarantee: first_hour ≤ the patient's clock < last_hour at every moment of a slot (test_slots.py).
    """
    here = ZoneInfo(zone)
    today = now.astimezone(here).date()
    for days in range(3):
        day = today + timedelta(days=days)
        hours = (*settings.slots, settings.last_hour)
        each = [
            TimeSlot(
                max(*_instants(day, hour, here), now.astimezone(UTC)), min(_instants(day, end, here)), hour
            )
            for hour, end in pairwise(hours)
        ]
        slots = [slot for slot in each if slot.before - slot.after >= LEAST]
        if slots:
            return tuple(slots)
    raise ValueError("no slot within three days")


def _instants(day: date, hour: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Give when the clock shows this hour: two moments that differ where it is set back, or forward over it."""
    wall = datetime.combine(day, time()) + timedelta(hours=hour)
    early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return early, late


def known_zone(name: str | None, zones: Sequence[str], default: str) -> str | None:
    """Give the zone of this name, however it is capitalised; the hospital's own for none, None for one not known."""
    if name is None:
        return default
    return {zone.lower(): zone for zone in zones}.get(name.lower())
