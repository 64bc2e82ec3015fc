"""Experiment trackers, which take a finished run's files into their own store.

A tracker reads what the run's folder holds, so whatever happens to it, nothing of the run is lost.
"""

import sys
from pathlib import Path
from typing import Protocol

from wardround.conf.settings import StudySettings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import complain

NEVER_TRACKED = frozenset({"predictions.parquet"})
"""Rows of patients: they stay in the run's folder, also where every patient is invented."""


class Tracker(Protocol):
    """Records a run, and says where."""

    def record(self, folder: Path) -> str:
        """Record a finished run's folder; errors are the tracker's own."""


def trackers_of(settings: StudySettings) -> dict[str, Tracker]:
    """Open the trackers that a study asks for, before it begins.

    ConfigurationError where one is not installed, or would send exact figures of a real table away.
    """
    return {name: _open(name, settings) for name in settings.report.trackers}


def _open(name: str, settings: StudySettings) -> Tracker:
    try:
        # Seconds to import, and an extra of its own.
        from wardround.simulations.report.with_mlflow import MlflowTracker
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mlflow", "sqlalchemy", "alembic"):
            raise
        raise ConfigurationError(
            f"report.trackers={name}: {error.name} is not installed; in the checkout scripts/install.sh "
            f"{sys.prefix} trackers"
        ) from error
    tracker = MlflowTracker(settings.study)
    if settings.data.name != "synthetic" and not tracker.is_here:
        raise ConfigurationError(
            f"report.trackers={name}: a study of a real table writes exact figures, which stay on this machine; "
            "MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI must be sqlite:///… or a folder"
        )
    return tracker


def record(trackers: dict[str, Tracker], folder: Path) -> list[str]:
    """Have each tracker take the run; give a line for each that did. One that fails says so, and loses nothing."""
    lines = []
    for name, tracker in trackers.items():
        try:
            lines.append(f"{name}: {tracker.record(folder)}")
        except Exception as error:
            # Of somebody else's store: full, locked, away, of another version.
            complain(
                f"report.trackers={name}: the run was not recorded ({type(error).__name__}); it is in {folder}"
            )
    return lines
