"""A run in MLflow: settings, figures, files, and the model in its registry with card and marks.

Where it stands is MLflow's own: ``MLFLOW_TRACKING_URI``, ``MLFLOW_REGISTRY_URI``, ``MLFLOW_EXPERIMENT_NAME``.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import gettempdir
from typing import Any, TypeGuard
from urllib.parse import urlsplit

# Before the import: MLflow else tells its makers that it is used, and writes its log as it likes.
os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_CONFIGURE_LOGGING": "false"})

import mlflow
import polars as pl
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from wardround.protocol.files import read_bounded
from wardround.protocol.text.plain import LARGEST_YAML, read_json, read_yaml
from wardround.simulations.report.trackers import NEVER_TRACKED

MODEL, CARD, CONFIG = "model.safetensors", "model_card.md", "config.yaml"
LONGEST_VALUE, LONGEST_CARD = 6000, 5000
"""Characters that MLflow keeps of a setting, and of a registry entry's description."""
_AT_ONCE = 100  # settings, which MLflow takes at most in one call
_NO_NAME = re.compile(r"[^\w./ :-]")  # what MLflow takes in no name
_LARGEST_SUMMARY = 2**26  # bytes
_MARKS = (
    "releasable", "usable_until", "patient_epsilon", "delta", "noise", "simulation", "terms_fingerprint",
)  # fmt: skip


class MlflowTracker:
    """Records runs of one study; simulations.report.trackers.Tracker."""

    def __init__(self, study: str) -> None:
        """Take the addresses that MLflow has been given. study: its name, by default also the experiment's."""
        self._study = study
        self._tracking, self._registry = mlflow.get_tracking_uri(), mlflow.get_registry_uri()

    @property
    def is_here(self) -> bool:
        """Whether all of it is kept on this machine."""
        return all(_is_here(uri) for uri in (self._tracking, self._registry))

    def record(self, folder: Path) -> str:
        """Record the run in a folder; errors are MLflow's, OSError and ValueError."""
        with _one_at_a_time():
            client = MlflowClient(self._tracking, self._registry)
            experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or self._study
            found = client.get_experiment_by_name(experiment)
            where = found.experiment_id if found else client.create_experiment(experiment)
            run = client.create_run(where, run_name=folder.name).info.run_id
            ended = "FAILED"
            try:
                summary = _summary(folder)
                _log(client, run, folder, summary)
                for path in sorted(folder.iterdir()):
                    if path.name not in NEVER_TRACKED:
                        _log_artifact(client, run, path)
                version = self._register(client, run, folder, summary)
                ended = "FINISHED"
            finally:
                client.set_terminated(run, ended)
        return f"run {run}, model {self._study} version {version}, at {_shown(self._tracking)}"

    def _register(self, client: MlflowClient, run: str, folder: Path, summary: Mapping[str, Any]) -> str:
        card = (folder / CARD).read_text() if (folder / CARD).exists() else ""
        if not client.search_registered_models(f"name = '{self._study}'"):
            client.create_registered_model(self._study)
        source = f"{client.get_run(run).info.artifact_uri}/{MODEL}"
        version = client.create_model_version(
            self._study, source, run_id=run, description=_within(card, LONGEST_CARD), tags=_marks(summary)
        )
        return str(version.version)


def _is_here(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme in ("", "file", "sqlite") and not parts.netloc


def _shown(uri: str) -> str:
    """Give an address without the password that it may hold."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.netloc else uri


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let the jobs of a sweep come one by one: two that make MLflow's tables at once break both."""
    path = Path(gettempdir()) / f"wardround-mlflow-{os.getuid()}.lock"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _summary(folder: Path) -> dict[str, Any]:
    return dict(read_json((folder / "summary.json").read_bytes(), _LARGEST_SUMMARY))


def _log(client: MlflowClient, run: str, folder: Path, summary: Mapping[str, Any]) -> None:
    settings = read_yaml(read_bounded(folder / CONFIG, LARGEST_YAML), CONFIG)
    params = [Param(_name(key), _within(str(value), LONGEST_VALUE)) for key, value in _flat(settings)]
    metrics = [Metric(_name(key), value, 0, 0) for key, value in _flat(summary) if _is_figure(value)]
    metrics += _by_round(folder)
    tags = [RunTag(f"wardround.{key}", value) for key, value in _marks(summary).items()]
    tags.append(RunTag("wardround.warnings", " ".join(summary["warnings"])))
    for start in range(0, max(len(params), len(metrics)), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        client.log_batch(run, metrics[here], params[here], tags if start == 0 else ())


def _by_round(folder: Path) -> list[Metric]:
    """Give AUC, ε and seconds of each round as steps."""
    table = pl.read_parquet(BytesIO((folder / "metrics.parquet").read_bytes()))
    rows = table.filter(pl.col("round").is_not_null() & pl.col("value").is_not_null())
    return [
        Metric(f"round.{row['metric']}", row["value"], 0, row["round"]) for row in rows.iter_rows(named=True)
    ]


def _flat(plain: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Give the values of nested mappings under dotted keys; a list is one value."""
    if isinstance(plain, Mapping):
        for name, value in plain.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, json.dumps(plain, ensure_ascii=False) if isinstance(plain, list | tuple) else plain


def _name(key: str) -> str:
    return _NO_NAME.sub("_", key)


def _is_figure(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _marks(summary: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(summary[name]) for name in _MARKS if summary.get(name) is not None}


def _within(text: str, most: int) -> str:
    end = f"… ({CARD} goes on)"
    return text if len(text) <= most else text[: most - len(end)] + end


def _log_artifact(client: MlflowClient, run: str, path: Path) -> None:
    if path.is_dir():
        client.log_artifacts(run, str(path), path.name)
    else:
        client.log_artifact(run, str(path))
