"""Paths into a FHIR resource, as a mapping writes them: the first value that a path finds, as text.

``start``; ``serviceType.coding.code``; ``identifier[system=urn:mrn].value``;
``participant.actor.reference[*=Patient/]``;
``subject.reference | id``, which makes ``123`` of ``https://x/fhir/Patient/123/_history/2``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wardround.client.connectors.kinds import Kind
from wardround.protocol.errors import ConfigurationError

_Walk = Callable[[Any], str | None]
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


@dataclass(frozen=True)
class FhirPath:
    """A parsed path; build it with ``path_from_text``."""

    steps: tuple[_Step, ...]
    of_reference: bool = False

    @cached_property
    def first(self) -> _Walk:
        """The function that gives the first value, as text; None where there is none, whatever a resource holds."""
        walk = _walk(self.steps)
        return _referring(walk) if self.of_reference else walk


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


def _walk(steps: tuple[_Step, ...]) -> _Walk:
    """Make one function of the steps, each knowing the next: paths are walked for millions of resources."""
    walk: _Walk = _text
    for step in reversed(steps):
        walk = _selecting(step, walk) if step.operator else _entering(step.name, walk)
    return walk


def _referring(walk: _Walk) -> _Walk:
    def refer(node: Any) -> str | None:
        found = walk(node)
        return None if found is None else referenced(found)

    return refer


def _entering(name: str, rest: _Walk) -> _Walk:
    """Go into an element; of a list into the first of its elements in which the rest finds a value."""
    ends = rest is _text

    def walk(node: Any) -> str | None:
        if type(node) is dict:
            inner = node.get(name)
            if inner is None or (ends and type(inner) is str):  # most often; a call less
                return inner
            return rest(inner)
        return _first_of(node, walk) if type(node) is list else None

    return walk


def _selecting(step: _Step, rest: _Walk) -> _Walk:
    """Go into those of an element's elements that the step takes."""
    name, value, same, key = step.name, step.value, step.operator == "=", _walk(step.key)

    def chosen(element: Any) -> str | None:
        found = key(element)
        takes = found is not None and (found == value if same else value in found)
        return rest(element) if takes else None

    def walk(node: Any) -> str | None:
        if type(node) is dict:
            inner = node.get(name)
            return _first_of(inner, chosen) if type(inner) is list else chosen(inner)
        return _first_of(node, walk) if type(node) is list else None

    return walk


def _first_of(elements: list[Any], walk: _Walk) -> str | None:
    for element in elements:
        if (found := walk(element)) is not None:
            return found
    return None


def _text(node: Any) -> str | None:
    if type(node) is str:
        return node
    if type(node) is bool:
        return "true" if node else "false"
    if type(node) is int:
        return str(node)
    return _first_of(node, _text) if type(node) is list else None
