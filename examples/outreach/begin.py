#!/usr/bin/env python3
"""Fill a simulated home for the guide: invented patients, three messages, and the settings of outreach.

begin.py HOME          what the hospital has on the first day
begin.py HOME DAY      the same on a later day: appointments that are past are attended or missed
"""

import random
import shutil
import sys
from datetime import date, datetime, timedelta
from pathlib import Path

PATIENTS, FIRST = 400, date(2026, 12, 7)
HERE = Path(__file__).parent
POLICY = """
outreach:
  values: {place: North Clinic, phone: 555 0100}
  dates: "%d.%m.%Y"
  recipients:
    texts: {form: csv, folder: texts, channels: [sms]}
    desk: {form: csv, folder: desk, channels: [phone]}
"""
PEOPLE = """
people:
  grace: {name: Grace Hopper, roles: [clinician, approver]}
  ida: {name: Ida Rhodes, roles: [clinician, approver]}
  ada: {name: Ada Byron, roles: [communications]}
  maria: {name: María López}
"""
OUTREACH = """
consents:
  contact: {purpose: outreach_contact, required: true}
  personalise: {purpose: outreach_personalise, required: true}
triggers:
  unconfirmed-visit:
    {when: booked, topic: appointment_reminder, days: [1, 7], standard: [visit-plain], options: [visit-call]}
capacity: {phone: 120}
"""
PROTOCOL = """
name: calls-2026
question: Do calls to those for whom the model expects a gain help more patients to attend?
kind: improvement
starts: 2026-12-08
ends: 2027-01-31
outcome:
  {table: appointments, time: starts_at, column: status, yes: [attended], no: [missed], days: 14, without: leave_out}
arms: {standard: 0.5, personalised: 0.5}
compare: [personalised, standard]
size: {share: 0.8, difference: 0.1, outcomes: 1, correlation: 0.3, power: 0.8, alpha: 0.05}
looks: any
guardrails:
  opt_outs: {table: preferences, time: said_at, where: {kind: [contact], wanted: ["no"]}, most_more: 0.05}
groups: {}
"""


def main(home: Path, today: date) -> None:
    """Write everything; the same for the same day."""
    chance = random.Random(7)  # noqa: S311 (invented patients)
    names = [f"P-{number:03d}" for number in range(1, PATIENTS + 1)]
    write_history(home, names)
    purposes = ("outreach_contact", "outreach_personalise", "patient_engagement")
    consents = [f"{one},purpose,{what},2026-01-01,," for one in names for what in purposes]
    write(home, "consents", "patient,kind,value,granted_at,withdrawn_at,expires_at", consents[15:])
    spanish = [f"{one},language,es,yes,2026-01-01" for one in names[::10]]
    write(home, "preferences", "patient,kind,value,wanted,said_at", spanish)
    write(home, "vetoes", "patient,reason,starts_at,ends_at", [f"{names[20]},inpatient,2026-12-01,"])
    numbers = [
        f"{one},{way},+1555010{place:04d},2026-01-01"
        for place, one in enumerate(names)
        for way in ("sms", "phone")
    ]
    write(home, "addresses", "patient,channel,address,since", numbers)
    write(
        home,
        "details",
        "patient,placeholder,value",
        [f"{one},first_name,{chance.choice(NAMES)}" for one in names],
    )
    visits = []
    for one in names:
        day = FIRST + timedelta(days=chance.randrange(3, 8))
        past = "attended" if chance.random() < 0.8 else "missed"
        visits.append(f"{one},{day} {chance.randrange(9, 17):02d}:30,{past if day < today else 'booked'}")
    write(home, "appointments", "patient,starts_at,status", visits)
    settle(home, today)


def write_history(home: Path, names: list[str]) -> None:
    """Write what the demo's model reads: patients, and two reminders of each, by the contract's columns."""
    chance = random.Random(11)  # noqa: S311 (invented patients)
    patients, messages = [], []
    for one in names:
        age, sex = chance.randrange(18, 90), chance.choice("FM")
        work = "retired" if age > 66 else chance.choice(("employed", "employed", "unemployed"))
        patients.append(f"{one},{age},{sex},english,public,{work},0,0,{chance.randrange(1, 30)},")
        for month in (5, 8):
            day, hour = date(2026, month, chance.randrange(1, 25)), chance.randrange(8, 18)
            channel = chance.choice(("sms", "email", "phone"))
            told = f"{one},{day}T{hour:02d}:00,{day + timedelta(days=3)},appointment_reminder,{channel}"
            messages.append(f"{told},neutral,short,0,{int(chance.random() < 0.6)}")
    head = "patient,age,sex,language,insurance,employment,diabetes,hypertension,distance_km,daily_steps"
    write(home, "patients", head, patients)
    head = "patient,decided_at,outcome_at,topic,channel,tone,length,has_link,engaged"
    write(home, "messages", head, messages)


NAMES = ("Mia", "Noah", "Zoë", "Liam", "Ana")


def write(home: Path, table: str, head: str, rows: list[str]) -> None:
    """Write one table."""
    (home / f"{table}.csv").write_text("\n".join([head, *rows, ""]), encoding="utf-8")


def settle(home: Path, today: date) -> None:
    """Write settings, and the clock of the simulated home: nine in the morning."""
    tables = (
        "messages",
        "patients",
        "consents",
        "preferences",
        "vetoes",
        "addresses",
        "details",
        "appointments",
    )
    mapping = "".join(f"  {one}: {{path: {one}.csv}}\n" for one in tables)
    clock = datetime(today.year, today.month, today.day, 9).isoformat()
    (home / "hospital.yaml").write_text(
        f"hospital: demo\ntimezone: UTC\npatient: {{column: patient, form: text}}\ntables:\n{mapping}"
        f"simulation: {{seed: 7, as_of: {clock}+00:00}}\n"
    )
    policy = (home / "policy.yaml").read_text()
    if POLICY not in policy:
        (home / "policy.yaml").write_text(policy + POLICY)
        shutil.copytree(HERE / "content", home / "content")
        for folder in ("texts", "desk"):
            (home / folder).mkdir()
        (home / "people.yaml").write_text(PEOPLE, encoding="utf-8")
        (home / "outreach.yaml").write_text(OUTREACH)
        (home / "protocol.yaml").write_text(PROTOCOL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), date.fromisoformat(sys.argv[2]) if len(sys.argv) > 2 else FIRST)
