"""A sweep's frontier: spread over seeds, and failed jobs named."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import stdev

import polars as pl
import pytest
import yaml

from wardround.conf.sweep_table import write_jobs
from wardround.simulations.report.scores import METHODS
from wardround.simulations.report.summary import summarise
from wardround.simulations.report.sweep import read_jobs, show_frontier, write_frontier


@pytest.fixture
def sweep(example: Callable, tmp_path: Path) -> Path:
    """Three ε × three seeds; job 4 (ε = 2, seed 1) failed, job 9 was cut off while it wrote."""
    plain, given = summarise(example()), {}
    for index in range(9):
        epsilon, seed = (1.0, 2.0, 4.0)[index // 3], index % 3
        folder = tmp_path / str(index)
        given[str(index)] = [f"privacy.epsilon={epsilon}", f"seed={seed}", "model=mlp"]
        if index == 4:
            continue
        folder.mkdir()
        auc = {**plain["auc"], "federated_private": 0.7 + 0.01 * epsilon + 0.001 * seed}
        summary = {**plain, "seed": seed, "patient_epsilon": epsilon, "auc": auc}
        (folder / "summary.json").write_text(json.dumps(summary))
        settings = {
            "seed": seed,
            "output_dir": str(folder),
            "privacy": {"epsilon": epsilon},
            "study": f"job{index}",
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    write_jobs(tmp_path, given)
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "summary.json").write_text('{"auc": {')
    (tmp_path / "multirun.yaml").write_text("{}")
    return tmp_path


def test_rows_are_means_over_seeds_with_their_spread(sweep: Path) -> None:
    write_frontier(sweep)
    found = json.loads((sweep / "frontier.json").read_text())
    assert [row["epsilon"] for row in found["rows"]] == [1.0, 2.0, 4.0]
    assert [row["seeds"] for row in found["rows"]] == [[0, 1, 2], [0, 2], [0, 1, 2]]
    first = found["rows"][0]
    assert first["settings"] == {"privacy.epsilon": 1.0}
    assert first["auc"]["federated_private"]["mean"] == pytest.approx(0.711)
    assert first["auc"]["federated_private"]["sd"] == pytest.approx(stdev([0.71, 0.711, 0.712]))


def test_failed_jobs_are_named_everywhere(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    frontier = show_frontier(sweep)
    shown = capsys.readouterr().out
    assert frontier.failed == ("4 (privacy.epsilon=2.0 seed=1)", "9")
    assert json.loads((sweep / "frontier.json").read_text())["failed"] == list(frontier.failed)
    page = (sweep / "frontier.html").read_text()
    assert "2 jobs" in page
    assert "4 (privacy.epsilon=2.0 seed=1); 9" in page
    assert "failed: 4 (privacy.epsilon=2.0 seed=1), 9" in shown
    assert "0.711 ±0.001" in shown


def test_the_parquet_is_long(sweep: Path) -> None:
    write_frontier(sweep)
    frame = pl.read_parquet(sweep / "frontier.parquet")
    one = frame.filter(pl.col("method") == "federated_private", pl.col("metric") == "auc").sort("epsilon")
    assert one["mean"].to_list() == pytest.approx([0.711, 0.721, 0.741])


def test_a_sweep_in_which_every_job_failed_still_has_its_files(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    frontier = write_frontier(tmp_path)
    assert frontier.rows == ()
    assert "no job ended" in (tmp_path / "frontier.html").read_text()


def test_a_run_that_made_room_for_another_is_no_job(sweep: Path) -> None:
    (sweep / "0").rename(sweep / "0.earlier-1")
    assert "0.earlier-1" not in [job.name for job in read_jobs(sweep)]


def test_one_seed_has_no_spread(sweep: Path) -> None:
    for index in (1, 2, 4, 5, 7, 8):
        for path in (sweep / str(index)).glob("[a-z]*.*"):
            path.unlink()
    write_frontier(sweep)
    row = json.loads((sweep / "frontier.json").read_text())["rows"][0]
    assert row["auc"]["federated_private"] == {"mean": pytest.approx(0.71), "sd": None}


def test_the_chart_draws_every_private_method_of_the_table(sweep: Path) -> None:
    write_frontier(sweep)
    page = (sweep / "frontier.html").read_text(encoding="utf-8")
    chart = page.partition("<svg")[2].partition("</svg>")[0]
    private = [method.title.lower() for method in METHODS if method.private]
    assert len(private) == 3
    assert all('class="note strong">' in chart and f" {title}</text>" in chart for title in private)
