"""One word names one thing: no public class name twice, and what a module keeps to itself is left to it."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.builders import ROOT

FOLDERS = ("api", "client", "conf", "protocol", "server", "simulations")


def modules(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def test_no_public_class_name_is_defined_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in modules(*FOLDERS):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path))
    assert len(places) > 200  # the folders were found
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_private_name_is_imported_from_a_module_of_ours() -> None:
    taken = [
        f"{path}: {node.module}.{alias.name}"
        for path, tree in modules(*FOLDERS)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wardround")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert taken == []
