"""Which of a source's tables and columns are the product's, told by their names and types; doubts are listed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wardround.client.connectors.compressed import plain_name
from wardround.client.connectors.listing import ListedTable
from wardround.client.connectors.source import OUTREACH_TABLES
from wardround.client.connectors.table_format import TableFormat
from wardround.client.connectors.table_place import LONGEST_PLACE
from wardround.client.home.mapping_draft import MappingDraft
from wardround.client.home.public_names import column_for, patient_columns, table_rank
from wardround.protocol.contract.contract import CONSENT_COLUMNS, TABLES, Contract
from wardround.protocol.text.text import is_line, visible

_PLACEHOLDER = {"path": "TODO_messages.csv", "table": "TODO_messages"}
_LEAST_ALIKE = 3  # columns by which a table is known whose name says nothing


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """A table of the product's. columns: the contract's name → the hospital's own, also where they are the same."""

    table: str
    listed: ListedTable
    columns: Mapping[str, str]
    missing: tuple[str, ...]
    patient: str | None


def draft_tables(found: Sequence[ListedTable], key: str, contract: Contract | None) -> MappingDraft:
    """Propose a mapping's tables. key: what a table's place is called, ``path`` or ``table``."""
    listed = [_writable(one) for one in found if is_line(one.name, LONGEST_PLACE)]
    own = contract.patient if contract else None
    untold: list[str] = []
    picked: dict[str, ListedTable] = {}
    for table in _looked_for(contract):
        free = [one for one in listed if one not in picked.values()]
        one, why = _pick(table, free, key, _wanted(table, contract), own)
        if one is not None:
            picked[table] = one
        elif _needed(table, contract) or (why and table in TABLES):
            untold.append(
                f"{table}: {why or f'no {_thing(key)} looks like it'}; write tables.{table} by hand"
            )
    column = _patient(picked.values(), own)
    chosen = [_choose(table, one, column, contract) for table, one in picked.items()]
    untold += _untold_columns(chosen)
    places = {one.table: _place(one, key, column, contract) for one in chosen}
    return MappingDraft(
        tables=places if "messages" in places else {"messages": {key: _PLACEHOLDER[key]}, **places},
        patient=None if column is None else {"column": column, "form": _form(chosen)},
        told=(*_told(chosen, column, contract), *_told_of_contract(contract)),
        untold=tuple(untold),
    )


def _looked_for(contract: Contract | None) -> tuple[str, ...]:
    tables = (
        tuple(t for t in TABLES if t != "arms")
        if contract is None
        else tuple(t for t in TABLES if contract.columns(t) or t == "consents")
    )
    return (*tables, *OUTREACH_TABLES)


def _needed(table: str, contract: Contract | None) -> bool:
    """Whether no study can run without it, as far as is known: consents are asked for unless a contract says not."""
    if table in ("messages", "consents"):
        return table == "messages" or contract is None or contract.needs_consents
    return table in TABLES and contract is not None and bool(contract.columns(table))


def _wanted(table: str, contract: Contract | None) -> tuple[str, ...]:
    """Columns of a table, beside the patient's identifier, as far as they are known."""
    if table in OUTREACH_TABLES:
        return OUTREACH_TABLES[table]
    if table == "consents":
        return CONSENT_COLUMNS
    return () if contract is None else tuple(c for c in contract.columns(table) if c != contract.patient)


def _pick(
    table: str, free: Sequence[ListedTable], key: str, wanted: Sequence[str], own: str | None
) -> tuple[ListedTable | None, str]:
    """Give the one table that it may be, by its name and then by its columns; or why there is no such one."""
    ranked = []
    for one in free:
        has_patient = bool(patient_columns(one.columns, own))
        # Without a column of the patient only equal names count: what is merely alike is too little to go by.
        known = sum(column_for(name, one.columns, surely=not has_patient) is not None for name in wanted)
        by_columns = table in TABLES and has_patient and known >= max(_LEAST_ALIKE, len(wanted) / 2)
        rank = table_rank(table, _base(one.name, key))
        if rank or by_columns:
            ranked.append((has_patient, rank, known, one))
    if not ranked:
        return None, ""
    best = max(place[:3] for place in ranked)
    first = [one for *place, one in ranked if tuple(place) == best]
    if len(first) == 1:
        return first[0], ""
    names = " and ".join(visible(one.name, 60) for one in first[:4])
    return None, f"{len(first)} look alike ({names})"


def _base(name: str, key: str) -> str:
    return name.rpartition(".")[2] if key == "table" else plain_name(Path(name)).rpartition(".")[0]


def _thing(key: str) -> str:
    return "file" if key == "path" else "table"


def _writable(one: ListedTable) -> ListedTable:
    """Leave out columns whose names cannot stand in hospital.yaml."""
    return replace(one, columns={name: kind for name, kind in one.columns.items() if is_line(name)})


def _patient(tables: Iterable[ListedTable], own: str | None) -> str | None:
    """Give the messages' column of the patient: of several, one that the most tables have."""
    listed = list(tables)
    candidates = patient_columns(listed[0].columns, own) if listed else []
    return max(candidates, key=lambda name: sum(name in one.columns for one in listed), default=None)


def _choose(table: str, listed: ListedTable, column: str | None, contract: Contract | None) -> _Chosen:
    own = contract.patient if contract else None
    candidates = patient_columns(listed.columns, own)
    patient = column if column in listed.columns else next(iter(candidates), None)
    others = [name for name in listed.columns if name != patient]
    columns: dict[str, str] = {}
    missing = []
    for name in _wanted(table, contract):
        taken = columns.values()
        free = [other for other in others if other not in taken]
        found = column_for(name, free, surely=patient is None)
        if found is None:
            missing.append(name)
        else:
            columns[name] = found
    return _Chosen(table=table, listed=listed, columns=columns, missing=tuple(missing), patient=patient)


def _form(chosen: Sequence[_Chosen]) -> str:
    """Say how identifiers are written: by the type that all tables declare, and text where they differ."""
    kinds = {one.listed.columns[one.patient] for one in chosen if one.patient is not None}
    # As a number, an identifier with a letter in one table would be nobody's there.
    return {frozenset({"uuid"}): "uuid", frozenset({"whole"}): "number"}.get(frozenset(kinds), "text")


def _place(one: _Chosen, key: str, column: str | None, contract: Contract | None) -> dict[str, object]:
    columns = dict(one.columns)
    if contract is not None and one.patient is not None and one.table in TABLES:
        columns = {contract.patient: one.patient, **columns}
    renamed = {name: own for name, own in columns.items() if name != own}
    place: dict[str, object] = {key: one.listed.name}
    if renamed:
        place["columns"] = renamed
    if form := _format(one.listed.format):
        place["format"] = form
    if one.patient is not None and one.patient != column:
        place["patient"] = one.patient
    return place


def _format(form: TableFormat) -> dict[str, object]:
    """Write down what the file says beside its cells, where it is not the usual."""
    found: dict[str, object] = {}
    if form.separator not in (None, ","):
        found["separator"] = "tab" if form.separator == "\t" else form.separator
    if form.encoding not in (None, "utf-8"):
        found["encoding"] = form.encoding
    return found


def _untold_columns(chosen: Sequence[_Chosen]) -> list[str]:
    lines = []
    for one in chosen:
        where = f"{one.table}: in {visible(one.listed.name, 100)}"
        if one.patient is None:
            key = "patient.column" if one.table == "messages" else f"tables.{one.table}.patient"
            lines.append(f"{where} no column looks like the patient's identifier; write {key} by hand")
        for name in one.missing:
            what = f"a consent's {name}" if one.table == "consents" else visible(name, 60)
            by_hand = f"write tables.{one.table}.columns by hand"
            lines.append(f"{where} no column looks like {what}; {by_hand}")
        for name, own in one.columns.items():
            if one.listed.columns[own] == "other":
                lines.append(
                    f"{where} {visible(own, 60)} looks like {visible(name, 60)}, but its type holds no single value; "
                    "name a view with a cast (docs/hospital-databases.md)"
                )
    return lines


def _told(chosen: Sequence[_Chosen], column: str | None, contract: Contract | None) -> list[str]:
    """List what was read off names that are not the contract's own; a person must look at each."""
    lines = []
    if column is not None:
        others = [
            name
            for name in patient_columns(chosen[0].listed.columns, contract.patient if contract else None)
            if name != column
        ]
        there = f" (there is {', '.join(visible(name, 60) for name in others)} too)" if others else ""
        lines.append(f"patient: {visible(column, 60)}; is it the patient's number, and not a visit's?{there}")
    for one in chosen:
        lines.append(f"{one.table}: {visible(one.listed.name, 100)}")
        lines += [
            f"{one.table}.{visible(name, 60)}: {visible(own, 60)}"
            for name, own in one.columns.items()
            if name != own
        ]
    return lines


def _told_of_contract(contract: Contract | None) -> list[str]:
    if contract is not None:
        return []
    return [
        "columns of messages and patients are not mapped: give --terms, or let doctor list what a study reads"
    ]
