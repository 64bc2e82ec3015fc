"""Names: one word for one thing, private names left alone, every public one documented, imports without circles."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

from tests.builders import ROOT

FOLDERS = ("api", "client", "conf", "deploy", "pages", "protocol", "server", "simulations")


@cache
def parsed(path: Path) -> ast.Module:
    """Six tests read all our modules; parsing them is most of their time."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of one of our modules, by its place below the root."""
    return tuple(ast.walk(parsed(ROOT / path)))


def modules(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), parsed(path)


def room(path: Path) -> Path:
    """The folder beneath a top-level one, as import-linter has it; a file that lies in none is a room itself."""
    return Path(*path.parts[:2])


def test_no_public_class_name_is_defined_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, _ in modules(*FOLDERS):
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path))
    assert len(places) > 200  # the folders were found
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_private_name_is_imported_from_a_module_of_ours() -> None:
    taken = [
        f"{path}: {node.module}.{alias.name}"
        for path, _ in modules(*FOLDERS)
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wardround")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert taken == []


def own(path: Path) -> set[str]:
    """The private names that a module defines: functions, classes, constants, and attributes of its classes."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return {name for name in found if is_private(name)}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def test_no_private_attribute_is_reached_from_another_room() -> None:
    paths = [path for path, _ in modules(*FOLDERS)]
    owners: dict[str, set[Path]] = defaultdict(set)
    for path in paths:
        for name in own(path):
            owners[name].add(room(path))
    assert len(owners) > 500
    reached = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for path in paths
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and is_private(node.attr)
        if ast.unparse(node.value) not in ("self", "cls")
        if node.attr in owners and room(path) not in owners[node.attr]
    ]
    assert reached == []


def undocumented(tree: ast.Module | ast.ClassDef, name: str) -> Iterator[str]:
    """The public names from here downwards that have no docstring."""
    if not ast.get_docstring(tree):
        yield name
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from undocumented(node, f"{name}.{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lacks_docstring(node):
            yield f"{name}.{node.name}"


def lacks_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a public function has none; an overload or a setter has another of its name to speak for it."""
    variant = any(ast.unparse(one).endswith(("overload", ".setter")) for one in node.decorator_list)
    return not (node.name.startswith("_") or variant or ast.get_docstring(node))


def test_every_public_name_has_a_docstring() -> None:
    trees = list(modules(*FOLDERS, "scripts"))
    assert list(chain.from_iterable(undocumented(tree, str(path)) for path, tree in trees)) == []


@pytest.mark.parametrize(
    "text", ["x = 1", "'m'\nclass A: pass", "'m'\ndef f(): pass", "'m'\nclass A:\n 'a'\n def f(self): pass"]
)
def test_a_missing_docstring_is_found(text: str) -> None:
    assert len(list(undocumented(ast.parse(text), "m"))) == 1


def imported(body: Sequence[ast.stmt], known: set[str]) -> set[str]:
    """The modules of ours that are imported when a module is: not under TYPE_CHECKING, nor within a function."""
    found = set()
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module in known:
            below = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= below or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & known
        elif isinstance(node, ast.Try):
            found |= imported(node.body, known)
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    named = {
        ".".join(("wardround", *path.with_suffix("").parts)).removesuffix(".__init__"): tree
        for path, tree in modules(*(folder for folder in FOLDERS if folder != "api"))
    }
    graph = {name: imported(tree.body, set(named)) for name, tree in named.items()}
    assert sum(map(len, graph.values())) > 1000
    TopologicalSorter(graph).prepare()  # CycleError names the circle


def test_tests_lie_in_the_rooms_of_what_they_test() -> None:
    """Every folder of tests is a room of the code, but for those that run whole systems."""
    live = {Path("simulations/reliability"), Path("simulations/month")}
    whole = live | {Path("scripts"), Path("deploy"), Path("examples")}
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(folders) > 40
    assert {folder for folder in folders - whole if not (ROOT / folder / "__init__.py").exists()} == {Path()}
