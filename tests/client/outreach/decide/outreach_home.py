"""A small hospital's home with modules, people, recipients and proposals: what the acts of deciding work on."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from tests.client.outreach.content.modules import module_text, write_folder, write_people
from tests.client.small_hospital import Hospital
from wardround.client.home.home import load_home
from wardround.client.outreach.content.approvals import ContentDecision
from wardround.client.outreach.content.approvals_file import ContentApprovals
from wardround.client.outreach.content.folder import read_folder
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.outreach.journal.records import as_text
from wardround.client.outreach.journal.schema import HELD_COLUMNS, PROPOSAL_COLUMNS
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.outreach.recalls import keep_recall
from wardround.protocol.wire.recall import sign_recall
from wardround.protocol.wire.signing import new_key

GRACE = ("--person", "Grace Hopper", "--reason", "plain and kind")
IDA = ("--person", "Ida Rhodes", "--reason", "plain too")
ADA = ("--person", "Ada Byron", "--reason", "our campaign")
PLACEHOLDERS = {"first_name": 30, "date": 20, "place": 40, "time": 10}
SETTINGS = """
consents:
  contact: {purpose: reach, required: true}
  personalise: {purpose: choose, required: true}
hours: {first: 0, last: 24}
triggers:
  unconfirmed-visit: {when: booked, topic: screening, days: [0, 7], standard: [visit]}
"""
POLICY = """{alone: 30, values: {place: North},
  recipients: {texts: {form: csv, folder: texts, channels: [sms]},
    records: {form: fhir, folder: records, channels: [sms]}}}"""
Run = Callable[..., tuple[int, Any, str]]


def patient(number: int) -> str:
    """Name a patient."""
    return f"P-{number}"


def write_outreach(hospital: Hospital, patients: int = 12) -> None:
    """Write everything but proposals: each patient has a visit in two days, an SMS address, and said yes to contact."""
    folder = hospital.folder
    tables = "".join(f"  {name}: {{path: {name}.csv}}\n" for name in ("addresses", "appointments", "details"))
    text = (folder / "hospital.yaml").read_text()
    text = text.replace("tables:\n", f"patient: {{column: patient}}\ntables:\n{tables}", 1)
    (folder / "hospital.yaml").write_text(text)
    hospital.write_policy(outreach=POLICY)
    write_people(folder)
    (folder / "outreach.yaml").write_text(SETTINGS)
    for name in ("texts", "records"):
        (folder / name).mkdir()
    names = [patient(number) for number in range(1, patients + 1)]
    write_table(folder, "consents", "patient,kind,value,granted_at,withdrawn_at,expires_at",
                [f"{name},purpose,reach,2024-01-01,," for name in names])  # fmt: skip
    numbers = [f"{name},sms,+1555010{place:04d},2024-01-01" for place, name in enumerate(names, 1)]
    write_table(folder, "addresses", "patient,channel,address,since", numbers)
    write_table(
        folder, "appointments", "patient,starts_at,status", [f"{name},{visit()},booked" for name in names]
    )
    write_table(folder, "details", "patient,placeholder,value", [f"{name},first_name,Mia" for name in names])
    write_folder(folder / "content", text_of(), placeholders=PLACEHOLDERS)
    approve_content(hospital)


def text_of(**changes: object) -> str:
    """Write a module that is valid on whichever day this runs."""
    return module_text(valid_from="2024-01-01", valid_until="2099-12-31", **changes)


def approve_content(hospital: Hospital, name: str = "visit.en") -> None:
    """Approve a module as it stands."""
    content = read_folder(hospital.folder / "content")
    module = content.find(name)
    decision = ContentDecision(
        kind="approved", id=module.id, language=module.language, digest=module.digest, original="",
        guidelines=content.guidelines_digest, person="Grace Hopper", reason="kind", until=module.valid_until,
        time=datetime.now(UTC),
    )  # fmt: skip
    ContentApprovals(hospital.folder / "approvals", hospital.key.public).add(decision, hospital.key)


def write_table(folder: Path, name: str, head: str, rows: Sequence[str]) -> None:
    """Write a table."""
    (folder / f"{name}.csv").write_text("\n".join([head, *rows, ""]))


def visit() -> str:
    """Say when the visit is."""
    return f"{datetime.now(UTC).date() + timedelta(days=2)} 09:30"


def propose(hospital: Hospital, *numbers: int, **changes: object) -> None:
    """Put proposals into the journal, as ``outreach propose`` does, whose time is now."""
    home, now = load_home(hospital.folder), datetime.now(UTC)
    module = read_folder(home.content_folder).find("visit.en")
    rows = []
    for number in numbers:
        plain: dict[str, object] = {
            "token": token_of(patient(number), home.patients_key), "recipient": "patient",
            "trigger": "unconfirmed-visit", "occasion": visit().replace(" ", "T"), "topic": "screening",
            "module": module.name, "module_digest": module.digest, "standard": module.name, "channel": "sms",
            "send_after": as_text(now - timedelta(hours=1)), "send_before": as_text(now + timedelta(hours=10)),
            "arm": "", "propensity": 1.0, "population": "unknown", "made_at": as_text(now), "model": "", "contract": "",
            "stands_on": json.dumps({"contact": "consents"}), "reasons": json.dumps(["was late before"]),
            "options": "[]",
        }  # fmt: skip
        rows.append({**plain, **changes})
    with open_journal(hospital.folder) as journal:
        journal.propose(
            pl.DataFrame(rows).select(PROPOSAL_COLUMNS),
            pl.DataFrame(schema=dict.fromkeys(HELD_COLUMNS, pl.String)),
        )


def say_chosen_by(hospital: Hospital, model: str, terms: str, *ids: int) -> None:
    """Write into the journal that a model of these terms chose these proposals."""
    with sqlite3.connect(hospital.folder / "outreach.sqlite") as db:
        for one in ids:
            given = (model, json.dumps({"contact": "consents", "terms": terms}), one)
            db.execute("UPDATE proposals SET model = ?, stands_on = ? WHERE id = ?", given)
    db.close()


def record_recall(hospital: Hospital, model: str, terms: str) -> None:
    """Record that an operator recalled a model."""
    said = {"study": "tea", "terms": terms, "model": model, "day": date(2026, 5, 3)}
    recall = sign_recall(new_key(), **said, person="Dr. W", reason="inverted")
    keep_recall(hospital.folder / "recalls", recall)


def explored(hospital: Hospital, *ids: int, propensity: float = 0.5) -> None:
    """Let chance have drawn the modules of these proposals."""
    with sqlite3.connect(hospital.folder / "outreach.sqlite") as journal:
        for one in ids:
            values = (propensity, one)
            journal.execute("UPDATE proposals SET arm = 'explored', propensity = ? WHERE id = ?", values)
    journal.close()


def fill_disk(path: Path) -> None:
    """Let each new proposal of a journal fail as on a full disk, after which SQLite has rolled back by itself."""
    full = "SELECT RAISE(ROLLBACK, 'database or disk is full')"
    with sqlite3.connect(path) as other:
        other.execute(f"CREATE TRIGGER full BEFORE INSERT ON proposals BEGIN {full}; END")
    other.close()


def states(hospital: Hospital) -> dict[str, int]:
    """Count proposals by state, where there are any."""
    with open_journal(hospital.folder) as journal:
        return {state: count for state, count in journal.counts().items() if count}
