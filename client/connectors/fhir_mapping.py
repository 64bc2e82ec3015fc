"""The mapping of a FHIR export: a resource and paths per table, and what the codes of Consents mean.

fhir: /data/export
messages:
  resource: Appointment
  columns: {patient: "participant.actor.reference[*=Patient/] | id", due: start, opened: status}
  where: {status: [fulfilled, noshow]}
  values: {opened: {fulfilled: "1", noshow: "0"}}      # a terminology map: the export's code: the contract's word
consents:
  resource: Consent
  columns: {patient: patient.reference | id}
  meanings: {HMARKT: {purpose: engagement}, wearables: {source: wearables}, TREAT: other}
"""

from pathlib import Path

from wardround.client.connectors.fhir import RESOURCES, FhirSource, FhirTable
from wardround.client.connectors.fhir_consent import OTHER, Meaning
from wardround.client.connectors.fhir_path import path_from_text
from wardround.client.connectors.patient_form import PatientColumn
from wardround.client.connectors.source import OUTREACH_TABLES, TRIGGER_TABLES, TablePlace
from wardround.client.connectors.table_place import LONGEST_PLACE, place_from_section
from wardround.protocol.contract.contract import TABLES
from wardround.protocol.text.section import Section

_KINDS = ("purpose", "topic", "source")


def fhir_source(section: Section, folder: Path, timezone: str, patient: PatientColumn) -> FhirSource:
    """Read a mapping with ``fhir``; paths are relative to ``folder``. ConfigurationError is one line."""
    export = folder / section.text("fhir", most=LONGEST_PLACE)
    named = (*TABLES, *OUTREACH_TABLES, *TRIGGER_TABLES)
    parts = {table: section.section(table) for table in named if section.value(table, None) is not None}
    section.finish()
    if "messages" not in parts:
        section.text("messages")  # raises, in the section's own words for a missing key
    tables, places = {}, {}
    for table, part in parts.items():
        tables[table] = _table(part, table)
        places[table] = _place(part, patient)
        part.finish()
    return FhirSource(export, places, tables, timezone)


def _place(part: Section, patient: PatientColumn) -> TablePlace:
    columns = part.section("columns")
    paths = {column: columns.text(column, most=LONGEST_PLACE) for column in columns.keys()}  # noqa: SIM118
    for column, path in paths.items():
        path_from_text(path, f"{columns.path}.{column}")
    return place_from_section(part, part.choice("resource", RESOURCES), paths, patient)


def _table(part: Section, table: str) -> FhirTable:
    where, meanings = part.section("where", {}), part.section("meanings", {})
    needed = table == "consents" and part.value("resource", None) == "Consent"
    if needed and not meanings.keys():
        raise part.fail("meanings", "must say what the codes mean, as in {HMARKT: {purpose: engagement}}")
    return FhirTable(
        where={path_from_text(path, where.path): where.texts(path) for path in where.keys()},  # noqa: SIM118
        meanings={code: _meaning(meanings, code) for code in meanings.keys()} if needed else {},  # noqa: SIM118
    )


def _meaning(meanings: Section, code: str) -> Meaning:
    if meanings.value(code) == "other":
        return OTHER
    section = meanings.section(code)
    kinds = [kind for kind in _KINDS if section.has(kind)]
    if len(kinds) != 1:
        raise meanings.fail(code, "must be other, or one of purpose, topic, source with its value")
    meaning = (kinds[0], section.text(kinds[0]))
    section.finish()
    return meaning
