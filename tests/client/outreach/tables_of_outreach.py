"""A small hospital's tables for outreach, written as text; tests change what they are about."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.patient_form import PatientColumn, PatientForm
from wardround.client.connectors.source import TableSource
from wardround.client.outreach.triggers.settings import OutreachSettings, read_settings

HEADS = {
    "messages": "patient,sent,due,channel,topic,engaged",
    "patients": "patient,age,insurance",
    "consents": "patient,kind,value,granted_at,withdrawn_at,expires_at",
    "preferences": "patient,kind,value,wanted,said_at",
    "vetoes": "patient,reason,starts_at,ends_at",
    "addresses": "patient,channel,address,since",
    "appointments": "patient,starts_at,status",
    "recalls": "patient,kind,due_at,done_at",
    "assessments": "patient,risk,assessed_at",
    "interest": "patient,topic,seen_at",
    "authorisations": "patient,paid_by,topic,signed_at,revoked_at,expires_at",
    "details": "patient,placeholder,value",
    "care_teams": "patient,professional,channel,address",
}
PATIENT = PatientColumn(column="patient", form=PatientForm(form="text"))


def tables_of_outreach(folder: Path, zone: str = "UTC", **rows: str) -> TableSource:
    """Write these tables, rows without their head, and give the source; tables that are not named are not mapped."""
    folder.mkdir(exist_ok=True)
    named = {"messages": "", **rows}
    for table, text in named.items():
        body = "\n".join(line.strip() for line in text.strip().splitlines())
        (folder / f"{table}.csv").write_text(f"{HEADS[table]}\n{body}\n")
    plain: Mapping[str, object] = {table: {"path": f"{table}.csv"} for table in named}
    return source_from_mapping(plain, folder, zone, PATIENT)


def outreach_settings(text: str = "", contact: str = "", personalise: str = "") -> OutreachSettings:
    """Read settings whose consents are both required, but for what is said of them."""
    consents = f"consents:\n  contact: {{purpose: reach{contact}}}\n  personalise: {{purpose: choose{personalise}}}\n"
    return read_settings((consents + text).encode())


def people_of(*names: str) -> pl.DataFrame:
    """Give patients in this order."""
    return pl.DataFrame({"patient": names}, {"patient": pl.String}).with_row_index("index")
