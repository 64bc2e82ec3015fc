"""A folder of FHIR R4 or R4B resources, one a line, as Bulk Data exports write them (NDJSON, also ``.gz``).

Each line is read by itself, so that a broken one is one damaged row. A mapping names a resource per table, and a path
(``fhir_path``) per contract's column. Lines of other resources are passed over.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from wardround.client.connectors.compressed import opened
from wardround.client.connectors.fhir_consent import Meaning, consent_rows
from wardround.client.connectors.fhir_json import exact_resource, quick_resource
from wardround.client.connectors.fhir_path import FhirPath, kind_of_path, path_from_text
from wardround.client.connectors.kinds import Kind
from wardround.client.connectors.source import DAMAGED, MappedSource, TablePlace
from wardround.client.connectors.stream import lazy_frame
from wardround.protocol.contract.contract import CONSENT_COLUMNS
from wardround.protocol.errors import TableError

LONGEST_LINE = 4_000_000
"""Bytes of one resource; a longer line is damaged."""
RESOURCES = (
    "Patient", "Appointment", "AppointmentResponse", "Communication", "CommunicationRequest", "Consent",
    "QuestionnaireResponse", "Observation",
)  # fmt: skip
_NAMES = {name: re.compile(rf"(?<![A-Za-z]){name}(?![A-Za-z])") for name in RESOURCES}
_BATCH_ROWS = 20_000
# JSON may write a slash as \/.
_NAMED = re.compile(rb"Patient\\?/([A-Za-z0-9\-.]{1,64})")
_OWN_NAME = re.compile(rb"\"id\"\s*:\s*\"([A-Za-z0-9\-.]{1,64})")
_ENDS = (".ndjson", ".ndjson.gz")
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class FhirTable:
    """One table: its resource, what must hold of a resource (path → allowed texts), and what a Consent's codes mean."""

    where: Mapping[FhirPath, tuple[str, ...]] = field(default_factory=dict)
    meanings: Mapping[str, Meaning] = field(default_factory=dict)


@dataclass(frozen=True)
class FhirSource(MappedSource):
    """places: named as a resource; their columns are paths. folder: the export, all of it."""

    folder: Path
    places: Mapping[str, TablePlace]
    tables: Mapping[str, FhirTable]
    timezone: str = "UTC"

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """Name the files that may hold each table's resources."""
        return {table: files_of(self.folder, place.name) for table, place in self.places.items()}

    def kinds(self, table: str) -> dict[str, Kind]:
        """Say what each path finds, by the name of its last step."""
        return {path: kind_of_path(path) for path in self.places[table].columns.values()}

    def snapshot(self) -> "FhirSource":
        """Give the files as they are: an export has a folder of its own."""
        return self

    def read(self, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
        """Read the resources, every cell as text, a batch at a time; TableError where there is no file of them."""
        place = self.places[table]
        paths = files_of(self.folder, place.name)
        if not paths:
            raise TableError(f"{table}: no .ndjson file of {place.name} in {self.folder}; correct the path")
        rows_of, key = self._reader(table, columns), self._key(table, columns[0])
        # An int that is 0 would pass for an element that is not there, and a grant whose period is broken for one
        # without a period. As a text it damages the row, which then withdraws.
        decode = exact_resource if self.tables[table].meanings else quick_resource
        names = (*columns, DAMAGED)

        def read(_: list[str] | None) -> Iterator[pl.DataFrame]:
            rows: list[Row] = []
            try:
                for line in _lines(paths):
                    rows += _rows_of_line(line, decode, place.name, rows_of, len(columns), key)
                    if len(rows) >= _BATCH_ROWS:
                        yield _frame(rows, names)
                        rows = []
            except TableError as error:
                raise TableError(f"{table}: {error}") from None
            yield _frame(rows, names)

        return lazy_frame(pl.Schema(dict.fromkeys(names, pl.String())), read)

    def _key(self, table: str, patient: str) -> str:
        """Name the element that holds the patient's identifier; empty where a reference does."""
        path = path_from_text(self.places[table].columns[patient], table)
        return "" if path.of_reference else path.steps[-1].name

    def _reader(self, table: str, columns: tuple[str, ...]) -> Callable[[Mapping[str, Any]], list[Row]]:
        """Give what makes rows of one resource: one, none, or of a Consent one for each thing that it says."""
        place, kept = self.places[table], self.tables[table]
        missing = [
            c for c in columns if c not in place.columns and not (kept.meanings and c in CONSENT_COLUMNS)
        ]
        if missing:
            named = ", ".join(missing)
            raise TableError(
                f"{table}: columns without a path: {named}; give each one under columns in the mapping"
            )
        paths = {
            c: path_from_text(place.columns[c], f"{table}.columns.{c}") for c in columns if c in place.columns
        }

        where, finders = tuple(kept.where.items()), tuple(path.first for path in paths.values())

        def rows(resource: Mapping[str, Any]) -> list[Row]:
            for path, allowed in where:
                if path.first(resource) not in allowed:
                    return []
            if not kept.meanings:  # every column has a path, in the order of the columns
                return [tuple([find(resource) for find in finders])]
            cells = {column: path.first(resource) for column, path in paths.items()}
            if cells[columns[0]] is None:
                raise TypeError("a Consent of nobody")
            told = consent_rows(resource, kept.meanings)
            return [tuple([cells[c] if c in cells else getattr(row, c) for c in columns]) for row in told]

        return rows


def files_of(folder: Path, resource: str) -> tuple[Path, ...]:
    """Give the files that a resource is named by, and those that name none; in the order of their names."""
    found = sorted(path for path in folder.glob("*") if path.name.lower().endswith(_ENDS))
    others = [_NAMES[other] for other in RESOURCES if other != resource]
    return tuple(path for path in found if not any(other.search(path.name) for other in others))


def resources_of(folder: Path) -> tuple[str, ...]:
    """Name the resources that files of an export are named after; TableError where it has no file."""
    try:
        names = [path.name for path in folder.iterdir() if path.name.lower().endswith(_ENDS)]
    except OSError as error:
        raise TableError(
            f"{folder}: cannot be read ({error.strerror}); name a folder of .ndjson files"
        ) from None
    if not names:
        raise TableError(f"{folder}: no .ndjson file is there; name the folder of the export")
    return tuple(resource for resource, form in _NAMES.items() if any(map(form.search, names)))


def _rows_of_line(
    line: bytes,
    decode: Callable[[bytes], Any],
    resource: str,
    rows: Callable[[Mapping[str, Any]], list[Row]],
    width: int,
    key: str,
) -> list[Row]:
    """Give a line's rows, each with a null for ``DAMAGED``; of a damaged one a row that holds whom it may name."""
    if not line.strip():
        return []
    try:
        if len(line) > LONGEST_LINE:
            raise ValueError("too long")
        plain = decode(line)
        if (named := plain.get("resourceType")) != resource:
            if type(named) not in (str, int):
                raise TypeError("no resource")
            return []
        return [(*row, None) for row in rows(plain)]
    # RecursionError: a line of thousands of brackets. It damages its own row, as all other nonsense does.
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return [(*(None,) * width, "\n".join(_possible_names(line[:LONGEST_LINE], resource, key)))]


def _possible_names(line: bytes, resource: str, key: str) -> list[str]:
    """Give whom a broken line may name. key: the element that holds the identifier, where no reference does."""
    found = (_OWN_NAME if resource == "Patient" else _NAMED).findall(line)
    if key:
        found += re.findall(rb'"%s"\s*:\s*"((?:[^"\\]|\\.){1,200})"' % key.encode(), line)
    return list(dict.fromkeys(" ".join(name.decode("utf-8", "replace").split()) for name in found))


def _lines(paths: tuple[Path, ...]) -> Iterator[bytes]:
    """Yield lines of bounded length: of a longer one its beginning, and nothing of the rest."""
    for path in paths:
        with opened(path) as file:
            while line := file.readline(LONGEST_LINE + 1):
                yield line
                while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                    line = file.readline(LONGEST_LINE + 1)


def _frame(rows: list[Row], names: tuple[str, ...]) -> pl.DataFrame:
    """Make text columns; a lone surrogate, which JSON can spell, becomes a question mark."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pl.DataFrame(
        [pl.Series(name, _encodable(cells), pl.String) for name, cells in zip(names, columns, strict=True)]
    )


def _encodable(cells: tuple[str | None, ...]) -> list[str | None]:
    try:
        "".join(cell for cell in cells if cell).encode()
    except UnicodeEncodeError:
        return [cell and cell.encode("utf-8", "replace").decode() for cell in cells]
    return list(cells)
