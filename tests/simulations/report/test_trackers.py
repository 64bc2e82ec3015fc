"""A run in the real MLflow: what it records, what it never gets, and what is left where it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.conf.test_compose import settings
from wardround.protocol.errors import ConfigurationError
from wardround.simulations.report.trackers import record, trackers_of

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, of every kind
CELL = "QSECRETQ"
SUMMARY = {
    "study": "tiny",
    "auc": {"federated_private": 0.7, "local": None},
    "patient_epsilon": 1.0,
    "delta": 1e-5,
    "noise": "local",
    "simulation": True,
    "gate": {"source x without opt-in (values only)": 3},
    "releasable": False,
    "warnings": ["on a real table this protects nobody"],
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    return uri


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "7"
    (folder / "figures").mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(SUMMARY))
    (folder / "config.yaml").write_text(
        "seed: 7\nprivacy: {target_epsilon: 1.0}\ncontract: {fields: [a, b]}\n"
    )
    rounds = {"round": [1, 2, None], "metric": ["auc"] * 3, "value": [0.6, 0.7, 0.5]}
    pl.DataFrame(rounds).write_parquet(folder / "metrics.parquet")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "model_card.md").write_text("# Card\n" + "é" * 9000)
    (folder / "predictions.parquet").write_text(CELL)
    (folder / "figures" / "methods.svg").write_text("<svg/>")
    return folder


@pytest.mark.slow
def test_a_run_is_recorded_with_card_and_marks_and_without_rows_of_patients(
    store: str, run: Path, tmp_path: Path
) -> None:
    from mlflow.tracking import MlflowClient

    study = settings("experiment=tiny", "report.trackers=[mlflow]")
    trackers = trackers_of(study)
    assert [line.split()[0] for line in (*record(trackers, run), *record(trackers, run))] == ["mlflow:"] * 2
    client = MlflowClient(store, store)
    first, second = client.search_model_versions(f"name = '{study.study}'", order_by=["version_number ASC"])
    kept = client.get_run(first.run_id)
    assert kept.info.run_name == "7"
    assert kept.info.status == "FINISHED"
    assert kept.data.params["privacy.target_epsilon"] == "1.0"
    assert kept.data.metrics["auc.federated_private"] == 0.7
    assert kept.data.metrics["gate.source x without opt-in _values only_"] == 3
    assert [(one.step, one.value) for one in client.get_metric_history(first.run_id, "round.auc")] == [
        (1, 0.6),
        (2, 0.7),
    ]
    assert first.tags["releasable"] == "False"
    assert first.tags["patient_epsilon"] == "1.0"
    assert kept.data.tags["wardround.warnings"] == SUMMARY["warnings"][0]
    assert first.description.startswith("# Card")
    assert first.description.endswith("(model_card.md goes on)")
    assert second.run_id != first.run_id
    files = {one.path for one in client.list_artifacts(first.run_id)}
    assert {"model.safetensors", "summary.json", "figures"} <= files
    assert not any(
        CELL.encode() in path.read_bytes() for path in tmp_path.glob("mlruns/**/*") if path.is_file()
    )


@pytest.mark.slow
def test_a_store_that_fails_loses_nothing_of_the_run(store: str, run: Path, tmp_path: Path, capsys) -> None:
    Path(store.removeprefix("sqlite:///")).write_text("no database")
    study = settings("experiment=tiny", "report.trackers=[mlflow]")
    assert record(trackers_of(study), run) == []
    assert f"the run was not recorded (DatabaseError); it is in {run}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
@pytest.mark.parametrize(
    "uri", ["https://track.example", "postgresql://user:word@db/x", "file://elsewhere/share"]
)
def test_exact_figures_of_a_real_table_go_to_no_other_machine(
    store: str, name: str, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, uri)
    with pytest.raises(ConfigurationError, match="stay on this machine"):
        trackers_of(settings("data=noshow", "data.path=x", "report.trackers=[mlflow]"))


def test_without_mlflow_a_study_says_so_before_it_begins(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    sys.modules.pop("wardround.simulations.report.with_mlflow", None)
    study = settings("experiment=tiny", "report.trackers=[mlflow]")
    with pytest.raises(ConfigurationError, match=r"report.trackers=mlflow: mlflow is not installed"):
        trackers_of(study)


def test_no_study_imports_mlflow_that_does_not_ask_for_it() -> None:
    code = "import sys, wardround.simulations.study.study; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0
