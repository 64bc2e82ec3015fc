"""Under which name outreach asks a source for the patient's identifier in a table that contracts read too."""

from wardround.client.connectors.source import TableSource

PATIENT = "patient"


def identifier_name(source: TableSource, table: str) -> str:
    """Give the name: the mapping's for the hospital's own column, that column itself, or ``patient``."""
    place = source.place(table)
    own = place.patient.column
    if own is None:
        return PATIENT
    return next((name for name, theirs in place.columns.items() if theirs == own), own)
