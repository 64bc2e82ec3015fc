"""``import wardround``: a few names, light to import, each documented by an example that runs."""

import doctest
import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import wardround

NAMES = [
    "Accountant",
    "AggregationRule",
    "Contract",
    "DataSource",
    "Model",
    "Personalization",
    "ServerOptimizer",
    "Study",
    "Sweep",
    "TorchModel",
    "WardroundError",
    "check_model",
    "draw_tables",
    "load",
    "read_contract",
    "score",
    "simulate",
    "sweep",
]
"""What users may rely on. A name that is added here stays; one that goes is a breaking change."""


PROPERTIES = (property, cached_property)


def documented(name: str) -> Iterator[tuple[str, object]]:
    """Name and object of a public function, or of a class with its public methods and properties."""
    found = (
        getattr(wardround, name) if name != "StudyPlots" else import_module("wardround.figures").StudyPlots
    )
    yield name, found
    for own, member in vars(found).items() if inspect.isclass(found) else ():
        if not own.startswith("_") and (callable(member) or isinstance(member, PROPERTIES)):
            yield f"{name}.{own}", member


def test_the_list_of_public_names_is_held() -> None:
    assert wardround.__all__ == NAMES
    assert set(NAMES) <= set(dir(wardround))
    assert all(getattr(wardround, name).__doc__ for name in NAMES)


def test_the_version_is_the_installed_one() -> None:
    assert wardround.__version__ == version("wardround")
    lazily = [sys.executable, "-c", "import sys, wardround; sys.exit('importlib.metadata' in sys.modules)"]
    assert subprocess.run(lazily, check=False).returncode == 0


def test_a_typo_is_one_clear_line() -> None:
    with pytest.raises(AttributeError) as caught:
        wardround.simulat  # noqa: B018
    assert str(caught.value) == "module 'wardround' has no attribute 'simulat'; did you mean simulate?"


def test_a_lacking_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(name: str) -> object:
        raise ModuleNotFoundError("No module named 'hydra'", name="hydra")

    monkeypatch.setattr(wardround, "import_module", lacks)
    monkeypatch.delitem(vars(wardround), "load", raising=False)
    with pytest.raises(
        ModuleNotFoundError, match=r"wardround\.load: hydra is not installed; install the extra"
    ):
        wardround.load  # noqa: B018


STUDIES = ("Study", "StudyPlots", "Sweep")  # each example runs several studies


def test_importing_it_imports_nothing_heavy(tmp_path: Path) -> None:
    program = "import sys, wardround; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    heavy = {"numpy", "polars", "torch", "opacus", "flwr", "hydra", "matplotlib", "scipy", "sklearn"}
    assert not heavy & set(ran.stdout.split())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in STUDIES else name
        for name in [*NAMES, "StudyPlots"]
    ],
)
def test_each_public_function_has_an_example_that_runs(name: str) -> None:
    for place, found in documented(name):
        examples = found.func if isinstance(found, cached_property) else found
        tests = doctest.DocTestFinder(recurse=False).find(examples, place, globs={})
        assert isinstance(found, PROPERTIES) or any(test.examples for test in tests), (
            f"{place} has no example"
        )
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        assert all(runner.run(test).failed == 0 for test in tests), place
