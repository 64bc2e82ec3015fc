"""What may be proposed for hospital.yaml from names and types, and what a person must know of it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MappingDraft:
    """Sections of hospital.yaml, and what a person must know of them.

    tables, patient: as they are written; patient is None where no name says it. told: what was read off a name and may
    be wrong. untold: what nobody but a person can say, with what to write; studies wait for it.
    """

    tables: Mapping[str, object]
    patient: Mapping[str, str] | None
    told: tuple[str, ...]
    untold: tuple[str, ...]
