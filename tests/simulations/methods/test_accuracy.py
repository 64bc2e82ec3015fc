"""The accuracy benchmark: cells are found once, rows are what they say, FLamby's split and ε are FLamby's."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.builders import ROOT
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.terms.settings import PrivacySettings
from wardround.simulations.federation.federation import load_federation
from wardround.simulations.methods import __main__ as command
from wardround.simulations.methods import column, flamby
from wardround.simulations.methods.cases import CASES, NOISES, Case
from wardround.simulations.methods.channel import Attempt
from wardround.simulations.methods.column import REFERENCES, Cell, cells_of
from wardround.simulations.methods.compared import DEFAULT, chosen, registry
from wardround.simulations.methods.page import write_results
from wardround.simulations.methods.runner import Task, run_task, run_tasks
from wardround.simulations.methods.summary import ROW_KEYS, rows_of, summarise

SHARED = ROOT.parent / "shared" / "data"
TINY = Case(
    name="synthetic",
    title="tiny",
    overrides=(
        "data.hospitals=3", "data.patients=600", "data.messages=2400", "data.smallest=100", "data.largest=300",
        "training.rounds=4",
    ),
    seeds=(5, 6),
)  # fmt: skip


def tasks_of(folder: Path, code: str = "code", epsilons: Sequence[float] = (1.0, math.inf)) -> list[Task]:
    methods = [registry()[name] for name in (DEFAULT, "sgd")]
    cells = tuple(cells_of(methods, NOISES, epsilons))
    return [Task(TINY, seed, cells, code, "", folder) for seed in TINY.seeds]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> list[Task]:
    """Two columns, run once for all tests of this file."""
    tasks = tasks_of(tmp_path_factory.mktemp("store"))
    assert not run_tasks(tasks, 1, lambda line: None)
    return tasks


@pytest.mark.slow
def test_workers_end_with_the_benchmark_that_was_killed() -> None:
    script = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from wardround.simulations.methods.runner import exit_when_parent_exits
with ProcessPoolExecutor(1, get_context("spawn"), exit_when_parent_exits, (os.getpid(),)) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 60)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-P", "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = Path(f"/proc/{int(parent.stdout.readline())}")
        assert worker.exists()
        parent.kill()
    deadline = time.monotonic() + 30
    while worker.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_finished_cell_is_never_run_again_and_a_cut_one_is(finished: list[Task], tmp_path: Path) -> None:
    task = replace(finished[0], folder=tmp_path)
    lines = finished[0].path.read_text(encoding="utf-8").splitlines()
    task.path.write_text("\n".join(lines[:-2]) + "\n" + lines[-2][:40], encoding="utf-8")
    assert run_task(task) == 2
    assert run_task(task) == 0
    before, after = ([strip(record) for record in one.records()] for one in (finished[0], task))
    assert after == before  # the very figures: seeds fix everything


def strip(record: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in record.items() if key != "cpu_seconds"}


@pytest.mark.slow
def test_nothing_is_reused_under_other_code_settings_seed_or_table(finished: list[Task]) -> None:
    task = finished[0]
    for other in (
        replace(task, code="other"),
        replace(task, table="other"),
        replace(task, case=replace(TINY, delta=1e-6)),
    ):
        assert not other.records()
    # The references do not depend on the privacy of a cell, nor on which other cells are asked for.
    assert len(replace(task, cells=task.cells[:1]).records()) == 1


def test_code_digest_sees_sources_and_configuration_but_not_the_page(tmp_path: Path) -> None:
    from wardround.simulations.methods.store import code_digest

    for name in ("server/a.py", "conf/b.yaml", "simulations/methods/page.py", "simulations/report/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1", encoding="utf-8")
    before = code_digest(tmp_path)
    for name, changes in (("page.py", False), ("column.py", True)):
        (tmp_path / "simulations/methods" / name).write_text("2", encoding="utf-8")
        assert (code_digest(tmp_path) != before) is changes
    before = code_digest(tmp_path)
    (tmp_path / "conf/b.yaml").write_text("2", encoding="utf-8")
    assert code_digest(tmp_path) != before


@pytest.mark.slow
def test_rows_have_the_agreed_keys_and_one_default_for_each_noise_and_epsilon(finished: list[Task]) -> None:
    records = [record for task in finished for record in task.records()]
    rows = rows_of(summarise(records))
    assert all(tuple(row) == ROW_KEYS for row in rows)
    defaults = [(row["noise"], row["epsilon"]) for row in rows if row["default"]]
    assert sorted(defaults, key=str) == sorted(((n, e) for n in NOISES for e in (1.0, "inf")), key=str)
    by_seed = [
        record["auc"]
        for record in records
        if record["method"] == "sgd" and record["noise"] == "local" and record["epsilon"] == 1.0
    ]
    row = next(r for r in rows if (r["method"], r["noise"], r["epsilon"]) == ("sgd", "local", 1.0))
    assert row["seeds"] == 2
    assert row["auc_mean"] == pytest.approx(np.mean(by_seed), abs=1e-5)
    assert row["auc_sd"] == pytest.approx(np.std(by_seed, ddof=1), abs=1e-5)
    assert by_seed[0] != by_seed[1]  # seeds draw population, split and noise
    boosting = [r["pooled_boosting"]["auc"] for r in records if r["method"] == REFERENCES]  # type: ignore[index]
    assert row["pooled_boosting_auc"] == pytest.approx(np.mean(boosting), abs=1e-5)
    assert {row["method"] for row in rows} >= {"personalised", "alone", "pooled", "best_possible"}


@pytest.mark.slow
def test_infinity_is_the_method_without_noise_and_no_cell_spends_more_than_it_says(
    finished: list[Task],
) -> None:
    records = [record for record in finished[0].records() if record["method"] != REFERENCES]
    for record in records:
        if record["epsilon"] != "inf":
            assert 0.99 * record["epsilon"] < record["verified_epsilon"] <= record["epsilon"]  # type: ignore[operator]
    silent = {r["noise"]: r["auc"] for r in records if r["method"] == "sgd" and r["epsilon"] == "inf"}
    # Hospitals are weighted differently in the two modes, so the models differ a little even without noise.
    assert silent["local"] == pytest.approx(silent["secure"], abs=0.02)


def test_a_method_that_overspends_stops_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    def spender(name: str, federation: object, privacy: PrivacySettings, seed: int) -> Attempt:
        return Attempt(np.zeros(10), (PrivacyEvent(1.0, 1.0, 1),))

    monkeypatch.setattr(column, "attempt", spender)
    cell = Cell("boosting", "local", 1.0)
    one = column.Column(TINY, 5)
    with pytest.raises(ConfigurationError, match="above the asked 1"):
        one.measure(cell, column.settings_of(TINY, 5, cell))


@pytest.mark.slow
def test_the_page_shows_every_table_and_its_figures_are_svg(finished: list[Task], tmp_path: Path) -> None:
    write_results(finished, ["noshow: no table"], tmp_path)
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    for words in ("The price of privacy", "own part", "**default**", "noshow: no table", "seeds (5 to 6)"):
        assert words in page
    assert "nan" not in page
    assert len(json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))) == 8 + 4 + 2
    root = ElementTree.parse(tmp_path / "figures" / "results-synthetic.svg").getroot()  # noqa: S314
    assert root.tag.endswith("svg")


def test_a_partial_run_leaves_docs_alone_and_unknown_names_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(["--only", "nothing"]) == 2
    assert command.main(["--methods", "nothing"]) == 2
    assert "must be among" in capsys.readouterr().err
    assert command.main(["--only", "noshow", "--data", "absent", "--page-only"]) == 0
    assert not (tmp_path / "docs").exists()
    assert "no absent/noshow.csv.gz" in (tmp_path / "outputs/accuracy/results.md").read_text(encoding="utf-8")


def test_the_benchmark_is_what_the_issue_of_accuracy_asks() -> None:
    by_name = {case.name: case for case in CASES}
    assert sum(name.startswith("synthetic") for name in by_name) == 3
    assert min(len(set(case.seeds)) for case in CASES) >= 5
    assert min(len(set(case.seeds)) for name, case in by_name.items() if name.startswith("heart")) >= 30
    assert chosen()[0] == DEFAULT
    assert set(chosen()) <= set(registry())
    assert not registry()[DEFAULT].overrides


def test_flamby_paid_more_than_it_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flamby, "TRAINING_PATIENTS", {"switzerland": 30})
    for one in flamby.flamby_epsilons(1.0, 1e-3):
        batches = math.ceil(flamby.TRAINING_PATIENTS[one.hospital] / 4)
        planned = compose_epsilon([PrivacyEvent(one.noise_multiplier, 1 / batches, one.planned_steps)], 1e-3)
        assert planned == pytest.approx(1.0, rel=2e-3)
        assert 1.4 < one.sampled < one.shuffled
        assert one.steps == 1500


@pytest.mark.skipif(not (SHARED / "heart").is_dir(), reason="the real table is absent: ../shared/data")
def test_flamby_split_has_its_published_sizes_and_loses_nobody() -> None:
    case = replace(next(case for case in CASES if case.name == "heart").at(SHARED), seeds=(1,))
    settings = column.settings_of(case, 1, Cell(REFERENCES))
    federation = load_federation(settings.data, settings.contract, 1)
    split = flamby.flamby_split(federation, flamby.SPLIT_SEED)
    sizes = dict(zip(split.hospitals, split.training_patients.tolist(), strict=True))
    assert sizes == flamby.TRAINING_PATIENTS
    assert np.diff(split.heldout.patients_from).tolist() == [104, 89, 16, 45]

    def everyone(one: object) -> list[bytes]:
        cohorts = (one.training, one.heldout)  # type: ignore[attr-defined]
        return sorted(token.tobytes() for cohort in cohorts for token in cohort.tokens)

    assert everyone(split) == everyone(federation)
    labels = {
        row: label
        for c in (federation.training, federation.heldout)
        for row, label in zip(c.rows, c.labels, strict=True)
    }
    for cohort in (split.training, split.heldout):
        assert [labels[row] for row in cohort.rows] == cohort.labels.tolist()
    other = flamby.flamby_split(federation, 7)
    assert set(other.heldout.rows.tolist()) != set(split.heldout.rows.tolist())
