"""The mapping: where a hospital's tables are, what its columns are called, and how its cells are written.

postgresql: postgresql:///clinic      # only if the tables are in PostgreSQL
odbc: DSN=clinic                      # only if they are in another database (client.connectors.odbc_access)
fhir: /data/export                    # only if they are FHIR resources (client.connectors.fhir_mapping)
messages:
  path: messages.csv.gz               # a file beside the mapping; in a database: table: public.messages
  columns: {PatientId: pat_no}        # the contract's name: the hospital's own, where they differ
  format: {separator: ";", decimal: ",", dates: DD/MM/YYYY}
  values: {sex: {1: F, 2: M}}         # the contract's name: the hospital's word: the contract's word
  patient: pat_no                     # only where it is another column than hospital.yaml says under `patient`
patients: {path: patients.parquet}
consents: {path: consents.csv}
preferences: {path: preferences.csv}  # for outreach alone, as vetoes, addresses (client.outreach.tables) and the tables
                                      # in which triggers look (client.outreach.triggers.events)
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from wardround.client.connectors.fhir_mapping import fhir_source
from wardround.client.connectors.files import FileSource
from wardround.client.connectors.odbc import OdbcSource
from wardround.client.connectors.odbc_access import odbc_access
from wardround.client.connectors.patient_form import ANY_COLUMN, PatientColumn
from wardround.client.connectors.postgres import PostgresSource
from wardround.client.connectors.source import OUTREACH_TABLES, TRIGGER_TABLES, TablePlace, TableSource
from wardround.client.connectors.table_place import LONGEST_PLACE, place_from_section
from wardround.protocol.contract.contract import TABLES
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.section import Section


def source_from_mapping(
    plain: Mapping[str, object],
    folder: Path,
    timezone: str = "UTC",
    patient: PatientColumn = ANY_COLUMN,
) -> TableSource:
    """Read a mapping; paths are relative to ``folder``. ConfigurationError is one line that names the key.

    timezone: the hospital's own, in which days begin and end. patient: who is one patient, for all tables.
    """
    section = Section(plain, "mapping")
    database = _database(section)
    if database == "fhir":
        return fhir_source(section, folder, timezone, patient)
    key = "path" if database is None else "table"
    uri = section.optional_text("postgresql", most=LONGEST_PLACE)
    access = odbc_access(section, folder) if database == "odbc" else None
    places = {
        table: _place(section.section(table), key, patient)
        for table in (*TABLES, *OUTREACH_TABLES, *TRIGGER_TABLES)
        if section.value(table, None) is not None
    }
    section.finish()
    for table in (OUTREACH_TABLES.keys() | TRIGGER_TABLES.keys()) & places.keys():
        places[table] = _of_outreach(places[table])
    if "messages" not in places:
        section.text("messages")  # raises, in the section's own words for a missing key
    if uri is not None:
        return PostgresSource(uri, places, timezone)
    if access is not None:
        return OdbcSource(access, places, os.environ, timezone)
    return FileSource(places, folder, timezone)


def _database(section: Section) -> str | None:
    """Name the one source that is given; None for files. ConfigurationError where there are two."""
    given = [key for key in ("postgresql", "odbc", "fhir") if section.value(key, None) is not None]
    if len(given) > 1:
        raise ConfigurationError(f"{section.path}: {' and '.join(given)} are both given; keep one of them")
    return given[0] if given else None


def _place(part: Section, key: str, patient: PatientColumn) -> TablePlace:
    name = part.text(key, most=LONGEST_PLACE)
    columns = part.section("columns", {})
    named = {column: columns.text(column) for column in columns.keys()}  # noqa: SIM118 (a Section is no mapping)
    place = place_from_section(part, name, named, patient)
    part.finish()
    return place


def _of_outreach(place: TablePlace) -> TablePlace:
    """Outreach's own name of the identifier is ``patient``, whatever contracts call it."""
    own = {} if place.patient.column is None else {"patient": place.patient.column}
    return replace(place, columns={**own, **place.columns})
