"""The files of a run, each written whole or not at all; summary.json comes last: the rest is then there."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from io import BytesIO
from itertools import count
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from wardround.conf.settings import FIGURE_FORMATS, ReportSettings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_durably
from wardround.protocol.model.model_file import model_bytes
from wardround.protocol.model.weight_error_file import WEIGHT_ERROR, weight_error_bytes
from wardround.protocol.text.say import complain
from wardround.server.report.model_facts import release_facts
from wardround.simulations.report.card import card_files
from wardround.simulations.report.predictions import predictions_table
from wardround.simulations.report.scores import MethodScores
from wardround.simulations.report.summary import PROTECTS_NOBODY_WARNING, Results, summarise

PACKAGES = (
    "torch",
    "opacus",
    "flwr",
    "numpy",
    "scipy",
    "polars",
    "scikit-learn",
    "dp-accounting",
    "hydra-core",
)
FIGURES = ("methods", "rounds", "hospitals", "calibration", "outreach")
EARLIER = ".earlier-"
"""Stands in the name of a folder whose run made room for another."""
CONTRACT = "contract.yaml"
OPTIONAL = ("report.html", "README.md", "predictions.parquet", WEIGHT_ERROR)
"""Files that one run leaves and another does not."""


@dataclass(frozen=True)
class RunFiles:
    """Where a run's files are; report is None where no page was asked for."""

    summary: Path
    metrics: Path
    model: Path
    config: Path
    manifest: Path
    report: Path | None
    card: Path | None = None


def write_run(results: Results, folder: Path, report: ReportSettings | None = None) -> RunFiles:
    """Write every file of the run into ``folder``, which is made where it is missing; an earlier run goes aside.

    report: what to write besides what every run leaves; None for the default.
    """
    report = report or ReportSettings()
    summary, metrics = summarise(results), metrics_table(results)
    keeps_predictions = _with_predictions(results, report)
    predictions = predictions_table(results) if keeps_predictions or report.figures else None
    contents = {
        "metrics.parquet": _parquet(metrics),
        "model.safetensors": model_bytes(
            results.contract, results.model, results.weights, model_facts(results)
        ),
        "config.yaml": yaml.safe_dump(results.settings, sort_keys=False, allow_unicode=True).encode(),
        CONTRACT: yaml.safe_dump(results.contract.to_mapping(), sort_keys=False, allow_unicode=True).encode(),
    }
    if results.weight_error is not None:
        contents[WEIGHT_ERROR] = weight_error_bytes(results.contract, results.weight_error)
    contents |= card_files(results)
    if results.real_table:
        contents["README.md"] = f"# {results.study}\n\nWarning: {PROTECTS_NOBODY_WARNING}\n".encode()
    if predictions is not None:
        if keeps_predictions:
            contents["predictions.parquet"] = _parquet(predictions)
        contents |= _figures(summary, metrics, predictions, report.figures)
    if report.html:
        from wardround.simulations.report.page import (
            render_report,  # Jinja is not needed for a run without a page
        )

        contents["report.html"] = render_report(results).encode()
    last = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    # The manifest has the summary's hash, so both are made before either is written.
    manifest = _manifest(results, {**contents, "summary.json": last})
    contents["manifest.json"] = json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"
    set_aside(folder, "summary.json")
    for part in {(folder / name).parent for name in contents} | {folder}:
        part.mkdir(parents=True, exist_ok=True)
    for name, content in {**contents, "summary.json": last}.items():
        write_durably(folder / name, content)
    for name in {*OPTIONAL, *_every_figure()} - set(contents):
        (folder / name).unlink(missing_ok=True)  # one of an earlier run would contradict this one
    return RunFiles(
        summary=folder / "summary.json",
        metrics=folder / "metrics.parquet",
        model=folder / "model.safetensors",
        config=folder / "config.yaml",
        manifest=folder / "manifest.json",
        report=folder / "report.html" if report.html else None,
        card=folder / "model_card.html" if results.assessment else None,
    )


def set_aside(folder: Path, last: str) -> None:
    """Give a folder that holds an earlier run another name, and say which: nobody's results are overwritten.

    last: the file that tells of one. ConfigurationError where the folder cannot be renamed.
    """
    if not (folder / last).exists():
        return
    if Path.cwd().is_relative_to(folder.resolve()):
        raise ConfigurationError(f"output_dir={folder}: holds an earlier run; choose a folder below it")
    aside = free_name(folder)
    try:
        folder.rename(aside)
    except OSError as error:
        raise ConfigurationError(
            f"output_dir={folder}: holds an earlier run, and cannot be renamed ({error.strerror}); choose another"
        ) from error
    complain(f"{folder}: the run that was here is now in {aside}")


def make_room(*paths: Path) -> None:
    """Give each of these files that is there another name beside it, and say which."""
    for path in paths:
        if path.exists():
            complain(f"{path}: the earlier one is now {path.rename(free_name(path))}")


def free_name(path: Path) -> Path:
    """Give a name beside ``path`` that nothing has yet, for what makes room for a new one."""
    names = (path.with_name(f"{path.stem}{EARLIER}{number}{path.suffix}") for number in count(1))
    return next(name for name in names if not name.exists())


def metrics_table(results: Results) -> pl.DataFrame:
    """Long form: method, hospital (null: all), patients (all, known, unknown), round, metric, value.

    A metric that does not exist (AUC of one class) is null.
    """
    frames = [_overall(key, scores) for key, scores in results.scores.items()]
    frames += [_by_hospital(key, scores, results) for key, scores in results.scores.items()]
    frames.append(_by_round(results))
    return pl.concat(frames).with_columns(pl.col("value").fill_nan(None))


def _frame(method: str, metric: list[str], value: list[float], **columns: list[object]) -> pl.DataFrame:
    empty: list[object] = [None] * len(value)
    return pl.DataFrame(
        {
            "method": [method] * len(value),
            "hospital": columns.get("hospital", empty),
            "patients": columns.get("patients", ["all"] * len(value)),
            "round": columns.get("round", empty),
            "metric": metric,
            "value": value,
        },
        schema={
            "method": pl.String, "hospital": pl.String, "patients": pl.String,
            "round": pl.Int64, "metric": pl.String, "value": pl.Float64,
        },
    )  # fmt: skip


def _overall(key: str, scores: MethodScores) -> pl.DataFrame:
    rows: list[tuple[str, str, float]] = [
        ("auc", "all", scores.auc),
        ("auc", "known", scores.auc_known),
        ("auc", "unknown", scores.auc_unknown),
        ("macro_auc", "all", scores.macro_auc),
        ("log_loss", "all", scores.log_loss),
        ("calibration_error", "all", scores.calibration.expected_error),
        ("calibration_slope", "all", scores.calibration.slope),
        ("calibration_intercept", "all", scores.calibration.intercept),
    ]
    metric, patients, value = zip(*rows, strict=True)
    return _frame(key, list(metric), list(value), patients=list(patients))


def _by_hospital(key: str, scores: MethodScores, results: Results) -> pl.DataFrame:
    hospitals: list[object] = [*results.hospitals, *results.hospitals]
    value = np.concatenate([scores.hospital_auc, scores.hospital_log_loss]).tolist()
    count = len(results.hospitals)
    return _frame(key, ["auc"] * count + ["log_loss"] * count, value, hospital=hospitals)


def _by_round(results: Results) -> pl.DataFrame:
    names = ("auc", "epsilon", "seconds")
    rows = [(name, row.round, float(getattr(row, name))) for name in names for row in results.rounds]
    return _frame(
        "federated_private",
        [row[0] for row in rows],
        [row[2] for row in rows],
        round=[row[1] for row in rows],
    )


def _figures(
    summary: Mapping[str, object], metrics: pl.DataFrame, predictions: pl.DataFrame, formats: Sequence[str]
) -> dict[str, bytes]:
    """Draw the run's figures: file by name; nothing where no format is asked for."""
    if not formats:
        return {}
    # matplotlib takes a second to import.
    from wardround.simulations.report.figures import figure_bytes, run_figures

    drawn = run_figures(summary, metrics, predictions)
    return {
        f"figures/{name}.{kind}": figure_bytes(figure, kind)
        for name, figure in drawn.items()
        for kind in formats
    }


def _every_figure() -> list[str]:
    return [f"figures/{name}.{kind}" for name in FIGURES for kind in FIGURE_FORMATS]


def _with_predictions(results: Results, report: ReportSettings) -> bool:
    # A row per patient of a real table is personal data: only a person who asks for it gets it.
    return not results.real_table if report.predictions is None else report.predictions


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def model_facts(results: Results) -> dict[str, str]:
    """Give the texts that a run writes beside its model's weights."""
    return {
        "study": results.study,
        "terms_fingerprint": results.terms_fingerprint,
        "patient_epsilon": repr(results.privacy.patient_epsilon),
        "delta": repr(results.privacy.delta),
        "noise": results.privacy.mode.name,
        "simulation": "true",
        **_release_facts(results),
    }


def _release_facts(results: Results) -> dict[str, str]:
    return release_facts(results.assessment) if results.assessment is not None else {}


def _manifest(results: Results, contents: Mapping[str, bytes]) -> dict[str, object]:
    return {
        "study": results.study,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **_versions()},
        "platform": platform.platform(),
        "seeds": {"seed": results.seed},
        # Of a real table a hash would be a test: whoever knows all rows but one tries what that one holds.
        "data_fingerprint": None if results.real_table else results.data_fingerprint,
        "tables_read_as": dict(results.how_read),
        "contract_fingerprint": results.contract.fingerprint,
        "terms_fingerprint": results.terms_fingerprint,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }


@cache  # a sweep asks once per run
def _versions() -> dict[str, str]:
    found = {}
    for package in ("wardround", *PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """Commit of the checkout that this code runs from; None where it is installed, or git is not there."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # an installed copy may stand inside somebody else's repository
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
