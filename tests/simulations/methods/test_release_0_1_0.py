"""Release 0.1.0 beside the present code: it sees the same patients, and the page says what became of the gap."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from wardround.protocol.errors import ConfigurationError
from wardround.simulations.methods.cases import Case
from wardround.simulations.methods.column import REFERENCES, Cell
from wardround.simulations.methods.release_0_1_0 import read_release, run_release
from wardround.simulations.methods.runner import Task
from wardround.simulations.methods.store import append_record
from wardround.simulations.methods.zoo_page import write_page
from wardround.simulations.population import zoo_design
from wardround.simulations.population.zoo_design import BY_NAME

COMMIT = "6fcab2c375c02404bd5c5aa3a56a42bf666cc3db"
ROOT = Path(__file__).resolve().parents[3]


def task_in(folder: Path, seed: int = 1) -> Task:
    case = Case(name="zoo_02", title="zoo_02", seeds=(seed,), zoo="zoo_02", delta=1e-5)
    cells = (Cell(REFERENCES), Cell("default", "local", 1.0), Cell("default", "secure", 1.0))
    return Task(case, seed, cells, "code", "", folder)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make zoo_02 a federation of seconds."""
    few = replace(BY_NAME["zoo_02"], patients=300, hospitals=3, fields=6, events=2.0)
    monkeypatch.setitem(zoo_design.BY_NAME, "zoo_02", few)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"must be a checkout of release 0\.1\.0"):
        run_release(tmp_path, task_in(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


@pytest.mark.usefixtures("small")
def test_a_program_that_fails_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "simulations" / "accuracy").mkdir(parents=True)
    (tmp_path / "simulations" / "accuracy" / "column.py").write_text("")
    with pytest.raises(ConfigurationError, match="No module named 'client'"):
        run_release(tmp_path, task_in(tmp_path))
    assert not read_release(task_in(tmp_path))


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_release_0_1_0_runs_on_the_same_patients_and_is_found_on_disk(tmp_path: Path) -> None:
    known = (
        shutil.which("git")
        and not subprocess.run(
            ["git", "-C", ROOT, "cat-file", "-e", COMMIT], capture_output=True, check=False
        ).returncode
    )
    if not known:
        pytest.skip("this checkout has no history of 0.1.0")
    checkout = tmp_path / "0.1.0"
    checkout.mkdir()
    archive = subprocess.run(["git", "-C", ROOT, "archive", COMMIT], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", checkout], input=archive, check=True)
    task = task_in(tmp_path)
    assert run_release(checkout, task) == 2
    assert run_release(checkout, task) == 0
    local, shared = read_release(task)
    assert (local["noise"], shared["noise"]) == ("local", "secure")
    for found in (local, shared):
        assert 0.99 < found["verified_epsilon"] <= 1.0
        assert 0.3 < found["auc"] < 1.0


def test_the_page_says_by_how_much_the_gap_is_smaller(tmp_path: Path) -> None:
    tasks = [task_in(tmp_path, seed) for seed in (1, 2)]
    for task in tasks:
        figures: list[dict[str, object]] = [
            {"pooled_boosting": {"auc": 0.8}},
            {"auc": 0.77, "personal": {"auc": 0.79, "hospitals": 4, "exceptions": ["h"] * (task.seed == 1)}},
        ]
        for cell, figure in zip(task.cells[:2], figures, strict=True):
            about = {"key": task.key(cell), "case": "zoo_02", "seed": task.seed, "cpu_seconds": 1.0}
            where = {"method": cell.method, "noise": cell.noise, "epsilon": cell.epsilon}
            append_record(task.path, {**about, **where, **figure})
        older = {"key": "0.1.0", "case": "zoo_02", "seed": task.seed, "method": "release_0_1_0"}
        place = tmp_path / f"zoo_02-{task.seed}-0.1.0.jsonl"
        append_record(place, {**older, "noise": "local", "epsilon": 1.0, "auc": 0.76})
    write_page(tasks, [BY_NAME["zoo_02"]], "choosing", tmp_path / "page.md")
    text = " ".join((tmp_path / "page.md").read_text(encoding="utf-8").split())
    assert "over 1 federations: 0.0300, of release 0.1.0 0.0400; reduced by 25 %." in text
    assert "Of 8 hospitals with at least 200 patients" in text
    assert "7 (87.5 %) were no worse off" in text
    assert "| 0.1.0 | +0.0100 | 1 | 1 | 1 | 0 |" in text
