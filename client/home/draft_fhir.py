"""A mapping of a FHIR export, proposed by the names of its files and what FHIR says of each resource."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wardround.client.connectors.fhir import resources_of
from wardround.client.home.mapping_draft import MappingDraft
from wardround.client.home.public_names import column_for
from wardround.protocol.contract.contract import Contract
from wardround.protocol.text.text import visible

_SUBJECT = "subject.reference | id"


@dataclass(frozen=True, kw_only=True)
class _Resource:
    """What is publicly known of a resource. roles: paths of the contract's roles; paths: by usual names of columns."""

    patient: str
    roles: Mapping[str, str]
    paths: Mapping[str, str]
    engaged: tuple[str, ...] = ()
    not_engaged: tuple[str, ...] = ()


_MESSAGES = {
    "Appointment": _Resource(
        patient="participant.actor.reference[*=Patient/] | id",
        roles={"decided_at": "created", "outcome_at": "start", "label": "status"},
        paths={
            "topic": "serviceType.coding.code",
            "service": "serviceType.coding.code",
            "specialty": "specialty.coding.code",
            "visit_type": "appointmentType.coding.code",
            "reason": "reasonCode.coding.code",
            "minutes_duration": "minutesDuration",
        },
        engaged=("fulfilled",),
        not_engaged=("noshow",),
    ),
    "CommunicationRequest": _Resource(
        patient=_SUBJECT,
        roles={"decided_at": "authoredOn", "outcome_at": "occurrenceDateTime", "label": "status"},
        paths={"channel": "medium.coding.code", "topic": "category.coding.code", "priority": "priority"},
        engaged=("completed",),
        not_engaged=("revoked",),
    ),
    "Communication": _Resource(
        patient=_SUBJECT,
        roles={"decided_at": "sent", "outcome_at": "received", "label": "status"},
        paths={"channel": "medium.coding.code", "topic": "topic.coding.code", "priority": "priority"},
        engaged=("completed",),
        not_engaged=("not-done",),
    ),
}
_PATIENT = _Resource(
    patient="id",
    roles={},
    paths={
        "sex": "gender",
        "gender": "gender",
        "birth_date": "birthDate",
        "language": "communication.language.coding.code",
        "postal_code": "address.postalCode",
        "city": "address.city",
        "marital_status": "maritalStatus.coding.code",
    },
)
_ASSESSMENTS = _Resource(patient=_SUBJECT, roles={"assessed_at": "authored"}, paths={})
_TABLES: Mapping[str, Mapping[str, _Resource]] = {
    "messages": _MESSAGES,
    "patients": {"Patient": _PATIENT},
    "assessments": {"QuestionnaireResponse": _ASSESSMENTS},
}
_CONSENTS = (
    "consents: no name says what a code means, and a wrong guess would turn a refusal into a consent; write "
    "tables.consents by hand, as in {resource: Consent, columns: {patient: patient.reference | id}, "
    "meanings: {YOURCODE: {purpose: engagement}}}"
)


def draft_fhir(folder: Path, contract: Contract | None) -> MappingDraft:
    """Propose a mapping's tables; TableError where the folder holds no NDJSON file."""
    there = resources_of(folder)
    tables: dict[str, dict[str, object]] = {}
    told, untold = [], []
    for table, known in _TABLES.items():
        if not _is_read(table, contract):
            continue
        found = [name for name in known if name in there]
        if not found:
            untold.append(
                f"{table}: no file is named after {' or '.join(known)}; write tables.{table} by hand"
            )
        if found or table == "messages":  # without messages a mapping is none
            resource = (found or list(known))[0]
            tables[table], missing = _table(table, resource, known[resource], contract)
            if table != "messages":
                tables[table]["patient"] = known[resource].patient
            told += _told(table, resource, tables[table], found)
            untold += [
                f"{table}: no path of {resource} is known for {visible(name, 60)}; write tables.{table}.columns by hand"
                for name in missing
            ]
    if contract is None or contract.needs_consents:
        untold.append(_CONSENTS)
    messages = str(tables["messages"]["resource"])
    patient = {"column": _MESSAGES[messages].patient, "form": "text"}
    return MappingDraft(tables=tables, patient=patient, told=tuple(told), untold=tuple(untold))


def _is_read(table: str, contract: Contract | None) -> bool:
    return table != "assessments" if contract is None else bool(contract.columns(table))


def _told(table: str, resource: str, place: Mapping[str, object], found: list[str]) -> list[str]:
    """List what FHIR alone says of a table; a person must look at each."""
    also = f"; there is {' and '.join(found[1:])} too" if found[1:] else ""
    lines = [f"{table}: {resource}{also}"]
    columns, values = place["columns"], place.get("values")
    if isinstance(columns, Mapping):
        lines += [f"{table}.{visible(name, 60)}: {path}" for name, path in columns.items()]
    if values:
        lines.append(
            f"{table}: only finished ones are read (where), and their codes stand for the label's words"
        )
    return lines


def _table(
    table: str, resource: str, known: _Resource, contract: Contract | None
) -> tuple[dict[str, object], list[str]]:
    """Give a table's part of the mapping, and the contract's columns that have no path."""
    if contract is None:
        return {"resource": resource, "columns": {"patient": known.patient, **known.roles, **known.paths}}, []
    named = {contract.patient: known.patient, **_roles(table, known, contract)}
    others = [column for column in contract.columns(table) if column not in named]
    paths = {column: column_for(column, known.paths, surely=False) for column in others}
    named |= {column: known.paths[path] for column, path in paths.items() if path is not None}
    outcome = _outcome(known, contract) if table == "messages" else {}
    return {"resource": resource, "columns": named, **outcome}, [c for c in others if paths[c] is None]


def _outcome(known: _Resource, contract: Contract) -> dict[str, object]:
    """Keep the finished resources, and write the label's words for their codes."""
    label = contract.label
    codes = {
        **dict.fromkeys(known.engaged, label.engaged[0]),
        **dict.fromkeys(known.not_engaged, label.not_engaged[0]),
    }
    return {"where": {known.roles["label"]: list(codes)}, "values": {label.column: codes}}


def _roles(table: str, known: _Resource, contract: Contract) -> dict[str, str]:
    columns = {
        "decided_at": contract.decided_at,
        "outcome_at": contract.outcome_at,
        "label": contract.label.column,
        "assessed_at": contract.assessed_at,
    }
    return {
        column: path
        for role, path in known.roles.items()
        if (column := columns[role]) is not None and column in contract.columns(table)
    }
