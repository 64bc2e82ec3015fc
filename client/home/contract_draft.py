"""A contract to start with, drafted from names and types of columns and from public knowledge; never from values.

Bins that were read off a table would leak it. So a column becomes a feature only where its name, or its type, says what
it is and the public bins for that are known here: ages, distances, channels, days of the week. All else is listed for
a person to decide. What is drafted is a whole contract (``contract_from_mapping`` reads it), with the guesses marked.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from wardround.client.connectors.kinds import Kind
from wardround.client.home.classifications import codes_of
from wardround.protocol.contract.contract import CONSENT_COLUMNS, Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.plain import read_yaml
from wardround.protocol.text.text import visible

_READ_AS: Mapping[Kind, Kind] = {"whole": "number", "uuid": "text"}
_PATIENT = ("patient", "patientid", "person", "personid", "subject", "mrn", "pat", "patno", "patientno")
_DECIDED = ("decided", "sent", "booked", "scheduled", "reminded", "invited", "created")
_OUTCOME = ("outcome", "due", "appointment", "visit", "supply", "window", "start")
_LABEL = (
    "attended",
    "engaged",
    "opened",
    "came",
    "showed",
    "refilled",
    "response",
    "status",
    "outcome",
    "label",
)
_DATED = ("at", "on", "day", "date", "time", "datetime", "when", "scheduledday", "appointmentday")
_NUMBERS: Mapping[str, tuple[tuple[float, ...], tuple[float, float]]] = {
    "age": ((18, 40, 65, 80), (0, 120)),
    "distance": ((2, 5, 10, 25), (0, 1000)),
    "attempt": ((2, 3), (1, 100)),
    "steps": ((4000, 8000), (0, 100_000)),
    "children": ((1, 2, 3), (0, 20)),
}
_WORDS: Mapping[str, tuple[str, ...]] = {
    "sex": ("F", "M"),
    "gender": ("F", "M"),
    "channel": ("sms", "email", "phone", "portal", "letter"),
    "tone": ("plain", "warm", "urgent"),
    "length": ("short", "medium", "long"),
}
_IN_ORDER = ("length",)
"""Of these, the words that have an order, and stand in it."""
_TRUTHS = (
    "has", "is", "was", "needs", "wants", "received", "reminded", "interpreter", "repeat", "diabetes", "female",
    "male",
)  # fmt: skip
_HISTORY: Mapping[str, dict[str, object]] = {
    "past_rate": {"kind": "history", "statistic": "rate", "edges": [0.34, 0.67, 1]},
    "past_count": {"kind": "history", "statistic": "count", "edges": [1, 2, 4]},
}


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a person gave: names of columns, and the label's words. None and empty are guessed from the names."""

    name: str = "draft"
    purpose: str = "patient_engagement"
    patient: str | None = None
    decided_at: str | None = None
    outcome_at: str | None = None
    label: str | None = None
    engaged: tuple[str, ...] = ()
    not_engaged: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The contract, its text, and what could not be told, each a line for a person."""

    contract: Contract
    text: str
    untold: tuple[str, ...]


@dataclass(kw_only=True)
class _Roles:
    """Which column is what, and what was guessed about it."""

    plain: dict[str, object]
    taken: set[str]
    notes: list[str] = field(default_factory=list)


def draft_contract(tables: Mapping[str, Mapping[str, Kind]], choices: Choices) -> Draft:
    """Draft a contract from the columns of ``messages`` and, where they are, ``patients``.

    tables: table → column → kind (``client.connectors.kinds``). ConfigurationError, all at once, where patient or label
    cannot be told from the names and nobody gave them; ContractError where what was given contradicts itself.
    """
    tables = {
        table: {name: _READ_AS.get(kind, kind) for name, kind in columns.items()}
        for table, columns in tables.items()
    }
    roles = _roles(tables, choices)
    features, unused = _features(tables, roles)
    if roles.plain["decided_at"] is not None:
        features |= _HISTORY
    if not features:
        raise ConfigurationError(
            "contract draft: no column has a name or type that is publicly known; write the features by hand, "
            "as docs/contract.md teaches"
        )
    groups = [name for name in ("age", "sex", "gender", "language") if name in features]
    plain = {
        **{key: value for key, value in roles.plain.items() if value is not None},
        "events_per_patient": 6,
        "consent": {"required": True, "basis": "the patient's own consent"},
        "features": features,
        "groups": groups,
    }
    untold = (
        *roles.notes,
        *unused,
        "events_per_patient: 6 is usual; fewer cost less accuracy where patients are few",
    )
    return Draft(contract=contract_from_mapping(plain), text=_text(plain, untold), untold=untold)


def _roles(tables: Mapping[str, Mapping[str, Kind]], choices: Choices) -> _Roles:
    messages = tables.get("messages", {})
    _check_columns(messages, choices)
    patient = choices.patient or _first(messages, _PATIENT, whole=True)
    decided = choices.decided_at or _first(messages, _DECIDED, timestamps=True, but=frozenset({patient}))
    outcome = choices.outcome_at or _first(
        messages, _OUTCOME, timestamps=True, but=frozenset({patient, decided})
    )
    label = choices.label or _first(messages, _LABEL, but=frozenset({patient, decided, outcome}))
    sought = (("identifies the patient", "--patient", patient), ("is the label", "--label", label))
    if missing := [(what, flag) for what, flag, column in sought if column is None]:
        unknown = " or ".join(what for what, _ in missing)
        flags = " and ".join(f"{flag} COLUMN" for _, flag in missing)
        raise ConfigurationError(f"contract draft: no column's name says that it {unknown}; give {flags}")
    # A contract has both or neither: history needs to know when an outcome became known.
    if decided is None or outcome is None:
        decided = outcome = None
    engaged, not_engaged = choices.engaged or ("1",), choices.not_engaged or ("0",)
    roles = _Roles(
        plain={
            "name": choices.name,
            "version": 1,
            "purpose": choices.purpose,
            "patient": patient,
            "decided_at": decided,
            "outcome_at": outcome,
            "label": {"column": label, "engaged": list(engaged), "not_engaged": list(not_engaged)},
        },
        taken={column for column in (patient, decided, outcome, label) if column is not None},
    )
    roles.notes += [
        f"{key}: {visible(column, 60)} was guessed from its name; {why}"
        for key, given, column, why in (
            ("patient", choices.patient, patient, "is it the patient's number, and not a visit's?"),
            ("decided_at", choices.decided_at, decided, "was the message decided then?"),
            ("outcome_at", choices.outcome_at, outcome, "is it known in advance when the outcome falls due?"),
            ("label", choices.label, label, "does it say what the patient did?"),
        )
        if given is None and column is not None
    ]
    if decided is None:
        roles.notes.append(
            "decided_at, outcome_at: no two columns look like them; without them there is no history"
        )
    if not (choices.engaged and choices.not_engaged):
        roles.notes.append('label: its words are never looked at; replace "1" and "0" by your own words')
    return roles


def _check_columns(messages: Mapping[str, Kind], choices: Choices) -> None:
    """Refuse columns that a person named and that are not there, all at once."""
    named = {
        "--patient": choices.patient,
        "--decided-at": choices.decided_at,
        "--outcome-at": choices.outcome_at,
        "--label": choices.label,
    }
    wrong = [
        f"{flag} {visible(column, 60)}: no such column; {did_you_mean(column, messages)}".rstrip("; ")
        for flag, column in named.items()
        if column is not None and column not in messages
    ]
    if wrong:
        raise ConfigurationError(f"contract draft: {'; '.join(wrong)}")


def _features(
    tables: Mapping[str, Mapping[str, Kind]], roles: _Roles
) -> tuple[dict[str, dict[str, object]], list[str]]:
    features: dict[str, dict[str, object]] = {}
    unused: list[str] = []
    for table in ("messages", "patients"):
        for column, kind in tables.get(table, {}).items():
            if column in roles.taken or column in CONSENT_COLUMNS:
                continue
            found = _feature(column, kind)
            name = _feature_name(column, features)
            if found is None or name is None:
                unused.append(f"{table}.{visible(column, 60)}: {_why_not(kind)}")
                continue
            place = {} if table == "messages" else {"table": table}
            features[name] = {"kind": found.pop("kind"), **place, "column": column, **found}
    return features | _clocks(roles), unused


def _clocks(roles: _Roles) -> dict[str, dict[str, object]]:
    decided, outcome = roles.plain["decided_at"], roles.plain["outcome_at"]
    if decided is None:
        return {}
    return {
        "weekday": {"kind": "weekday", "column": decided},
        "hour": {"kind": "hour", "column": decided, "edges": [9, 12, 17]},
        "lead": {
            "kind": "gap_days", "from": decided, "to": outcome, "edges": [1, 3, 8, 15, 31], "valid": [0, 365],
        },
    }  # fmt: skip


def _feature(column: str, kind: Kind) -> dict[str, object] | None:
    """Say how a column of this name and type is read, from public knowledge; None where nobody can tell."""
    words = _words(column)
    if kind == "truth" or (kind in ("text", "number") and words[0] in _TRUTHS) or words[-1] in _TRUTHS:
        return {"kind": "boolean"}
    codes = codes_of(words)
    if codes is not None and kind == "text":
        return {"kind": "hierarchical", "codes": list(codes)}
    for word in words:
        if word in _NUMBERS and kind in ("text", "number"):
            edges, valid = _NUMBERS[word]
            return {"kind": "numeric", "edges": list(edges), "valid": list(valid)}
        if word in _WORDS and kind == "text":
            listed = "ordered" if word in _IN_ORDER else "categorical"
            return {"kind": listed, "vocabulary": list(_WORDS[word])}
    return None


def _why_not(kind: Kind) -> str:
    return {
        # In a text file every column is text, numbers too.
        "text": "a text whose words nobody knows publicly; kind: categorical, ordered or hierarchical, with its words "
        "(or numeric, with edges and valid, if it holds numbers), if it matters",
        "number": "a number without public bounds; kind: numeric, with edges and valid, if it matters",
        "timestamp": "a date or time; kind: weekday, month, hour or gap_days, if it matters",
    }.get(kind, "its type is not read")


def _first(
    columns: Mapping[str, Kind],
    wanted: tuple[str, ...],
    *,
    whole: bool = False,
    timestamps: bool = False,
    but: frozenset[str | None] = frozenset(),
) -> str | None:
    """Find the column whose name holds the first of the wanted words; with ``timestamps`` one that looks so."""
    for word in wanted:
        for column, kind in columns.items():
            words = _words(column)
            named = word in ("".join(words), words[0]) if whole else word in (*words, "".join(words))
            dated = kind == "timestamp" or (kind == "text" and words[-1] in _DATED)
            if named and column not in but and (dated or not timestamps):
                return column
    return None


def _words(column: str) -> tuple[str, ...]:
    """Split a name into its words, in lower case: ScheduledDay, scheduled_day and "Scheduled day" are the same."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", column)
    return tuple(word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word) or ("",)


def _feature_name(column: str, taken: Mapping[str, object]) -> str | None:
    """Name a feature after its column; None where the name is no line, or another's already."""
    name = "_".join(_words(column))[:60]
    return name if name and name not in taken else None


def _text(plain: Mapping[str, object], untold: tuple[str, ...]) -> str:
    """Write the contract as YAML under a comment; ConfigurationError unless it reads back as it was meant."""
    body = yaml.safe_dump(
        dict(plain), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    text = "".join(_comment(untold)) + body
    if read_yaml(text.encode(), "contract draft") != plain:
        raise ConfigurationError(
            "contract draft: a column's name cannot stand in YAML; rename it in the source"
        )
    return text


def _comment(untold: tuple[str, ...]) -> Iterator[str]:
    yield "# A draft, made from names and types of columns alone; no value was looked at. Bins and words are public\n"
    yield "# knowledge: keep it so. Read docs/contract.md, then decide what stands below:\n"
    yield from (f"# - {line}\n" for line in untold)
