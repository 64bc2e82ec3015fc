"""Days are the hospital's own: day, weekday, history, "known from the day after", retention and consents."""

from datetime import UTC, datetime, timedelta

import polars as pl

from tests.builders import clinics_contract
from wardround.client.agent.warm import WarmFeatures
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.source import Tables
from wardround.client.connectors.table_format import TableFormat
from wardround.client.gate.admit import admit
from wardround.client.gate.consent import next_change
from wardround.protocol.contract.reading import contract_from_mapping

LOS_ANGELES = "America/Los_Angeles"
PLAIN_CONTRACT = clinics_contract(
    features={
        "booked_on": {"kind": "weekday", "column": "sent"},
        "booked_at": {"kind": "hour", "column": "sent", "edges": [6, 12, 18]},
        "month": {"kind": "month", "column": "sent"},
        "lead": {"kind": "gap_days", "from": "sent", "to": "visit_day", "edges": [1, 4]},
        "past_rate": {"kind": "history", "statistic": "rate", "edges": [0.5, 1]},
    }
)
# Booked in local time with its offset, appointment as a plain day; the first visit is on the day of both bookings.
BOOKINGS = pl.DataFrame(
    {
        "person": ["1", "1", "2"],
        "sent": ["2024-03-01T08:00:00-08:00", "2024-03-01T17:00:00-08:00", "2024-03-01T17:00:00-08:00"],
        "visit_day": ["2024-03-01", "2024-03-10", "2024-03-01"],
        "attended": ["0", "1", "1"],
    }
)
NOW = datetime(2024, 4, 1, tzinfo=UTC)
FRIDAY, SATURDAY, MISSING = 4, 5, 3
EVENING, NIGHT = 2, 0


def contract(**changes):
    return contract_from_mapping({**PLAIN_CONTRACT, **changes})


def events(tables, now=NOW, of=None, **kept):
    admitted = admit(tables, of or contract(), b"key", now, **kept)
    rows = pl.concat([admitted.training, admitted.heldout, admitted.undecided]).sort("row")
    return rows, admitted.counts


def test_day_weekday_hour_and_history_are_local():
    rows, counts = events(Tables(BOOKINGS, timezone=LOS_ANGELES))
    assert counts["outcome before decision"] == 0
    assert rows["feature:booked_on"].to_list() == [FRIDAY] * 3
    assert rows["feature:booked_at"].to_list() == [1, EVENING, EVENING]
    assert rows["feature:lead"].to_list() == [0, 2, 0]
    assert rows["feature:past_rate"].to_list() == [MISSING] * 3, (
        "history knew an outcome of the same local day"
    )
    # The same table read as if days began in London: each of the faults is there.
    rows, counts = events(Tables(BOOKINGS, timezone="UTC"))
    assert counts["outcome before decision"] == 1
    assert rows["feature:booked_on"].to_list() == [FRIDAY, SATURDAY]
    assert rows["feature:booked_at"].to_list() == [EVENING, NIGHT]
    assert rows["feature:past_rate"].to_list() == [MISSING, 0]


def test_a_month_begins_at_the_hospitals_midnight():
    row = pl.DataFrame(
        {"person": "1", "sent": "2024-03-01T01:00Z", "visit_day": "2024-03-02", "attended": "1"}
    )
    assert events(Tables(row, timezone=LOS_ANGELES))[0]["feature:month"].item() == 1
    assert events(Tables(row))[0]["feature:month"].item() == 2


def test_an_outcome_is_known_from_the_hospitals_next_day():
    visit = datetime(2024, 3, 10)
    for zone, begins in (("UTC", visit + timedelta(days=1)), (LOS_ANGELES, datetime(2024, 3, 11, 7))):
        for late, due in ((timedelta(seconds=-1), 1), (timedelta(0), 0)):
            now = (begins + late).replace(tzinfo=UTC)
            assert events(Tables(BOOKINGS, timezone=zone), now)[1]["outcome not yet known"] == due, (
                zone,
                now,
            )


def test_decided_in_the_future_and_retention_are_told_by_the_wall_clock():
    plain = BOOKINGS.with_columns(
        sent=pl.Series(["2024-03-01T08:00", "2024-03-01T17:00", "2024-03-01T17:00"])
    )
    kept = contract(retention_days=30)
    for hour, future in ((0, 2), (1, 0)):  # 16:00 and 17:00 in Los Angeles
        now = datetime(2024, 3, 2, hour, tzinfo=UTC)
        assert events(Tables(plain, timezone=LOS_ANGELES), now)[1]["decided in the future"] == future
    past = datetime(2024, 3, 31, 15, tzinfo=UTC)  # 08:00 in Los Angeles, in summer time
    for late, gone in ((0, 0), (1, 1)):
        counts = events(Tables(plain, timezone=LOS_ANGELES), past + timedelta(seconds=late), kept)[1]
        assert counts["past retention"] == gone


def consents(**timestamps):
    blank = {"granted_at": "", "withdrawn_at": "", "expires_at": ""}
    kinds = {"person": "1", "kind": "purpose", "value": "appointment_reminder"}
    return pl.DataFrame({**kinds, **blank, **timestamps})


def test_plain_times_of_consents_are_the_hospitals_not_utc():
    asked = contract(consent={"required": True})
    for hour, without in ((7, 2), (8, 0)):  # midnight in Los Angeles is 08:00 UTC
        now = datetime(2024, 3, 15, hour, tzinfo=UTC) - timedelta(hours=1)  # summer time by then
        granted = Tables(BOOKINGS, consents=consents(granted_at="2024-03-15"), timezone=LOS_ANGELES)
        assert events(granted, now, asked)[1]["no consent for the purpose"] == without + 1  # and patient 2's
        ending = consents(granted_at="2024-01-01", expires_at="2024-03-15T00:00")
        counts = events(Tables(BOOKINGS, consents=ending, timezone=LOS_ANGELES), now, asked)[1]
        assert counts["no consent for the purpose"] == 3 - without
    in_utc = {"consents": TableFormat(timezone="UTC")}
    granted = consents(granted_at="2024-03-15T00:00")
    tables = Tables(BOOKINGS, consents=granted, formats=in_utc, timezone=LOS_ANGELES)
    counts = events(tables, datetime(2024, 3, 15, tzinfo=UTC), asked)[1]
    assert counts["no consent for the purpose"] == 1


def test_the_next_change_of_consents_is_an_instant():
    tables = Tables(BOOKINGS, consents=consents(granted_at="2024-03-15"), timezone=LOS_ANGELES)
    assert next_change(tables, contract(), datetime(2024, 3, 14, tzinfo=UTC)) == datetime(
        2024, 3, 15, 7, tzinfo=UTC
    )
    assert next_change(tables, contract(), datetime(2024, 3, 15, 7, tzinfo=UTC)) is None


def test_features_are_kept_until_the_hospitals_midnight(tmp_path):
    BOOKINGS.write_csv(tmp_path / "messages.csv")
    source = source_from_mapping({"messages": {"path": "messages.csv"}}, tmp_path, LOS_ANGELES)
    warm = WarmFeatures(source, b"key")
    now = datetime(2024, 4, 1, 5, tzinfo=UTC)
    made = warm._make(contract(), now, (("messages.csv", 1, 1, 1, 1),))
    assert made.until == datetime(2024, 4, 1, 7, tzinfo=UTC)
