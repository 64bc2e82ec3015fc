"""Paths into a FHIR resource, as a mapping writes them: the first value that a path finds, as text.

``start``; ``serviceType.coding.code``; ``identifier[system=urn:mrn].value``;
``participant.actor.reference[*=Patient/]``;
``subject.reference | id``, which makes ``123`` of ``https://x/fhir/Patient/123/_history/2``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wardround.client.connectors.kinds import Kind
from wardround.protocol.errors import ConfigurationError

_STEP = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\[([A-Za-z][A-Za-z0-9.]*)?(\*?=)([^\]]+)\])?")
_PATH = re.compile(rf"{_STEP.pattern}(?:\.{_STEP.pattern})*")
_REFERENCE = re.compile(r"(?:^|/)[A-Z][A-Za-z]+/([A-Za-z0-9\-.]{1,64})(?:/_history/|#|$)")


_TYPED: Mapping[Kind, re.Pattern[str]] = {
    "timestamp": re.compile(
        r"(^|\.)(\w*(DateTime|Date|Instant)|created|start|end|sent|received|issued|authored(On)?|dateTime|recorded)$"
    ),
    "number": re.compile(r"((Integer|Decimal)|Quantity\.value|(^|\.)minutesDuration)$"),
    "truth": re.compile(r"(Boolean|(^|\.)active)$"),
}
"""Names of elements, by what FHIR says they hold."""


@dataclass(frozen=True)
class _Step:
    """One name; of a list the elements whose ``key`` is the value (``=``) or holds it (``*=``); no key: themselves."""

    name: str
    key: "tuple[_Step, ...]" = ()
    operator: str = ""
    value: str = ""

    def takes(self, element: Any) -> bool:
        found = _first(element, self.key, 0)
        if found is None:
            return False
        return found == self.value if self.operator == "=" else self.value in found


@dataclass(frozen=True)
class FhirPath:
    """A parsed path; build it with ``path_from_text``."""

    steps: tuple[_Step, ...]
    of_reference: bool = False

    def first(self, resource: Any) -> str | None:
        """Give the first value, as text; None where there is none, whatever stands in the resource."""
        found = _first(resource, self.steps, 0)
        return found if found is None or not self.of_reference else referenced(found)


def path_from_text(text: str, where: str) -> FhirPath:
    """Parse a path; ConfigurationError names ``where`` it stands."""
    path, bar, function = (part.strip() for part in text.partition("|"))
    if not _PATH.fullmatch(path) or (bar and function != "id"):
        raise ConfigurationError(
            f"{where}={text}: must be a path, as in start, identifier[system=urn:mrn].value or subject.reference | id"
        )
    steps = (
        _Step(name, tuple(map(_Step, key.split("."))) if key else (), operator, value)
        for name, key, operator, value in _STEP.findall(path)
    )
    return FhirPath(tuple(steps), bool(bar))


def kind_of_path(text: str) -> Kind:
    """Say what a path finds, as FHIR types the element that its last step names; text where nobody can tell."""
    path = re.sub(r"\[[^\]]*\]", "", text.partition("|")[0]).strip()
    return next((kind for kind, form in _TYPED.items() if form.search(path)), "text")


def referenced(reference: str) -> str:
    """Give the identifier that a reference ends in; text that is no reference stays."""
    found = _REFERENCE.search(reference)
    return found[1] if found else reference


def _first(node: Any, steps: tuple[_Step, ...], position: int) -> str | None:
    """Walk down; of a list the first element in which the rest of the path finds a value."""
    for place in range(position, len(steps)):
        if type(node) is dict:
            node = node.get(steps[place].name)
            if steps[place].operator and node is not None:
                elements = node if isinstance(node, list) else [node]
                node = [element for element in elements if steps[place].takes(element)]
        elif type(node) is list:
            return _first_of(node, steps, place)
        else:
            return None
    if type(node) is str:
        return node
    if type(node) is bool:
        return "true" if node else "false"
    return _first_of(node, steps, len(steps)) if type(node) is list else None


def _first_of(elements: list[Any], steps: tuple[_Step, ...], position: int) -> str | None:
    for element in elements:
        if (found := _first(element, steps, position)) is not None:
            return found
    return None
