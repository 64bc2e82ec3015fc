"""The mapping: where a hospital's tables are, and what its columns are called.

postgresql: postgresql:///clinic      # only if the tables are in PostgreSQL
messages:
  path: messages.csv.gz               # a file beside the mapping; with PostgreSQL: table: public.messages
  columns: {PatientId: pat_no}        # the contract's name: the hospital's own, where they differ
patients: {path: patients.parquet}
consents: {path: consents.csv}
"""

from collections.abc import Mapping
from pathlib import Path

from wardround.client.connectors.postgres import PostgresSource
from wardround.client.connectors.source import FileSource, TableSource
from wardround.protocol.contract.contract import TABLES
from wardround.protocol.text.section import Section

_LONGEST_PLACE = 2000  # characters of a path or an address


def source_from_mapping(plain: Mapping[str, object], folder: Path) -> TableSource:
    """Read a mapping; paths are relative to ``folder``. ConfigurationError is one line that names the key."""
    section = Section(plain, "mapping")
    uri = section.optional_text("postgresql", most=_LONGEST_PLACE)
    key = "path" if uri is None else "table"
    places: dict[str, str] = {}
    renames: dict[str, dict[str, str]] = {}
    for table in TABLES:
        if section.value(table, None) is None:
            continue
        part = section.section(table)
        places[table] = part.text(key, most=_LONGEST_PLACE)
        columns = part.section("columns", {})
        renames[table] = {name: columns.text(name) for name in columns.keys()}  # noqa: SIM118 (no mapping)
        part.finish()
    section.finish()
    if "messages" not in places:
        section.text("messages")
    if uri is not None:
        return PostgresSource(uri, places, renames)
    return FileSource({table: folder / place for table, place in places.items()}, renames)
