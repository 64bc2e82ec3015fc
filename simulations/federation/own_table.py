"""Tables of a researcher's own (``data=table``): read as a hospital's are, split into hospitals by one column.

The same mapping as in hospital.yaml (``client.connectors.mapping``) says where the tables are, what their columns are
called and how their cells are written; here it stands in the settings ``data.*``.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from wardround.client.connectors import parsing
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.panic import panics_are_faults
from wardround.client.connectors.patient_form import PatientForm
from wardround.client.connectors.source import Tables, TableSource, with_words
from wardround.client.connectors.table_format import describe_format
from wardround.client.gate.events import identifier
from wardround.conf.settings import DataSettings
from wardround.protocol.contract.contract import HOSPITAL_COLUMN, TABLES, Contract
from wardround.protocol.errors import ConfigurationError, TableError
from wardround.simulations.federation.datasets import Dataset, split_by_hospital, whole_rows

_PATIENT = "patient:"


def source_of(data: DataSettings) -> TableSource:
    """Give the port to the tables; ConfigurationError names the setting ``data.…``."""
    try:
        return source_from_mapping(mapping_of(data), Path(), data.timezone)
    except ConfigurationError as error:
        text = str(error).replace("mapping.messages.path", "data.path").replace("mapping.messages", "data")
        raise ConfigurationError(text.replace("mapping.", "data.")) from None


def mapping_of(data: DataSettings) -> dict[str, object]:
    """Write the settings as the mapping of hospital.yaml; a table given by its path alone has the messages' format."""
    own: dict[str, object] = dict(data.mapping)
    messages: dict[str, object] = {key: own.pop(key) for key in ("columns", "values", "format") if key in own}
    mapping: dict[str, object] = {"messages": {"path": str(data.path), **messages}}
    shared: dict[str, object] = {"format": messages["format"]} if "format" in messages else {}
    for table, place in own.items():
        mapping[table] = {"path": place, **shared} if isinstance(place, str) else place
    return mapping


def read_own_tables(data: DataSettings, contract: Contract) -> Dataset:
    """Read what the contract asks for, with the hospital of each row.

    A table without the contract's hospital column speaks of its patients at every hospital. TableError names the
    faults of all tables at once.
    """
    if contract.hospital is None:
        raise TableError(
            f"contract {contract.name} names no hospital column to split {data.path} by; add hospital:"
        )
    source, faults = source_of(data), []
    frames: dict[str, pl.DataFrame] = {}
    for table in TABLES:
        try:
            found = _read(source, table, contract)
        except TableError as error:
            faults.append(str(error).replace("in the mapping", "in data.columns"))
            continue
        if found is not None:
            frames[table] = found
    if faults:
        raise TableError("; ".join(faults))
    return _split(frames, source, contract)


def how_read(source: TableSource) -> dict[str, str]:
    """Say in one line per table how its cells are read: what was set, what was sniffed, and the defaults."""
    there = [table for table in TABLES if source.has(table)]
    return {
        table: f"{Path(source.place(table).name).name}: {describe_format(source.format(table))}"
        for table in there
    }


def _read(source: TableSource, table: str, contract: Contract) -> pl.DataFrame | None:
    columns = contract.columns(table)
    needed = contract.needs_consents if table == "consents" else bool(columns)
    if not columns or not source.has(table):
        if needed and not source.has(table):
            raise TableError(f"{table}: contract {contract.name} needs this table; give data.{table}=PATH")
        return None
    place = source.place(table)
    try:
        with panics_are_faults():
            return with_words(_with_hospital(source, table, columns, contract), place).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        name = Path(place.name).name
        raise TableError(
            f"{table}: {name} cannot be read ({type(error).__name__}); look at the export"
        ) from None


def _with_hospital(
    source: TableSource, table: str, columns: tuple[str, ...], contract: Contract
) -> pl.LazyFrame:
    """Read the hospital's column too; only the messages must have it."""
    hospital = contract.hospital or ""
    both = tuple(dict.fromkeys((*columns, hospital)))
    if table == "messages":
        return source.read(table, both)
    try:
        return source.read(table, both)
    except TableError:
        # If something else was wrong, this second read says so again.
        return source.read(table, columns)


def _split(frames: Mapping[str, pl.DataFrame], source: TableSource, contract: Contract) -> Dataset:
    rows, set_aside = whole_rows(frames["messages"])
    whole = {table: _given_rows(frame) for table, frame in frames.items() if table != "messages"}
    hospital = contract.hospital or ""
    messages = split_by_hospital(rows, hospital)
    form = source.place("messages").patient.form
    who = _patient_of(messages, contract, form)
    owners = messages.select(who, HOSPITAL_COLUMN).drop_nulls().unique(maintain_order=True)
    parts = {"messages": messages}
    for table, frame in whole.items():
        if table == "consents":
            parts[table] = _consents_by_hospital(frame, hospital, owners)
        elif hospital in frame.columns:
            parts[table] = split_by_hospital(frame, hospital)
        else:
            named = frame.with_columns(_patient_of(frame, contract, form))
            # In order: Polars promises none for a join, and equal tables must give equal cohorts.
            parts[table] = named.join(owners, on=_PATIENT, how="inner", maintain_order="left").drop(_PATIENT)
    formats = {table: source.place(table).format for table in parts}
    tables = Tables(
        messages,
        parts.get("patients"),
        parts.get("consents"),
        parts.get("assessments"),
        parts.get("arms"),
        formats=formats,
        timezone=source.timezone,
        patient_form=form,
    )
    hospitals = tuple(sorted(messages[HOSPITAL_COLUMN].unique().to_list()))
    counted = {reason: number for reason, number in set_aside.items() if number}
    return Dataset(tables, hospitals, counted, {}, how_read(source))


def _consents_by_hospital(frame: pl.DataFrame, hospital: str, owners: pl.DataFrame) -> pl.DataFrame:
    """Split the consents; a row that names no hospital counts at every one.

    Never a join by patient: a withdrawal is heard by looser spellings too, and damaged rows have no identifier.
    """
    everywhere = owners.select(HOSPITAL_COLUMN).unique(maintain_order=True)
    if hospital not in frame.columns:
        return frame.join(everywhere, how="cross")
    named = parsing.is_given(hospital, frame.schema[hospital])
    split = split_by_hospital(frame.filter(named), hospital)
    elsewhere = frame.filter(~named).drop(HOSPITAL_COLUMN, strict=False).join(everywhere, how="cross")
    return pl.concat([split, elsewhere.select(split.columns)])


def _patient_of(frame: pl.DataFrame, contract: Contract, form: PatientForm) -> pl.Expr:
    return identifier(contract.patient, frame.schema, form).alias(_PATIENT)


def _given_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out rows in which no cell holds anything; a damaged row may still say who withdraws."""
    if frame.is_empty():
        return frame
    given = pl.any_horizontal(parsing.is_given(column, dtype) for column, dtype in frame.schema.items())
    return frame.filter(given)
