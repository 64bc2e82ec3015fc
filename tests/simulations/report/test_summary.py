"""summary.json and the other files of a run: true, whole, and tied to their contract."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.metrics import log_loss, roc_auc_score

from wardround.conf.settings import ReportSettings
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, ContractError
from wardround.protocol.model.model_file import load_model
from wardround.simulations.report import run_files
from wardround.simulations.report.run_files import make_room, metrics_table, write_run
from wardround.simulations.report.scores import METHOD_KEYS
from wardround.simulations.report.summary import summarise
from wardround.simulations.report.table import print_run

FILES = {
    "summary.json",
    "metrics.parquet",
    "model.safetensors",
    "config.yaml",
    "contract.yaml",
    "manifest.json",
    "report.html",
    "predictions.parquet",
}


def test_summary_has_every_key_and_the_right_numbers(example: Callable) -> None:
    results = example()
    summary = json.loads(json.dumps(summarise(results), allow_nan=False))
    for measure in ("auc", "macro_auc"):
        assert set(summary[measure]) == set(METHOD_KEYS)
    labels = results.heldout.labels
    for key in METHOD_KEYS:
        scores = results.true_probability if key == "best_possible" else results.probabilities[key]
        assert summary["auc"][key] == pytest.approx(roc_auc_score(labels, scores))
        assert summary["log_loss"][key] == pytest.approx(log_loss(labels, scores))
    assert summary["hospitals"] == 6
    assert summary["patients"] == results.training_patients.sum() + results.heldout.patient_count
    assert summary["macro_left_out"] == 2
    assert (summary["rounds"], summary["noise"], summary["delta"]) == (3, "local", 1e-5)
    assert summary["patient_epsilon"] == 0.99
    assert summary["mechanism"]["events"] == [{"noise_multiplier": 16.7, "sampling_rate": 1.0, "count": 3}]
    assert set(summary["seconds"]) == {"data", "train", "total"}
    assert summary["peak_rss_mb"] == 300.0


def test_share_better_together_compares_the_private_two_hospital_by_hospital(example: Callable) -> None:
    results = example()
    where = results.heldout.hospital_of_patient[results.heldout.patient_of_event]
    better = []
    for hospital in range(6):
        own = where == hospital
        labels = results.heldout.labels[own]
        if len(np.unique(labels)) == 2:
            pair = [
                roc_auc_score(labels, results.probabilities[k][own])
                for k in ("federated_private", "local_private")
            ]
            better.append(pair[0] > pair[1])
    assert len(better) == 4
    assert summarise(results)["share_better_together"] == pytest.approx(np.mean(better))


def test_what_was_not_run_is_null(example: Callable) -> None:
    scores = example().probabilities
    summary = summarise(
        example(probabilities={"federated_private": scores["federated_private"]}, true_probability=None)
    )
    assert summary["auc"]["best_possible"] is None
    assert summary["macro_auc"]["local"] is None
    assert summary["share_better_together"] is None


def test_largest_epsilon_over_hospitals_is_stated(example: Callable) -> None:
    facts = example().privacy
    epsilon = np.array([0.2, 0.9, 0.4, 0.1, 0.3, 0.2])
    changed = type(facts)(**{**vars(facts), "hospital_epsilon": epsilon})
    assert summarise(example(privacy=changed))["patient_epsilon"] == 0.9


def test_arrays_that_do_not_belong_together_are_refused(example: Callable) -> None:
    with pytest.raises(ConfigurationError, match="one finite number per held-out event"):
        example(probabilities={"pooled": np.zeros(3)})
    with pytest.raises(ConfigurationError, match="unknown method ours"):
        example(probabilities={"ours": example().true_probability})
    with pytest.raises(ConfigurationError, match="one finite number"):
        example(true_probability=np.full(example().heldout.event_count, np.nan))
    with pytest.raises(ConfigurationError, match="differ in length"):
        example(training_patients=np.array([1]))


def test_every_file_is_written_and_agrees(example: Callable, tmp_path: Path) -> None:
    results = example(noise="secure")
    write_run(results, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["noise"] == "secure"
    assert summary["warnings"] == []
    frame = pl.read_parquet(tmp_path / "run" / "metrics.parquet")
    overall = frame.filter(
        pl.col("hospital").is_null(), pl.col("round").is_null(), pl.col("patients") == "all"
    )
    for key in METHOD_KEYS:
        value = overall.filter(pl.col("method") == key, pl.col("metric") == "auc")["value"].item()
        assert value == pytest.approx(summary["auc"][key])
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()) == results.settings
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert set(manifest["files"]) == FILES - {"manifest.json"}
    assert manifest["seeds"] == {"seed": 0}
    assert manifest["versions"]["numpy"] == np.__version__


def test_metrics_are_long_with_nulls_for_what_does_not_exist(example: Callable) -> None:
    frame = metrics_table(example())
    one = frame.filter(
        pl.col("method") == "pooled", pl.col("metric") == "auc", pl.col("hospital") == "hospital 1"
    )
    assert one["value"].to_list() == [None]
    rounds = frame.filter(pl.col("round").is_not_null(), pl.col("metric") == "auc").sort("round")
    assert rounds["value"].to_list() == pytest.approx([0.55, 0.6, 0.65])
    assert set(frame["patients"]) == {"all", "known", "unknown"}
    assert not any(math.isnan(value) for value in frame["value"].drop_nulls())


def test_summary_comes_last(example: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(run_files, "write_durably", lambda path, content: written.append(path.name))
    write_run(example(), tmp_path)
    assert written[-1] == "summary.json"
    assert set(written) == FILES


def test_the_model_file_comes_back_and_fits_its_contract_only(example: Callable, tmp_path: Path) -> None:
    results = example()
    path = write_run(results, tmp_path, ReportSettings(html=False)).model
    stored = load_model(path, results.contract)
    np.testing.assert_array_equal(stored.weights, results.weights)
    assert stored.model == results.model
    assert stored.facts["simulation"] == "true"
    other = contract_from_mapping({**results.contract.to_mapping(), "version": 2})
    with pytest.raises(ContractError, match=r"model of contract small .*not of small") as caught:
        load_model(path, other)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_models_are_refused_in_one_line(example: Callable, tmp_path: Path) -> None:
    contract = example().contract
    with pytest.raises(ConfigurationError, match="no such file"):
        load_model(tmp_path / "missing.safetensors", contract)
    whole = write_run(example(), tmp_path, ReportSettings(html=False)).model.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    for content in (b"", b"\x80\x04pickle", whole[:100], whole[:-8], b"\xff" * 64):
        damaged.write_bytes(content)
        with pytest.raises(ContractError, match="not a safetensors file"):
            load_model(damaged, contract)
    broken = example(weights=np.full(contract.layout.width, np.nan))
    with pytest.raises(ContractError, match="not finite"):
        load_model(write_run(broken, tmp_path / "nan", ReportSettings(html=False)).model, contract)


def test_the_terminal_fits_80_columns_without_colour(
    example: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    results = example(noise="secure")
    print_run(results, write_run(results, tmp_path))
    text = capsys.readouterr().out
    assert "…" not in text
    assert "If every mask failed: ε = 3.2." in text
    assert f"{results.scores['federated_private'].auc:.3f}" in text
    assert "report.html" in text
    assert max(map(len, text.splitlines()[:-2])) <= 80


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        (
            {"unreadable date": 2, "no identifier": 0, "unreadable label": 1926, "training events": 2119},
            "Set aside: unreadable label 1,926, unreadable date 2.",
        ),
        ({"empty row": 0, "undecided patients": 3}, "Set aside: no row."),
    ],
)
def test_the_run_says_which_rows_of_a_table_of_ones_own_were_set_aside(
    example: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str], gate: dict[str, int], line: str
) -> None:
    results = replace(example(), how_read={"messages": 'visits.csv: separator ","'}, gate=gate)
    files = write_run(results, tmp_path)
    print_run(results, files)
    assert line in capsys.readouterr().out
    print_run(replace(results, how_read={}), files)
    assert "Set aside" not in capsys.readouterr().out


def test_how_tables_were_read_is_in_the_manifest_and_in_a_runs_first_lines(
    example: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read_as = {"messages": 'visits.csv: separator ";", dates ISO 8601', "consents": "c.xlsx: sheet Bajas"}
    results = replace(example(), how_read=read_as)
    files = write_run(results, tmp_path)
    assert json.loads(files.manifest.read_text())["tables_read_as"] == read_as
    print_run(results, files)
    lines = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in lines[:2]] == [f"Read {said}" for said in read_as.values()]
    assert (
        json.loads(write_run(example(), tmp_path / "synthetic").manifest.read_text())["tables_read_as"] == {}
    )


def test_an_earlier_run_goes_aside_and_is_said(
    example: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    write_run(example(seed=1), folder)
    assert capsys.readouterr().err == ""
    for seed in (2, 3):
        write_run(example(seed=seed), folder)
        aside = f"run.earlier-{seed - 1}"
        assert aside in capsys.readouterr().err
        assert json.loads((tmp_path / aside / "summary.json").read_text())["seed"] == seed - 1
    assert json.loads((folder / "summary.json").read_text())["seed"] == 3


def test_a_run_where_a_person_stands_is_never_moved(
    example: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(example(seed=1), tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"output_dir=\.: holds an earlier run; choose"):
        write_run(example(seed=2), Path())
    assert json.loads((tmp_path / "summary.json").read_text())["seed"] == 1


def test_an_earlier_file_makes_room_and_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As an audit's, or a count's: beside a run's files, which stay."""
    for number in range(3):
        make_room(tmp_path / "audit.json", tmp_path / "audit.html")
        (tmp_path / "audit.json").write_text(str(number))
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"audit.json": "2", "audit.earlier-1.json": "0", "audit.earlier-2.json": "1"}
    assert len(capsys.readouterr().err.splitlines()) == 2
