"""``wardround-simulate --json``: one JSON value for a machine, whatever is shown to a person."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from wardround.conf.settings import StudySettings
from wardround.protocol.errors import TableError
from wardround.protocol.text.say import say
from wardround.simulations.main import main
from wardround.simulations.report import sweep
from wardround.simulations.study import study


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(settings: StudySettings) -> SimpleNamespace:
        say("a table")
        if settings.seed == 13:
            raise TableError("table: is missing")
        settings.output_dir.mkdir(parents=True, exist_ok=True)
        path = settings.output_dir / "summary.json"
        path.write_text(json.dumps({"seed": settings.seed}))
        return SimpleNamespace(summary=path)

    def show_frontier(folder: Path) -> None:
        say("a frontier")
        (folder / "frontier.json").write_text('{"rows": []}')

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "run", run)
    monkeypatch.setattr(sweep, "show_frontier", show_frontier)


def simulate(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["wardround-simulate", *arguments])
    return main()


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [(["seed=3"], {"seed": 3}), (["-m", "seed=3,4", "federation.workers=1"], {"rows": []})],
)
def test_standard_output_holds_one_json_value(
    arguments: list[str],
    answer: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert simulate(monkeypatch, *arguments, "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == answer
    assert "a table" in printed.err
    assert simulate(monkeypatch, *arguments) == 0
    assert "a table" in capsys.readouterr().out


def test_a_run_that_failed_answers_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(monkeypatch, "--json", "seed=13") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("table: is missing\n")
