"""A small trial in a simulated home: appointments, a protocol, a journal, and an effect that is known."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import yaml

from tests.client.outreach.content.modules import module_text, write_folder
from wardround.client.home.home import load_home
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.outreach.journal.records import as_text
from wardround.client.outreach.journal.schema import HELD_COLUMNS, PROPOSAL_COLUMNS
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.outreach.measure.arms import drawn_arms

SIGNED_ON, MEASURED_ON = "2026-11-01T08:00:00+00:00", "2026-12-20T08:00:00+00:00"
PATIENTS = 900
PROTOCOL: dict[str, Any] = {
    "name": "attend",
    "question": "Do chosen messages help more patients to attend?",
    "kind": "improvement",
    "starts": "2026-11-02",
    "ends": "2026-11-30",
    "outcome": {
        "table": "appointments", "time": "starts_at", "column": "status",
        "yes": ["fulfilled"], "no": ["noshow"], "days": 14, "without": "leave_out",
    },
    "arms": {"standard": 0.5, "personalised": 0.5},
    "compare": ["personalised", "standard"],
    "size": {"share": 0.6, "difference": 0.2},
    "guardrails": {
        "cancellations": {
            "table": "appointments", "time": "starts_at", "where": {"status": ["cancelled"]}, "most_more": 0.02,
        },
    },
    "groups": {"age": {"table": "patients", "column": "age", "edges": [40]}},
}  # fmt: skip


def write_protocol(hospital: Any, **changes: Any) -> None:
    """Write protocol.yaml."""
    (hospital.folder / "protocol.yaml").write_text(yaml.safe_dump({**PROTOCOL, **changes}, sort_keys=False))


def set_date(hospital: Any, as_of: str) -> None:
    """Let the simulated home's clock stand at a time."""
    appointments = "  appointments: {path: appointments.csv}\n"
    hospital.configure(f"{appointments}simulation: {{seed: 1, as_of: {as_of}}}\n")


def begin_trial(hospital: Any) -> None:
    """Make the home a simulated one, with a module and an outreach.yaml."""
    hospital.become_simulated(1)
    set_date(hospital, SIGNED_ON)
    pl.DataFrame({"patient": [], "starts_at": [], "status": []}).write_csv(
        hospital.folder / "appointments.csv"
    )
    write_folder(hospital.folder / "content", module_text())
    hospital.run("begin")
    path = hospital.folder / "outreach.yaml"
    trigger = "{when: booked, topic: screening, days: [0, 30], standard: [visit], options: [visit-two]}"
    path.write_text(path.read_text().replace("triggers: {}", f"triggers:\n  visit: {trigger}"))


def write_outcomes(
    hospital: Any, seed: int = 3, effect: float = 0.25, cancelled: Mapping[str, float] | None = None
) -> None:
    """Propose something to everybody, and write what came of it. cancelled: share of each arm that cancels."""
    rng, names = np.random.default_rng(seed), [f"patient-{number}" for number in range(PATIENTS)]
    home = load_home(hospital.folder)
    arms = drawn_arms(names, home.patients_key, "attend", PROTOCOL["arms"])
    made = [
        datetime(2026, 11, 3, 9, tzinfo=UTC) + timedelta(days=int(day))
        for day in rng.integers(0, 27, PATIENTS)
    ]
    rows = [
        dict.fromkeys(PROPOSAL_COLUMNS, "")
        | {
            "token": token_of(name, home.patients_key), "recipient": "patient", "occasion": "one", "trigger": "visit",
            "arm": arm, "propensity": 1.0, "made_at": as_text(at), "stands_on": "{}", "reasons": "[]",
            "options": "[]", "send_after": as_text(at), "send_before": as_text(at),
        }
        for name, arm, at in zip(names, arms, made, strict=True)
    ]  # fmt: skip
    with open_journal(hospital.folder) as journal:
        journal.propose(pl.DataFrame(rows), pl.DataFrame(schema=dict.fromkeys(HELD_COLUMNS, pl.String)))
    visits = []
    for name, arm, at in zip(names, arms, made, strict=True):
        cancels = rng.random() < (cancelled or {}).get(arm, 0.05)
        for later in range(int(rng.integers(1, 3))):
            attends = rng.random() < 0.5 + effect * (arm == "personalised")
            status = "cancelled" if cancels else "fulfilled" if attends else "noshow"
            visits.append((name, (at + timedelta(days=2 + later)).strftime("%Y-%m-%d %H:%M:%S"), status))
    columns = ["patient", "starts_at", "status"]
    pl.DataFrame(visits, columns, orient="row").write_csv(hospital.folder / "appointments.csv")
    ages = pl.DataFrame({"patient": names, "age": [20 + number % 40 for number in range(PATIENTS)]})
    ages.write_csv(hospital.folder / "patients.csv")
    set_date(hospital, MEASURED_ON)
