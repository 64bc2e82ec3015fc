"""``contract draft``: a contract to start with, from the names and types of columns; no value is looked at."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from wardround.client.commands.terminal import say
from wardround.client.connectors.files import columns_of
from wardround.client.connectors.kinds import Kind, kind_of_dtype
from wardround.client.connectors.source import TableSource
from wardround.client.home.contract_draft import Choices, Draft, draft_contract
from wardround.client.home.home import load_home
from wardround.protocol.errors import ConfigurationError, TableError
from wardround.protocol.files import write_new
from wardround.protocol.text.say import say_json

_TABLES = ("messages", "patients")


def run(options: Namespace) -> None:
    """Draft a contract into a new file; nothing is overwritten."""
    choices = _choices(options)
    if options.messages is None:
        tables, patient = _of_home(options)
        choices = replace(choices, patient=choices.patient or patient)
    else:
        files = {"messages": options.messages, "patients": options.patients}
        tables = {table: _columns(path, table) for table, path in files.items() if path is not None}
    draft = draft_contract(tables, choices)
    write_new(options.out, draft.text.encode(), 0o644)
    _answer(options, draft)


def _choices(options: Namespace) -> Choices:
    return Choices(
        name=options.name,
        purpose=options.purpose,
        patient=options.patient,
        decided_at=options.decided_at,
        outcome_at=options.outcome_at,
        label=options.label,
        engaged=tuple(options.engaged or ()),
        not_engaged=tuple(options.not_engaged or ()),
    )


def _columns(path: Path, table: str) -> Mapping[str, Kind]:
    try:
        return {name: kind_of_dtype(dtype) for name, dtype in columns_of(path).items()}
    except TableError as error:
        raise TableError(f"{table}: {error}") from None


def _of_home(options: Namespace) -> tuple[Mapping[str, Mapping[str, Kind]], str | None]:
    """Give the columns of the home's own tables, and the patient's, where hospital.yaml says it."""
    if options.patients is not None:
        raise ConfigurationError("--patients: only with a FILE of messages; a home names its tables itself")
    source = load_home(options.home).source
    patient = _contracts_patient(source)
    return {table: _mapped(source, table, patient) for table in _TABLES if source.has(table)}, patient


def _contracts_patient(source: TableSource) -> str | None:
    """Name the patient's column as the contract will: as the mapping renames it, or as the hospital does."""
    place = source.place("messages")
    own = place.patient.column
    return next((name for name, theirs in place.columns.items() if theirs == own), own)


def _mapped(source: TableSource, table: str, patient: str | None) -> Mapping[str, Kind]:
    """Give a table's columns: by the mapping's names where it has one, for a contract asks by those."""
    place, kinds = source.place(table), source.kinds(table)
    columns = dict(place.columns)
    if patient is not None and place.patient.column is not None:
        columns[patient] = place.patient.column
    named = {name: kinds[own] for name, own in columns.items() if own in kinds}
    others = {own: kind for own, kind in kinds.items() if own not in columns.values() and own not in named}
    return named | others


def _answer(options: Namespace, draft: Draft) -> None:
    contract = draft.contract
    if options.json:
        say_json(
            {"contract": str(options.out), "name": contract.name, "fingerprint": contract.fingerprint,
             "features": [f.name for f in contract.features], "untold": list(draft.untold)}
        )  # fmt: skip
        return
    say(f"A draft with {len(contract.features)} features in {options.out}; no value was looked at.", "")
    say("For you to decide:", *(f"  - {line}" for line in draft.untold))
