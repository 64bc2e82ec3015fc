"""A simulated study as a value: run it, look at it, keep it in a folder, read it back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from wardround.conf.compose import study_settings
from wardround.conf.composed import chosen_folder, compose_study
from wardround.conf.settings import ReportSettings
from wardround.protocol.errors import ConfigurationError, TableError
from wardround.protocol.files import read_bounded
from wardround.protocol.model.model_file import StoredModel, load_model
from wardround.protocol.text.plain import read_json, read_yaml
from wardround.protocol.text.say import say
from wardround.scoring import Model
from wardround.simulations.report.predictions import SPLITS, predictions_table
from wardround.simulations.report.run_files import metrics_table, model_facts, write_run
from wardround.simulations.report.scores import METHODS, SHARED
from wardround.simulations.report.summary import Results, summarise
from wardround.simulations.report.trackers import record, trackers_of
from wardround.simulations.study.study import conduct

if TYPE_CHECKING:
    from wardround.figures import StudyPlots

_LARGEST = 2**26  # bytes of a summary, or of a run's settings
_FIRST = ("split", "hospital", "patient", "row", "known", "label")


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """What one simulated study found; ``simulate`` and ``load`` give one.

    summary: the plain data of ``summary.json``. settings: the composed study, of ``config.yaml``. metrics: long
    form: method, hospital (null: all), patients (all, known, unknown), round, metric, value. model: the shared
    private model. Simulations only: all scores are read off held-out patients without noise.

    >>> import wardround
    >>> study = wardround.simulate("experiment=tiny")
    >>> study.summary["hospitals"], study.settings["training"]["rounds"]
    (3, 10)
    """

    summary: Mapping[str, Any]
    settings: Mapping[str, Any]
    metrics: pl.DataFrame
    model: Model
    _results: Results | None = field(default=None, repr=False)
    _read: pl.DataFrame | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        """Say what was reached, and at which ε."""
        epsilon, auc = self.summary["patient_epsilon"], self.summary["auc"][SHARED]
        reached = "" if auc is None else f", AUC {auc:.3f} together, private"
        who = f"{self.summary['study']}: {self.summary['hospitals']} hospitals"
        return f"Study({who}, patient ε {epsilon:.3f}{reached})"

    def table(self) -> pl.DataFrame:
        """Give the methods side by side, a row each, over all held-out events.

        method: its key in the summary. title: for a reader. epsilon: the verified patient ε, null where
        nothing protects the patients. auc; macro_auc: mean over hospitals; log_loss in nats; calibration_error.

        >>> import wardround
        >>> study = wardround.simulate("experiment=tiny")
        >>> study.table()["method"].to_list()[-2:]
        ['local', 'local_private']
        """
        summary = self.summary
        rows = [
            {
                "method": method.key,
                "title": method.title,
                "epsilon": summary["patient_epsilon"] if method.private else None,
                "auc": summary["auc"][method.key],
                "macro_auc": summary["macro_auc"][method.key],
                "log_loss": summary["log_loss"][method.key],
                "calibration_error": summary["calibration"][method.key]["expected_error"],
            }
            for method in METHODS
            if method.key in summary["calibration"]
        ]
        text, number = pl.String(), pl.Float64()
        schema = {key: text if key in ("method", "title") else number for key in rows[0]}
        return pl.DataFrame(rows, schema=schema)

    def predictions(self, *, model: str = SHARED, split: str = "held_out") -> pl.DataFrame:
        """Give one method's probability for every event: hospital, patient, row, known, label, probability.

        patient: a keyed hash of the identifier, hex. row: position in the table that was read. known: whether the
        patient had a history at the event. label: 1.0 engaged, 0.0 not. Over ``held_out`` rows, the AUC of
        probability against label is the summary's. split: ``held_out``; or ``training``, for the shared private
        model alone. ConfigurationError for another name, or where a loaded study kept no predictions.

        >>> import wardround
        >>> study = wardround.simulate("experiment=tiny")
        >>> study.predictions(model="local_private").columns
        ['hospital', 'patient', 'row', 'known', 'label', 'probability']
        """
        table = self._predictions
        if split not in SPLITS:
            raise ConfigurationError(f"split={split}: must be one of {', '.join(SPLITS)}")
        part = table.filter(pl.col("split") == split)
        methods = [key for key in part.columns if key not in _FIRST and part[key].null_count() < part.height]
        if model not in methods:
            raise ConfigurationError(f"model={model}: must be one of {', '.join(methods)}, for split={split}")
        return part.select(*_FIRST[1:], pl.col(model).alias("probability"))

    def save(self, folder: Path | str, *, predictions: bool | None = None, html: bool = True) -> Path:
        """Write the run's files, as the command does, and give their folder; ``load`` reads them back.

        predictions: also ``predictions.parquet``; None: only where every patient is invented. html: also the
        page. ConfigurationError for a study that was loaded: it is in its folder already.

        >>> import tempfile, wardround
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = wardround.simulate("experiment=tiny").save(folder)
        ...     sorted(file.name for file in path.iterdir())[0]
        'config.yaml'
        """
        if self._results is None:
            raise ConfigurationError(f"folder={folder}: this study was loaded; copy its folder")
        write_run(self._results, Path(folder), ReportSettings(html=html, predictions=predictions))
        return Path(folder)

    @property
    def plot(self) -> "StudyPlots":
        """The study's figures, by matplotlib.

        >>> import wardround
        >>> figure = wardround.simulate("experiment=tiny").plot.methods()
        """
        # Slow to import, and not everybody plots.
        from wardround.figures import StudyPlots

        return StudyPlots(self.summary, self.metrics, lambda model: self.predictions(model=model))

    @cached_property
    def _predictions(self) -> pl.DataFrame:
        if self._results is not None:
            return predictions_table(self._results)
        if self._read is None:
            raise ConfigurationError(
                "predictions.parquet is not in this study's folder; run it with report.predictions=true"
            )
        return self._read


def simulate(*overrides: str | Mapping[str, object], **settings: object) -> Study:
    """Run one study on this machine: local, pooled, federated, private and personalised, side by side.

    overrides: what ``wardround-simulate`` takes, as in ``"data=noshow"``; or mappings of dotted keys to values,
    as in ``{"data.path": path}``. settings: a group's option (``model="mlp"``) or its keys (``model={"hidden":
    [8]}``), a key of the study itself (``seed=3``), or of ``privacy`` and ``training`` (``epsilon=1.0``,
    ``rounds=20``). Nothing is written unless ``output_dir`` is given.

    Errors: those of ``WardroundError``, one line each, that names the setting, its value and what is allowed.

    >>> import wardround
    >>> study = wardround.simulate("experiment=tiny", epsilon=2.0)
    >>> study.summary["patient_epsilon"] <= 2.0
    True
    """
    texts, given = _parted(overrides, settings)
    chosen = compose_study("report.progress=false", *texts, given=given)
    folder, trackers = chosen_folder(texts, given), trackers_of(chosen)
    if trackers and folder is None:
        raise ConfigurationError("report.trackers: a tracker takes a run's files; give output_dir")
    results = conduct(chosen)
    if folder is not None:
        write_run(results, folder, chosen.report)
        say(*record(trackers, folder))
    return _study_of(results)


def load(folder: Path | str) -> Study:
    """Read a run's folder back: its summary, settings, metrics, model, and predictions where they were kept.

    ConfigurationError, one line, where a file is missing or is not a run's.

    >>> import tempfile, wardround
    >>> study = wardround.simulate("experiment=tiny")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = wardround.load(study.save(folder))
    >>> again.table().equals(study.table())
    True
    """
    folder = Path(folder)
    summary = read_json(_content(folder, "summary.json"), _LARGEST)
    settings = read_yaml(_content(folder, "config.yaml"), "config.yaml")
    if not isinstance(summary, dict) or not isinstance(settings, dict) or "auc" not in summary:
        raise ConfigurationError(
            f"folder={folder}: summary.json is not a run's; give a folder that a run wrote"
        )
    contract = study_settings(settings).contract
    stored = load_model(folder / "model.safetensors", contract)
    kept = folder / "predictions.parquet"
    return Study(
        summary=summary,
        settings=settings,
        metrics=_parquet(folder / "metrics.parquet"),
        model=Model(contract, stored),
        _read=_parquet(kept) if kept.is_file() else None,
    )


def _study_of(results: Results) -> Study:
    stored = StoredModel(results.model, results.weights, model_facts(results))
    # As a reader of summary.json finds it: numbers and texts, no tuple.
    summary = read_json(json.dumps(summarise(results)).encode(), _LARGEST)
    return Study(
        summary=summary,
        settings=results.settings,
        metrics=metrics_table(results),
        model=Model(results.contract, stored),
        _results=results,
    )


def _parted(
    overrides: tuple[str | Mapping[str, object], ...], settings: Mapping[str, object]
) -> tuple[tuple[str, ...], dict[str, object]]:
    """Sort what a caller gave into overrides, which are text, and values; a later value wins."""
    given: dict[str, object] = {}
    for override in overrides:
        if isinstance(override, Mapping):
            given.update(override)
        elif not isinstance(override, str):
            raise ConfigurationError(
                f'{override}: must be a text, as in "data=noshow", or a mapping of settings'
            )
    return tuple(text for text in overrides if isinstance(text, str)), {**given, **settings}


def _content(folder: Path, name: str) -> bytes:
    try:
        return read_bounded(folder / name, _LARGEST)
    except OSError as error:
        raise ConfigurationError(
            f"{folder / name}: cannot be read ({error.strerror}); give a folder that a run wrote"
        ) from None


def _parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(
            f"{path}: cannot be read ({type(error).__name__}); give a folder that a run wrote"
        ) from None
