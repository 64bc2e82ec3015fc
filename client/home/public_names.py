"""How hospitals call their tables and columns: names that are publicly usual, with which ``init --from`` compares.

What is written and shown of a source is a name that stands here or in a contract: the first line of a file without
names would be a patient's cells.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

_LONGEST = 64  # characters: comparing takes time by the product of both lengths
_ALIKE = 0.85
_OF_TIME = frozenset({"at", "on", "date", "day", "time", "datetime", "when"})
_OF_KEYS = frozenset({"id", "no", "nr", "number", "key", "code"})

TABLE_NAMES: Mapping[str, tuple[str, ...]] = {
    "messages": (
        "message", "appointment", "visit", "reminder", "letter", "invitation", "booking", "refill", "cita",
        "mensaje", "termin", "termine", "rendezvous",
    ),
    "patients": ("patient", "person", "demographic", "people", "subject", "paciente", "patienten"),
    "consents": (
        "consent", "optout", "optin", "permission", "authorisation", "authorization", "consentimiento",
        "einwilligung", "einwilligungen", "consentement",
    ),
    "assessments": ("assessment", "questionnaire", "survey", "hra"),
    "arms": ("arm", "allocation", "randomisation", "randomization"),
    "preferences": ("preference",),
    "vetoes": ("veto",),
    "addresses": ("address",),
    "authorisations": ("marketingauthorisation", "marketingauthorization"),
}  # fmt: skip
PATIENT_NAMES = (
    "patient", "patientid", "patientno", "patientnr", "patientnumber", "patientkey", "patno", "patid", "patnr",
    "pat", "pid", "mrn", "medicalrecordnumber", "empi", "nhsnumber", "chi", "nhc", "ipp", "person", "personid",
    "personnumber", "subject", "subjectid", "idpaciente", "pacienteid", "paciente", "patientenid", "patientennr",
    "patientennummer", "idpatient",
)  # fmt: skip
"""Columns of the patient's own number, the most certain first; never a visit's."""
COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "kind": ("kind", "consentkind", "consenttype", "scope"),
    "value": ("value", "consentvalue", "purpose", "topic"),
    "grantedat": ("grantedat", "grantedon", "granted", "consentedat", "consentedon", "givenat", "givenon",
                  "signedat", "signedon", "consentdate", "optinat", "optindate"),
    "withdrawnat": ("withdrawnat", "withdrawnon", "withdrawn", "revokedat", "revokedon", "revoked", "optoutat",
                    "optoutdate", "optedoutat", "withdrawaldate"),
    "expiresat": ("expiresat", "expireson", "expires", "expiry", "expirydate", "validuntil", "validto", "enddate"),
    "sex": ("sex", "gender"),
    "gender": ("gender", "sex"),
    "birthdate": ("birthdate", "dateofbirth", "dob", "born", "birthday"),
    "dateofbirth": ("dateofbirth", "birthdate", "dob", "born", "birthday"),
    "language": ("language", "preferredlanguage", "lang"),
    "topic": ("topic", "subjectmatter", "specialty", "service"),
    "channel": ("channel", "medium"),
}  # fmt: skip
"""By a contract's column: what else it is usually called, without case and signs."""


def words(name: str) -> tuple[str, ...]:
    """Split a name into its words, in lower case: ScheduledDay, scheduled_day and "Scheduled day" are the same."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name[: 4 * _LONGEST])
    return tuple(word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word)


def joined(name: str) -> str:
    """Write a name without case and signs."""
    return "".join(words(name))


def table_rank(table: str, base: str) -> int:
    """Say how surely a name is that of one of the product's tables; 0: it does not say so.

    base: without schema, folder and ending. A view ``messages_for_wardround`` is meant before ``messages``, and that
    before ``messages_2023``.
    """
    parts = [_singular(word) for word in words(base)]
    if not {_singular(word) for word in TABLE_NAMES[table]} & {*parts}:
        return 0
    return 3 if "wardround" in parts else 1 + (len(parts) == 1)


def patient_columns(columns: Iterable[str], contracts_own: str | None) -> list[str]:
    """Give the columns that name the patient, the most certain first: as the contract calls it, then as is usual."""
    ranks = [*([joined(contracts_own)] if contracts_own else []), *PATIENT_NAMES]
    found = [column for column in columns if joined(column) in ranks]
    return sorted(found, key=lambda column: ranks.index(joined(column)))


def column_for(wanted: str, columns: Iterable[str], *, surely: bool) -> str | None:
    """Give the column that a contract's ``wanted`` is: the same name, another usual one, or the one nearest to it.

    surely: the same name alone. None where there is no such one, or two are alike.
    """
    listed = list(columns)
    if wanted in listed:
        return wanted
    names = (joined(wanted),) if surely else (joined(wanted), *COLUMN_NAMES.get(joined(wanted), ()))
    for name in names:
        same = [column for column in listed if joined(column) == name and name]
        if same:
            return same[0] if len(same) == 1 else None
    if surely:
        return None
    near = [column for column in listed if _is_near(wanted, column)]
    return near[0] if len(near) == 1 else None


def _is_near(wanted: str, column: str) -> bool:
    if len(wanted) > _LONGEST or len(column) > _LONGEST:
        return False
    ours, theirs = ({*words(name)} - _OF_TIME for name in (wanted, column))
    if (ours ^ theirs) & _OF_KEYS:  # appointment_day is no appointment_id
        return False
    if ours and theirs and (ours <= theirs or theirs <= ours):
        return True
    return SequenceMatcher(None, joined(wanted), joined(column)).ratio() >= _ALIKE


def _singular(word: str) -> str:
    for plural, ending in (("sses", "ss"), ("oes", "o"), ("ss", "ss"), ("s", "")):
        if word.endswith(plural):
            return word.removesuffix(plural) + ending
    return word
