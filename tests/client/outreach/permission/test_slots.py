"""Time slots lie within the hours of the patient's own clock, on the days when clocks change too."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from tests.client.outreach.tables_of_outreach import outreach_settings
from wardround.client.outreach.permission.caps import within_caps
from wardround.client.outreach.permission.slots import known_zone, next_slots

ZONES = ("UTC", "Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "hours",
    ["{slots: [8, 12, 17]}", "{first: 1, last: 3, slots: [1, 2]}", "{first: 0, last: 24, slots: [0]}"],
)
def test_every_moment_of_a_slot_lies_within_the_hours(zone, hours):
    settings = outreach_settings(f"hours: {hours}\n")
    rng = np.random.default_rng(7)
    for minute in rng.integers(0, 366 * 1440, 300):
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=int(minute))
        slots = next_slots(settings, zone, now)
        for slot in slots:
            assert now <= slot.after < slot.before <= now + timedelta(days=2)
            for share in (0.0, 0.5, 0.999999):
                clock = (slot.after + (slot.before - slot.after) * share).astimezone(ZoneInfo(zone))
                assert settings.first_hour <= clock.hour < settings.last_hour
        assert all(one.before <= other.after for one, other in pairwise(slots))


def test_what_is_left_of_today_comes_before_tomorrow():
    settings = outreach_settings("hours: {slots: [8, 12, 17]}\n")
    hours = {hour: [slot.hour for slot in next_slots(settings, "UTC", datetime(2026, 12, 1, hour, 50, tzinfo=UTC))]
             for hour in (7, 9, 13, 20, 22)}  # fmt: skip
    assert hours == {7: [8, 12, 17], 9: [8, 12, 17], 13: [12, 17], 20: [8, 12, 17], 22: [8, 12, 17]}
    assert next_slots(settings, "UTC", datetime(2026, 12, 1, 20, 50, tzinfo=UTC))[0].after.day == 2


def test_a_zone_is_known_however_it_is_capitalised():
    assert known_zone("europe/madrid", ZONES, "UTC") == "Europe/Madrid"
    assert known_zone(None, ZONES, "Asia/Kathmandu") == "Asia/Kathmandu"
    assert known_zone("mars/olympus", ZONES, "UTC") is None


def test_caps_count_a_day_and_any_seven_days():
    settings = outreach_settings("caps: {per_day: 1, per_week: 3}\n")
    day = datetime(2026, 12, 10).date()
    counted = pl.DataFrame(
        {
            "token": ["a", "b", "b", "b", "c", "c", "c"],
            "day": [
                day,
                *(day - timedelta(days=n) for n in (1, 3, 6)),
                *(day - timedelta(days=n) for n in (1, 3, 7)),
            ],
        }
    )
    wanted = pl.DataFrame({"token": ["a", "b", "c", "d"], "day": [day] * 4})
    assert within_caps(wanted, counted, settings).tolist() == [False, False, True, True]
    ahead = counted.with_columns(day=pl.col("day") + pl.duration(days=7))
    assert within_caps(wanted, ahead, settings).tolist() == [True, False, False, True]
