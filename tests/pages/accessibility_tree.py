"""What a screen reader gets of a page: its accessibility tree, by Playwright's aria snapshot, and what is wrong."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

CONTROLS = frozenset(
    {"button", "checkbox", "combobox", "link", "radio", "searchbox", "spinbutton", "textbox"}
)
LANDMARKS = frozenset({"form", "navigation", "region"})
"""Landmarks that a page may have several of, so that each needs a name."""
_NODE = re.compile(r'(?P<role>[a-z]+)(?: (?P<name>"(?:[^"\\]|\\.)*"))?(?P<marks>(?: \[[^\]]*\])*)')


@dataclass(frozen=True)
class Node:
    """One element of the tree. above: those that hold it, the outermost first."""

    role: str
    name: str
    marks: str
    above: tuple["Node", ...]

    @property
    def level(self) -> int:
        """A heading's level."""
        found = re.search(r"level=(\d)", self.marks)
        return int(found[1]) if found else 0

    @property
    def place(self) -> tuple[tuple[str, str], ...]:
        """Where a reader hears that it stands: the named elements around it."""
        return tuple((one.role, one.name) for one in self.above if one.name)


def tree_of(page: Any) -> list[Node]:
    """Give all elements of a page, in the order in which they are read."""
    return list(_nodes(yaml.safe_load(page.locator("body").aria_snapshot()), ()))


def tree_faults(page: Any) -> list[str]:
    """Say what is wrong with a page, for whoever only hears it."""
    nodes = tree_of(page)
    return [*_headings(nodes), *_landmarks(nodes), *_names(nodes), *_fields(page)]


def _nodes(plain: Any, above: tuple[Node, ...]) -> Iterator[Node]:
    for one in plain if isinstance(plain, list) else [plain]:
        key, inside = next(iter(one.items())) if isinstance(one, dict) else (one, None)
        found = _NODE.fullmatch(str(key))
        if found is None or found["role"] == "text":
            continue
        name = json.loads(found["name"]) if found["name"] else ""
        # What stands in one line is the name of an element that has none of its own to say.
        name = name or (inside if isinstance(inside, str) and found["role"] in CONTROLS else "")
        node = Node(found["role"], name, found["marks"], above)
        yield node
        if isinstance(inside, list):
            yield from _nodes(inside, (*above, node))


def _headings(nodes: list[Node]) -> Iterator[str]:
    headings = [one for one in nodes if one.role == "heading"]
    first = [one for one in headings if one.level == 1]
    if len(first) != 1:
        yield f"{len(first)} headings of level 1"
    if any(one.role == "main" for one in nodes) and not all(
        any(up.role == "main" for up in one.above) for one in first
    ):
        yield "the heading of level 1 is not in main"
    level = 0
    for one in headings:
        if one.level > level + 1:
            yield f"heading {one.name!r}: level {one.level} after {level}"
        level = one.level


def _landmarks(nodes: list[Node]) -> Iterator[str]:
    for role in ("banner", "main", "contentinfo"):
        count = sum(one.role == role for one in nodes)
        if count != 1:
            yield f"{count} {role}"
    for one, count in Counter((one.role, one.name) for one in nodes if one.role in LANDMARKS).items():
        if not one[1]:
            yield f"{one[0]} without a name"
        elif count > 1:
            yield f"{count} × {one[0]} {one[1]!r}"


def _names(nodes: list[Node]) -> Iterator[str]:
    controls = [one for one in nodes if one.role in CONTROLS]
    for one in controls:
        if not one.name.strip():
            yield f"{one.role} without a name, in {one.place}"
    # Links of one name may lead to one place; what acts must be told apart by what is heard around it.
    acting = Counter((one.place, one.role, one.name) for one in controls if one.role != "link")
    for (place, role, name), count in acting.items():
        if count > 1:
            yield f"{count} × {role} {name!r} in {place}"


def _fields(page: Any) -> list[str]:
    """Say which fields that are wrong name no text that says what, and which hints are of nothing."""
    return page.evaluate(
        """() => { const faults = [];
        for (const one of document.querySelectorAll('[aria-describedby]'))
            for (const id of one.getAttribute('aria-describedby').split(/\\s+/))
                if (!document.getElementById(id)?.textContent.trim()) faults.push(`describedby ${id}: is not there`);
        for (const one of document.querySelectorAll('[aria-invalid=true]'))
            if (!one.getAttribute('aria-describedby')) faults.push(`${one.id}: is wrong, and nothing says why`);
        const ids = [...document.querySelectorAll('[id]')].map(one => one.id);
        for (const id of new Set(ids)) if (ids.filter(one => one === id).length > 1) faults.push(`id ${id}: twice`);
        return faults; }"""
    )
