"""The time slots that each patient has, by their own clock, and on which of their days each lies."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.client.outreach.permission.permission import Permission
from wardround.client.outreach.permission.slots import known_zone, next_slots
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.protocol.arrays import Booleans, Integers

Moments = NDArray[np.datetime64]
_NONE = np.datetime64("NaT", "s")


@dataclass(frozen=True, eq=False)
class Timing:
    """Of zones: after, before, day (of the patient's calendar): datetime64 [zones, slots], NaT where it is over.

    zone: int64 [people], each patient's place in ``names``; the last name is "" and has no slot: a zone not known.
    """

    names: tuple[str, ...]
    after: Moments
    before: Moments
    day: Moments
    zone: Integers

    def open_until(self, index: Integers, until: Moments) -> Booleans:
        """Whether each slot is there, and begins in time: bool [rows, slots]. until: [rows], NaT for never too late."""
        after = self.after[self.zone[index]]
        late = ~np.isnat(until)[:, None] & (after >= until[:, None])
        return np.asarray(~np.isnat(after) & ~late)


def timing_of(settings: OutreachSettings, permission: Permission, home_zone: str, now: datetime) -> Timing:
    """Work out every zone's slots."""
    zones = sorted(available_timezones())
    distinct = permission.timezone.unique().to_list()
    known = {name: known_zone(name, zones, home_zone) for name in distinct}
    names = (*sorted({zone for zone in known.values() if zone is not None}), "")
    shape = (len(names), len(settings.slots))
    after, before = np.full(shape, _NONE), np.full(shape, _NONE)
    day = np.full(shape, np.datetime64("NaT", "D"))
    for row, name in enumerate(names[:-1]):
        for slot in next_slots(settings, name, now):
            column = settings.slots.index(slot.hour)
            after[row, column] = _moment(slot.after)
            before[row, column] = _moment(slot.before)
            day[row, column] = np.datetime64(slot.after.astimezone(ZoneInfo(name)).date())
    places = {text: names.index(zone) if zone is not None else len(names) - 1 for text, zone in known.items()}
    zone = np.full(len(permission.people), len(names) - 1, np.int64)
    for text, at in places.items():
        zone[equal_to(permission.timezone, text)] = at
    return Timing(names, after, before, day, zone)


def equal_to(texts: pl.Series, text: str | None) -> Booleans:
    """Whether each is this text; None is equal to null."""
    same = texts.is_null() if text is None else (texts == text).fill_null(False)
    return np.asarray(same.to_numpy())


def days_of(times: pl.Series, zone: Integers, names: tuple[str, ...]) -> pl.Series:
    """Give the day on each patient's own calendar. times: UTC texts of the journal; zone: place in ``names``."""
    stamps = times.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us").dt.replace_time_zone("UTC")
    days = stamps.dt.date()
    for at, name in enumerate(names):
        if name and (zone == at).any():
            local = stamps.dt.convert_time_zone(name).dt.date()
            days = local.zip_with(pl.Series(zone == at), days)
    return days.alias("day")


def _moment(time: datetime) -> np.datetime64:
    return np.datetime64(time.replace(tzinfo=None), "s")
