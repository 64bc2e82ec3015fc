"""What a FHIR Consent says, as rows of the consents table; doubt counts as a withdrawal.

Each provision permits or denies what its codes (purpose, action, code, class; for the outermost also category and
scope) mean in the mapping. Nested provisions are exceptions of their own. A withdrawal is never lost: a denial whose
codes nobody mapped, or that has none, is a denial of everything; a status other than active, draft and proposed takes
back what the resource once gave. A permission that begins on a later day than that of its ``dateTime`` is none: a
withdrawal between the two could be overruled.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Meaning = tuple[str, str]
"""A kind and a value of the consents table; ``OTHER`` for a code that says nothing of what is learned here."""
OTHER: Meaning = ("other", "")
NO_DATE = "without date"
"""Where a withdrawal has no date: text that is no time counts as withdrawn for good."""

_NOT_YET = ("draft", "proposed")
_RULES = {"OPTIN": "permit", "OPTINR": "permit", "OPTOUT": "deny", "OPTOUTE": "deny"}


class ConsentRow(NamedTuple):
    """One row of the consents table, without the patient."""

    kind: str
    value: str
    granted_at: str | None = None
    withdrawn_at: str | None = None
    expires_at: str | None = None


def consent_rows(resource: Mapping[str, Any], meanings: Mapping[str, Meaning]) -> list[ConsentRow]:
    """Give the rows; meanings: ``code`` or ``system|code`` → what it means.

    Raises AttributeError or TypeError where the resource is not made as FHIR says: then nobody knows what it says.
    """
    status, dated = resource.get("status"), _text(resource.get("dateTime"))
    # A rule that is not known denies.
    ruled = next((_RULES[c] for _, c in _codings(resource.get("policyRule")) if c in _RULES), "deny")
    about = [*_codings(resource.get("category")), *_codings(resource.get("scope"))]
    rows: list[ConsentRow] = []
    for kind, period, codes in _provisions(resource.get("provision") or {}, ruled, about):
        start, end = _text(period.get("start")), _text(period.get("end"))
        found = {m for system, code in codes if (m := meanings.get(f"{system}|{code}", meanings.get(code)))}
        told = sorted(found - {OTHER})
        if kind == "deny":
            denied = told if found else sorted({*meanings.values()} - {OTHER})
            rows += [ConsentRow(*meaning, withdrawn_at=dated or start or NO_DATE) for meaning in denied]
        elif status == "active":
            given = None if dated and start and start[:10] > dated[:10] else dated or start
            rows += [ConsentRow(*meaning, granted_at=given, expires_at=end) for meaning in told]
        elif status not in _NOT_YET:
            rows += [ConsentRow(*meaning, withdrawn_at=dated or start or NO_DATE) for meaning in told]
    return list(dict.fromkeys(rows))


def _provisions(
    provision: Mapping[str, Any], outer: str, about: list[tuple[str, str]]
) -> Iterator[tuple[str, Mapping[str, Any], list[tuple[str, str]]]]:
    """Yield type, period and codes of a provision and of those within; what is not stated holds as without."""
    kind = provision.get("type", outer)
    codes = [
        *about,
        *(c for key in ("purpose", "action", "code", "class") for c in _codings(provision.get(key))),
    ]
    yield ("permit" if kind == "permit" else "deny"), provision.get("period") or {}, codes
    for inner in provision.get("provision") or ():
        given = {"type": kind, "period": provision.get("period") or {}, **inner}
        # An exception without codes of its own is one to all that the outer one says.
        yield from _provisions(given, kind, [] if _speaks(inner) else codes)


def _speaks(provision: Mapping[str, Any]) -> bool:
    return any(_codings(provision.get(key)) for key in ("purpose", "action", "code", "class"))


def _codings(element: Any) -> list[tuple[str, str]]:
    """Give system and code of each Coding in a Coding, a CodeableConcept, or a list of them."""
    if element is None:
        return []
    if isinstance(element, list):
        return [pair for part in element for pair in _codings(part)]
    if "coding" in element:
        return _codings(element["coding"])
    return [(str(element.get("system", "")), str(element["code"]))] if "code" in element else []


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
