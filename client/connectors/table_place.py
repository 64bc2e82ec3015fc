"""One table of a mapping, read from settings: what every kind of source writes alike."""

from collections.abc import Mapping
from dataclasses import replace

from wardround.client.connectors.patient_form import PatientColumn
from wardround.client.connectors.source import TablePlace
from wardround.client.connectors.table_format import format_from_section
from wardround.protocol.text.section import Section

LONGEST_PLACE = 2000  # characters of a path or an address


def place_from_section(
    part: Section, name: str, columns: Mapping[str, str], patient: PatientColumn
) -> TablePlace:
    """Read values, format and patient; the caller has read where the table is and what its columns are called.

    ConfigurationError is one line that names the key. Other keys are the caller's, who also finishes the section.
    """
    values = part.section("values", {})
    return TablePlace(
        name,
        columns=columns,
        values={column: _words(values, column) for column in values.keys()},  # noqa: SIM118 (a Section is no mapping)
        format=format_from_section(part.section("format", {})),
        patient=replace(patient, column=part.optional_text("patient") or patient.column),
    )


def _words(values: Section, column: str) -> dict[str, str]:
    """Read a column's words. YAML takes an unquoted 1 for a number, and a code is most often one."""
    plain = values.value(column)
    if isinstance(plain, Mapping):
        plain = {str(word) if type(word) is int else word: meaning for word, meaning in plain.items()}
    section = Section(plain, f"{values.path}.{column}")
    return {word: section.text(word) for word in section.keys()}  # noqa: SIM118
