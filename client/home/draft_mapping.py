"""A mapping proposed for hospital.yaml (``init --from``), by names and declared types alone; no row is looked at."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from wardround.client.connectors.listing import list_files
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.odbc_access import OdbcAccess
from wardround.client.connectors.odbc_listing import list_odbc
from wardround.client.connectors.patient_form import patient_from_section
from wardround.client.connectors.postgres_listing import list_postgres, refuse_password
from wardround.client.connectors.table_place import LONGEST_PLACE
from wardround.client.home.draft_fhir import draft_fhir
from wardround.client.home.draft_tables import draft_tables
from wardround.client.home.mapping_draft import MappingDraft
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.section import Section
from wardround.protocol.text.text import is_line, visible


def draft_from_files(folder: Path, home: Path, contract: Contract | None) -> MappingDraft:
    """Propose a mapping of a folder's files; ``TableError`` where it cannot be read."""
    listed, faults = list_files(folder)
    named = [replace(one, name=place_in_home(folder / one.name, home)) for one in listed]
    found = draft_tables(named, "path", contract)
    return checked(replace(found, told=(*found.told, *(f"not looked at: {fault}" for fault in faults))), home)


def draft_from_postgres(uri: str, home: Path, contract: Contract | None) -> MappingDraft:
    """Propose a mapping of a PostgreSQL database; ConfigurationError where the address holds a password."""
    refuse_password(uri)
    if not is_line(uri, LONGEST_PLACE):
        raise ConfigurationError(
            f"postgresql: the address must be one line of at most {LONGEST_PLACE} characters"
        )
    found = draft_tables(list_postgres(uri), "table", contract)
    return checked(replace(found, tables={"postgresql": uri, **found.tables}), home)


def draft_from_odbc(
    access: OdbcAccess, plain: Mapping[str, str], home: Path, contract: Contract | None
) -> MappingDraft:
    """Propose a mapping of a database behind ODBC. plain: the section ``odbc`` that ``access`` was read from."""
    found = draft_tables(list_odbc(access, os.environ), "table", contract)
    return checked(replace(found, tables={"odbc": plain, **found.tables}), home)


def draft_from_fhir(folder: Path, home: Path, contract: Contract | None) -> MappingDraft:
    """Propose a mapping of a FHIR export by the names of its files; ``TableError`` where it cannot be read."""
    found = draft_fhir(folder, contract)
    return checked(replace(found, tables={"fhir": place_in_home(folder, home), **found.tables}), home)


def place_in_home(path: Path, home: Path) -> str:
    """Write a path as hospital.yaml has it: relative to the home where it is below it. ConfigurationError."""
    path, home = path.absolute(), home.absolute()
    place = str(path.relative_to(home)) if path.is_relative_to(home) else str(path)
    if not is_line(place, LONGEST_PLACE):
        raise ConfigurationError(
            f"{visible(place, 100)}: this path cannot stand in hospital.yaml; rename the file or folder"
        )
    return place


def checked(draft: MappingDraft, home: Path) -> MappingDraft:
    """Give the draft, if a home reads it; ConfigurationError else."""
    source_from_mapping(draft.tables, home)
    if draft.patient is not None:
        patient_from_section(Section(draft.patient, "patient"))
    return draft
