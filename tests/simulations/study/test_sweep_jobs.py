"""A sweep's jobs side by side: the same files as one after the other, and a failing job leaves the others."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from wardround.conf.compose import study_settings
from wardround.conf.composed import composed
from wardround.conf.hydra_run import SweepJob
from wardround.protocol.command_line.exit_codes import FAULT, OK, USER_ERROR
from wardround.simulations.study.sweep_jobs import begin_sweep, in_turns, workers_of

SMALL = (
    "experiment=tiny", "data.patients=240", "data.messages=900", "data.smallest=40", "data.largest=120",
    "training.rounds=1", "report=files", "report.compare=false", "evaluation=none", "federation.cache=false",
)  # fmt: skip


def jobs_of(folder, workers, *varied):
    """One job for each setting of ``varied``."""
    jobs = []
    for number, override in enumerate(varied):
        plain = composed("simulate", [*SMALL, f"federation.workers={workers}", override])
        place = folder / str(number)
        jobs.append(SweepJob(number, plain, place, study_settings(plain, place)))
    return jobs


def codes(jobs):
    with begin_sweep(jobs[0]) as run_jobs:
        return list(run_jobs(jobs))


def files(folder):
    """What every job wrote, without seconds, memory, places and the time of writing."""
    found = {}
    for path in sorted(folder.glob("*/*")):
        if path.name in ("manifest.json", "metrics.parquet", "config.yaml"):
            continue
        content = path.read_bytes()
        if path.name == "model.safetensors":
            # The order in its header is another one each time.
            with safe_open(path, framework="numpy") as model:
                content = {name: model.get_tensor(name).tobytes() for name in model.keys()}  # noqa: SIM118
                content |= model.metadata()
        if path.name == "summary.json":
            plain = json.loads(content)
            content = {key: value for key, value in plain.items() if key not in ("seconds", "peak_rss_mb")}
        found[str(path.relative_to(folder))] = content
    return found


@pytest.mark.slow
def test_side_by_side_jobs_write_what_they_write_one_after_the_other(tmp_path, capsys):
    varied = ("seed=3", "seed=4", "privacy.epsilon=2")
    one, two = tmp_path / "one", tmp_path / "two"
    assert codes(jobs_of(one, 1, *varied)) == [OK] * 3
    shown = capsys.readouterr().out
    assert codes(jobs_of(two, 2, *varied)) == [OK] * 3
    shown_again = capsys.readouterr().out
    assert len(files(one)) == 3 * 5
    assert files(two) == files(one)
    # In the order of the jobs, each whole.
    heads = [line for line in shown_again.splitlines() if line.startswith("#")]
    assert heads == [f"#{number} : {two / str(number)}" for number in range(3)]
    lines = [line for line in shown.splitlines() if "Together, private" in line]
    assert lines
    assert [line for line in shown_again.splitlines() if "Together, private" in line] == lines


@pytest.mark.slow
def test_a_job_that_fails_says_so_in_one_line_and_leaves_the_others(tmp_path, monkeypatch, capsys):
    """A person's error, and a process that ends, as where memory runs out; the plugin is found as it is here."""
    (tmp_path / "ends_the_process.py").write_text("import os; os._exit(7)")
    monkeypatch.syspath_prepend(tmp_path)
    wrong, ends, whole = jobs_of(tmp_path, 2, "seed=1", "seed=2", "seed=3")
    missing = {**wrong.plain, "data": {"name": "noshow", "path": str(tmp_path / "none.csv")}}
    missing["contract"] = composed("simulate", ["data=noshow"])["contract"]
    dying = {**ends.plain, "model": {"kind": "ends_the_process:Model", "hidden": []}}
    jobs = [replace(wrong, plain=missing), replace(ends, plain=dying), whole]
    assert codes(jobs) == [USER_ERROR, FAULT, OK]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"data.path={tmp_path / 'none.csv'}: no such file; correct the path"
    assert said[1].startswith(f"{ends.folder}: this job's process ended before the job did")
    assert len(said) == 2
    assert (tmp_path / "2" / "summary.json").exists()


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        (("seed=1", "seed=2"), 2),
        (("seed=1",), 1),
        (("federation=flower", "seed=2"), 1),
    ],
    ids=["two", "one", "ray"],
)
def test_how_many_run_at_the_same_time(settings, most):
    assert workers_of(jobs_of(Path("x"), 2, *settings)) == min(most, os.cpu_count() or 1)
    assert workers_of(jobs_of(Path("x"), 1, *settings)) == 1


def test_jobs_on_other_patients_begin_first():
    """Those on the same patients would wait for the one that fits their baselines."""
    given = [(seed, epsilon) for seed in (1, 2) for epsilon in (0.5, 1, 3)]
    jobs = [
        SweepJob(
            number, {"seed": seed, "privacy": {"epsilon": epsilon}, "data": {"name": "x"}}, Path("x"), None
        )
        for number, (seed, epsilon) in enumerate(given)
    ]
    assert [job.number for job in in_turns(jobs)] == [0, 3, 1, 4, 2, 5]
    # Where they take turns already, nothing is moved.
    turned = in_turns(jobs)
    assert in_turns(turned) == turned
