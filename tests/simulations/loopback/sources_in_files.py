"""A hospital whose tables are a FHIR export, and one whose tables are sheets of an Excel file.

Each writes the same invented tables in its own words, and gives what stands in its hospital.yaml.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import xlsxwriter

ZONE = "Europe/Madrid"
PURPOSE = "patient_engagement"
Rows = Mapping[str, pl.DataFrame]
Row = dict[str, Any]


@dataclass(frozen=True)
class OwnTables:
    """A hospital's tables, where they are. settings: of hospital.yaml. opt_out: has these patients withdraw."""

    settings: Mapping[str, Any]
    opt_out: Callable[[Sequence[str]], None]


OWN = "urn:clinic:"
MEDIA = {"SMSWRIT": "sms", "EMAILWRIT": "email", "WRITTEN": "portal", "PHONE": "phone"}
TONGUES = {"en": "english", "es": "spanish", "fr": "other"}
YES_NO = {"true": "1", "false": "0"}
TOPICS = ("screening", "appointment_reminder", "medication_refill", "chronic_care", "maternity", "wellness")


def extension(name: str, kind: str) -> str:
    return f"extension[url={OWN}{name}].value{kind}"


FHIR = {
    "messages": {
        "resource": "Communication",
        "patient": "subject.reference | id",
        "columns": {
            "patient": "subject.reference | id",
            "decided_at": "sent",
            "outcome_at": extension("window", "Date"),
            "topic": f"topic.coding[system={OWN}topics].code",
            "channel": "medium.coding.code",
            "tone": extension("tone", "Code"),
            "length": extension("length", "Code"),
            "has_link": extension("link", "Boolean"),
            "engaged": extension("engaged", "Boolean"),
        },
        "where": {"status": ["completed"]},
        "values": {"channel": MEDIA, "engaged": YES_NO},
    },
    "patients": {
        "resource": "Patient",
        "columns": {
            "patient": "id",
            "age": extension("age", "Integer"),
            "sex": "gender",
            "language": "communication.language.coding.code",
            "insurance": extension("insurance", "Code"),
            "employment": extension("employment", "Code"),
            "diabetes": extension("diabetes", "Boolean"),
            "hypertension": extension("hypertension", "Boolean"),
            "distance_km": extension("distance", "Decimal"),
            "daily_steps": extension("steps", "Integer"),
        },
        "values": {"sex": {"female": "F", "male": "M"}, "language": TONGUES},
    },
    "consents": {
        "resource": "Consent",
        "patient": "patient.reference | id",
        "columns": {"patient": "patient.reference | id"},
        "meanings": {
            "PATENGAGE": {"purpose": PURPOSE},
            "BILLING": "other",
            **{f"{OWN}topics|{topic}": {"topic": topic} for topic in TOPICS},
            f"{OWN}sources|wearable": {"source": "wearable"},
        },
    },
}


def in_fhir(folder: Path, tables: Rows) -> OwnTables:
    """Write an export; opt-outs are Consents that are now inactive, or new ones that deny."""
    folder.mkdir()
    consents = [one for row in tables["consents"].iter_rows(named=True) for one in _consents(row)]
    _write_lines(
        folder / "Communication.ndjson", map(_communication, tables["messages"].iter_rows(named=True))
    )
    _write_lines(folder / "Patient.ndjson", map(_patient, tables["patients"].iter_rows(named=True)))
    _write_lines(folder / "Consent.ndjson", consents)

    def opt_out(patients: Sequence[str]) -> None:
        ended = {f"Patient/{patient}" for patient in patients[::2]}
        now = [
            {**one, "status": "inactive"} if one["patient"]["reference"] in ended else one for one in consents
        ]
        today = datetime.now(ZoneInfo(ZONE)).date().isoformat()
        now += [_consent(patient, "deny", today, "purpose", "PATENGAGE") for patient in patients[1::2]]
        _write_lines(folder / "Consent.ndjson", now)

    return OwnTables({"patient": {"column": "id"}, "tables": {"fhir": str(folder), **FHIR}}, opt_out)


def _communication(row: Row) -> Row:
    sent = datetime.fromisoformat(row["decided_at"]).replace(tzinfo=ZoneInfo(ZONE))
    return {
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"reference": f"https://ehr.example/fhir/Patient/{row['patient']}"},
        "sent": sent.isoformat(),
        "topic": {
            "coding": [{"system": "urn:else", "code": "x"}, {"system": f"{OWN}topics", "code": row["topic"]}]
        },
        "medium": [{"coding": [{"code": _word(MEDIA, row["channel"])}]}],
        "extension": [
            _own("window", "Date", row["outcome_at"]),
            _own("tone", "Code", row["tone"]),
            _own("length", "Code", row["length"]),
            _own("link", "Boolean", row["has_link"] == "1"),
            _own("engaged", "Boolean", row["engaged"] == "1"),
        ],
    }


def _patient(row: Row) -> Row:
    told = [
        ("age", "Integer", row["age"] and int(row["age"])),
        ("insurance", "Code", row["insurance"]),
        ("employment", "Code", row["employment"]),
        ("diabetes", "Boolean", row["diabetes"] and row["diabetes"] == "1"),
        ("hypertension", "Boolean", row["hypertension"] and row["hypertension"] == "1"),
        ("distance", "Decimal", row["distance_km"] and float(row["distance_km"])),
        ("steps", "Integer", row["daily_steps"] and int(row["daily_steps"])),
    ]
    plain = {"resourceType": "Patient", "id": row["patient"]}
    plain["extension"] = [_own(*one) for one in told if one[2] is not None]
    if row["sex"] is not None:
        plain["gender"] = {"F": "female", "M": "male"}[row["sex"]]
    if row["language"] is not None:
        plain["communication"] = [{"language": {"coding": [{"code": _word(TONGUES, row["language"])}]}}]
    return plain


def _consents(row: Row) -> Iterator[Row]:
    about = {
        "purpose": ("purpose", "PATENGAGE" if row["value"] == PURPOSE else "BILLING", None),
        "topic": ("code", row["value"], f"{OWN}topics"),
        "source": ("code", row["value"], f"{OWN}sources"),
    }[row["kind"]]
    yield _consent(row["patient"], "permit", row["granted_at"], *about, ends=row["expires_at"])
    if row["withdrawn_at"] is not None:
        yield _consent(row["patient"], "deny", row["withdrawn_at"], *about)


def _consent(
    patient: str,
    kind: str,
    day: str,
    element: str,
    code: str,
    system: str | None = None,
    ends: str | None = None,
) -> Row:
    coding = {"code": code} if system is None else {"system": system, "code": code}
    provision: Row = {"type": kind, element: [coding if element == "purpose" else {"coding": [coding]}]}
    return {
        "resourceType": "Consent",
        "status": "active",
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": day,
        "provision": provision if ends is None else {**provision, "period": {"end": ends}},
    }


def _own(name: str, kind: str, value: object) -> Row:
    return {"url": f"{OWN}{name}", f"value{kind}": value}


def _word(words: Mapping[str, str], meaning: str) -> str:
    return next(word for word, meant in words.items() if meant == meaning)


def _write_lines(path: Path, resources: Iterator[Row] | Sequence[Row]) -> None:
    part = path.with_suffix(".part")  # an agent may be reading
    part.write_text("".join(json.dumps(one) + "\n" for one in resources), encoding="utf-8")
    part.replace(path)


SHEETS: dict[str, tuple[str, dict[str, str]]] = {
    "messages": (
        "Nachrichten",
        {
            "patient": "Fallnr", "decided_at": "Gesendet", "outcome_at": "Frist", "topic": "Thema",
            "channel": "Kanal", "tone": "Ton", "length": "Umfang", "has_link": "Link", "engaged": "Reaktion",
        },
    ),
    "patients": (
        "Patienten",
        {
            "patient": "Fallnr", "age": "Alter", "sex": "Geschlecht", "language": "Sprache",
            "insurance": "Kasse", "employment": "Arbeit", "diabetes": "Diabetes",
            "hypertension": "Hochdruck", "distance_km": "Weg", "daily_steps": "Schritte",
        },
    ),
    "consents": (
        "Einwilligungen",
        {
            "patient": "Fallnr", "kind": "Art", "value": "Wozu", "granted_at": "Seit",
            "withdrawn_at": "Widerrufen", "expires_at": "Bis",
        },
    ),
}  # fmt: skip
GERMAN = {
    "sex": {"w": "F", "m": "M"},
    "channel": {"SMS": "sms", "Mail": "email", "Portal": "portal", "Telefon": "phone"},
    "engaged": {"ja": "1", "nein": "0"},
    "kind": {"Zweck": "purpose", "Thema": "topic", "Quelle": "source"},
}
NUMBERS, YES_OR_NO = ("age", "daily_steps"), ("has_link", "diabetes", "hypertension")


def in_excel(path: Path, tables: Rows) -> OwnTables:
    """Write a workbook; an opt-out is one more line of its last sheet, typed by hand."""
    _write_workbook(path, tables, [])

    def opt_out(patients: Sequence[str]) -> None:
        today = f"{datetime.now(ZoneInfo(ZONE)):%d.%m.%Y}"
        spelled = [patient.lower().replace("-", " ") for patient in patients]
        _write_workbook(path, tables, [(one, "Zweck", PURPOSE, "", today, "") for one in spelled])

    mapping = {
        table: {
            "path": str(path),
            "columns": names,
            "format": {"sheet": sheet, "decimal": ",", "dates": "DD.MM.YYYY"},
            "values": {column: words for column, words in GERMAN.items() if column in names},
        }
        for table, (sheet, names) in SHEETS.items()
    }
    return OwnTables({"patient": {"column": "Fallnr", "case": "fold"}, "tables": mapping}, opt_out)


def _write_workbook(path: Path, tables: Rows, typed: list[tuple[str, ...]]) -> None:
    part = path.with_name(f"part-{path.name}")
    with xlsxwriter.Workbook(part) as book:
        shown = [book.add_format({"num_format": form}) for form in ("dd.mm.yyyy hh:mm", "dd.mm.yyyy")]
        for table, (name, columns) in SHEETS.items():
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, list(columns.values()))
            for line, row in enumerate(tables[table].iter_rows(named=True), start=1):
                for place, column in enumerate(columns):
                    if row[column] is not None:
                        _write_cell(sheet, line, place, column, row[column], shown)
        for line, cells in enumerate(typed, start=1 + len(tables["consents"])):
            sheet.write_row(line, 0, cells)
    part.replace(path)


def _write_cell(sheet: Any, line: int, place: int, column: str, cell: str, shown: Sequence[Any]) -> None:
    """Numbers as numbers, times as Excel's, distances as a German types them."""
    if column == "decided_at":
        sheet.write_datetime(line, place, datetime.fromisoformat(cell), shown[0])
    elif column.endswith("_at"):
        sheet.write_datetime(line, place, date.fromisoformat(cell), shown[1])
    elif column in NUMBERS:
        sheet.write_number(line, place, int(cell))
    elif column in YES_OR_NO:
        sheet.write_boolean(line, place, cell == "1")
    elif column in GERMAN:
        sheet.write_string(line, place, _word(GERMAN[column], cell))
    else:
        sheet.write_string(line, place, cell.replace(".", ",") if column == "distance_km" else cell)
