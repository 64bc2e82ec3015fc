"""The examples run as they stand, each in an empty folder."""

import runpy
from pathlib import Path

import pytest

from tests.builders import ROOT

EXAMPLES = ROOT / "examples"


def test_there_are_five() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "first_study", "own_table", "own_model", "own_rule", "sweep_and_frontier",
    }  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        path if path.stem == "first_study" else pytest.param(path, marks=pytest.mark.slow)
        for path in sorted(EXAMPLES.glob("*.py"))
    ],
    ids=lambda path: path.stem,
)
def test_an_example_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
