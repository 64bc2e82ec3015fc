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
from wardround.client.connectors.fhir_json import exact_resource, quick_reader
from wardround.client.connectors.fhir_path import FhirPath, kind_of_path, path_from_text
from wardround.client.connectors.kinds import Kind
from wardround.client.connectors.reached import unreached
from wardround.client.connectors.source import DAMAGED, MappedSource, TablePlace
from wardround.client.connectors.stream import lazy_frame
from wardround.protocol.contract.contract import CONSENT_COLUMNS
from wardround.protocol.errors import TableError
from wardround.protocol.files import paths_in

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
        try:
            paths = files_of(self.folder, place.name)
        except OSError as error:
            raise unreached(f"{table}: {self.folder}", error) from None
        if not paths:
            raise TableError(f"{table}: no .ndjson file of {place.name} in {self.folder}; correct the path")
        rows_of, key = self._reader(table, columns), self._key(table, columns[0])
        names = (*columns, DAMAGED)

        def read(_: list[str] | None) -> Iterator[pl.DataFrame]:
            rows: list[Row] = []
            try:
                for line in _lines(paths):
                    rows += _rows_of_line(line, rows_of, place.name, len(columns), key)
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

    def _reader(self, table: str, columns: tuple[str, ...]) -> Callable[[bytes], list[Row]]:
        """Give what makes rows of one line: one, none, or of a Consent one for each thing that it says."""
        name, kept, paths = self.places[table].name, self.tables[table], self._paths(table, columns)
        elements = {"resourceType", *(path.steps[0].name for path in (*paths.values(), *kept.where))}
        # An int that is 0 would pass for an element that is not there, and a grant whose period is broken for one
        # without a period. As a text it damages the row, which then withdraws.
        decode = exact_resource if kept.meanings else quick_reader(elements)
        where = tuple((path.first, allowed) for path, allowed in kept.where.items())
        finders = tuple(path.first for path in paths.values())

        def rows(line: bytes) -> list[Row]:
            resource = decode(line)
            if (named := resource.get("resourceType")) != name:
                if type(named) not in (str, int):
                    raise TypeError("no resource")
                return []
            for find, allowed in where:
                if find(resource) not in allowed:
                    return []
            if kept.meanings:
                return _rows_of_consent(resource, paths, kept.meanings, columns)
            return [(*[find(resource) for find in finders], None)]  # a path per column, in their order

        return rows

    def _paths(self, table: str, columns: tuple[str, ...]) -> dict[str, FhirPath]:
        """Parse the columns' paths, in the order of the columns; what a Consent's codes tell has none."""
        place, told = self.places[table], CONSENT_COLUMNS if self.tables[table].meanings else ()
        missing = [c for c in columns if c not in place.columns and c not in told]
        if missing:
            named = ", ".join(missing)
            raise TableError(
                f"{table}: columns without a path: {named}; give each one under columns in the mapping"
            )
        return {
            c: path_from_text(place.columns[c], f"{table}.columns.{c}") for c in columns if c in place.columns
        }


def files_of(folder: Path, resource: str) -> tuple[Path, ...]:
    """Give the files that a resource is named by, and those that name none; in the order of their names.

    None where there is no such folder; OSError where it cannot be read.
    """
    try:
        found = [path for path in paths_in(folder) if path.name.lower().endswith(_ENDS)]
    except NotADirectoryError:
        return ()
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


def _rows_of_consent(
    resource: Mapping[str, Any],
    paths: Mapping[str, FhirPath],
    meanings: Mapping[str, Meaning],
    columns: tuple[str, ...],
) -> list[Row]:
    cells = {column: path.first(resource) for column, path in paths.items()}
    if cells[columns[0]] is None:
        raise TypeError("a Consent of nobody")
    told = consent_rows(resource, meanings)
    return [(*[cells[c] if c in cells else getattr(row, c) for c in columns], None) for row in told]


def _rows_of_line(
    line: bytes, rows: Callable[[bytes], list[Row]], resource: str, width: int, key: str
) -> list[Row]:
    """Give a line's rows, each with a null for ``DAMAGED``; of a damaged one a row that holds whom it may name."""
    if not line.strip():
        return []
    try:
        if len(line) > LONGEST_LINE:
            raise ValueError("too long")
        return rows(line)
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
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pl.DataFrame([_series(name, cells) for name, cells in zip(names, columns, strict=True)])


def _series(name: str, cells: tuple[str | None, ...]) -> pl.Series:
    """Make a text column; a lone surrogate, which JSON can spell, becomes a question mark."""
    try:
        return pl.Series(name, cells, pl.String)
    except UnicodeEncodeError:
        return pl.Series(
            name, [cell and cell.encode("utf-8", "replace").decode() for cell in cells], pl.String
        )
