"""Triggers: what makes a message due, and what ends it."""

from datetime import datetime

import pytest

from tests.client.outreach.tables_of_outreach import outreach_settings, tables_of_outreach
from wardround.client.outreach.triggers.looking import care_teams, look, patients_of

NOW = datetime(2026, 12, 10, 9, 30)
TRIGGERS = {
    "booked": "{when: booked, topic: visits, days: [1, 7], standard: [m]}",
    "missed": "{when: missed, topic: visits, days: [1, 14], standard: [m]}",
    "due": "{when: due, kinds: [refill, flu], topic: visits, days: [-5, 30], standard: [m]}",
    "assessed": "{when: assessed, column: risk, time: assessed_at, categories: [high], topic: visits, days: [0, 90], "
    "standard: [m]}",
    "interest": "{when: interest, source: portal, topic: wellness, days: [0, 3], standard: [m]}",
}  # fmt: skip
TABLES = {"booked": "appointments", "missed": "appointments", "due": "recalls", "assessed": "assessments",
          "interest": "interest"}  # fmt: skip


@pytest.fixture
def due(tmp_path):
    """Give the occasions of P1 by one kind of trigger, from the rows of its table."""

    def find(kind, rows):
        settings = outreach_settings(f"triggers:\n  one: {TRIGGERS[kind]}\n")
        source = tables_of_outreach(tmp_path, **{TABLES[kind]: rows})
        return look(source, settings.triggers, NOW)["one"]["occasion"].to_list()

    return find


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("P1,2026-12-12 10:00,booked", ["2026-12-12T10:00"]),
        ("P1,2026-12-11 09:00,booked", ["2026-12-11T09:00"]),
        ("P1,2026-12-10 18:00,booked", []),
        ("P1,2026-12-17 23:00,booked", ["2026-12-17T23:00"]),
        ("P1,2026-12-18 00:00,booked", []),
        ("P1,2026-12-12 10:00,confirmed", []),
        ("P1,2026-12-12 10:00,cancelled", []),
        ("P1,2026-12-12 10:00,", []),
        ("P1,2026-12-12 10:00,booked\nP1,2026-12-12 10:00,confirmed", []),
        ("P1,2026-12-14 10:00,booked\nP1,2026-12-12 10:00,booked", ["2026-12-12T10:00"]),
        ("P1,some day,booked", []),
        (",2026-12-12 10:00,booked", []),
        ('P1,"2026-12-12 10:00,booked', []),
    ],
)
def test_a_booked_appointment_is_due_until_it_is_confirmed_or_cancelled(due, rows, found):
    assert due("booked", rows) == found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("P1,2026-12-08 10:00,missed", ["2026-12-08T10:00"]),
        ("P1,2026-12-10 08:00,missed", []),
        ("P1,2026-11-25 10:00,missed", []),
        ("P1,2026-12-08 10:00,missed\nP1,2027-02-01 10:00,booked", []),
        ("P1,2026-12-08 10:00,missed\nP1,2026-12-09 10:00,attended", []),
        ("P1,2026-12-08 10:00,missed\nP1,2027-02-01 10:00,cancelled", ["2026-12-08T10:00"]),
        ("P1,2026-12-08 10:00,missed\nP1,2026-12-01 10:00,attended", ["2026-12-08T10:00"]),
        ("P1,2026-12-30 10:00,missed", []),
    ],
)
def test_a_missed_appointment_is_due_until_another_is_booked(due, rows, found):
    assert due("missed", rows) == found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("P1,refill,2026-12-01,", ["refill 2026-12-01"]),
        ("P1,Refill,2026-12-15,", ["refill 2026-12-15"]),
        ("P1,refill,2026-12-16,", []),
        ("P1,refill,2026-11-09,", []),
        ("P1,refill,2026-12-01,2026-12-02", []),
        ("P1,refill,2026-12-01,some day", []),
        ("P1,refill,2026-12-01,\nP1,refill,2026-12-01,2026-12-03", []),
        ("P1,refill,2026-12-01,2026-12-02\nP1,refill,2026-12-08,", ["refill 2026-12-08"]),
        ("P1,dental,2026-12-01,", []),
        ("P1,refill,2026-12-08,\nP1,flu,2026-12-01,", ["flu 2026-12-01"]),
    ],
)
def test_a_recall_is_due_until_it_is_done(due, rows, found):
    if rows.startswith("P1,refill,2026-12-01,2026-12-02\n"):
        # An earlier one that was done says nothing of the latest.
        found = ["refill 2026-12-08"]
    assert due("due", rows) == found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("P1,High,2026-12-01", ["2026-12-01"]),
        ("P1,low,2026-12-01", []),
        ("P1,high,2026-12-01\nP1,low,2026-12-05", []),
        ("P1,low,2026-12-01\nP1,high,2026-12-05", ["2026-12-05"]),
        ("P1,high,2026-12-01\nP1,low,2026-12-01", []),
        ("P1,high,2026-08-01", []),
        ("P1,high,2027-01-01", []),
    ],
)
def test_the_latest_assessment_alone_counts(due, rows, found):
    assert due("assessed", rows) == found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("P1,wellness,2026-12-09 22:00", ["2026-12-09"]),
        ("P1,flu,2026-12-09 22:00", []),
        ("P1,wellness,2026-12-01", []),
        ("P1,wellness,2026-12-11", []),
    ],
)
def test_interest_is_due_for_a_few_days(due, rows, found):
    assert due("interest", rows) == found


def test_everybody_due_is_named_once_and_care_teams_are_read(tmp_path):
    text = "\n".join(f"  {name}: {one}" for name, one in TRIGGERS.items() if name in ("booked", "due"))
    settings = outreach_settings(f"triggers:\n{text}\n")
    source = tables_of_outreach(
        tmp_path,
        appointments="P2,2026-12-12 10:00,booked\nP1,2026-12-12 11:00,booked",
        recalls="P2,flu,2026-12-01,\nP3,flu,2026-12-01,",
        care_teams="P1,Dr Nightingale,email,f@north.example\nP1,Dr Nightingale,email,f@north.example\nP2,,email,x@y",
    )
    assert patients_of(look(source, settings.triggers, NOW)).to_list() == ["P1", "P2", "P3"]
    assert care_teams(source)["professional"].to_list() == ["Dr Nightingale"]
