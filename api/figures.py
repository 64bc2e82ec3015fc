"""``study.plot`` and ``sweep.plot``: figures by matplotlib, to show, change and save."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from wardround.conf.settings import FIGURE_FORMATS
from wardround.protocol.errors import ConfigurationError
from wardround.simulations.report import figures
from wardround.simulations.report.scores import SHARED


@dataclass(frozen=True, eq=False)
class StudyPlots:
    """A study's figures; each method makes a new ``matplotlib`` figure, which is the caller's to change.

    >>> import wardround
    >>> wardround.simulate("experiment=tiny").plot
    StudyPlots(methods, rounds, hospitals, calibration)

    One that chose messages (``outreach=personalised``) has ``outreach`` too.
    """

    _summary: Mapping[str, Any] = field(repr=False)
    _metrics: pl.DataFrame = field(repr=False)
    _predictions: Callable[[str], pl.DataFrame] = field(repr=False)

    def __repr__(self) -> str:
        """Name the figures."""
        return f"StudyPlots({', '.join(self._drawn())})"

    def methods(self) -> Figure:
        """AUC of every method side by side, filled where patients are protected.

        >>> import wardround
        >>> figure = wardround.simulate("experiment=tiny").plot.methods()
        >>> len(figure.axes[0].get_yticks())
        8
        """
        return figures.methods_figure(self._summary)

    def rounds(self) -> Figure:
        """AUC and patient ε of the shared private model, round after round.

        >>> import wardround
        >>> figure = wardround.simulate("experiment=tiny").plot.rounds()
        >>> figure.axes[0].get_xlabel()
        'round'
        """
        return figures.rounds_figure(self._summary, self._metrics)

    def hospitals(self) -> Figure:
        """Each hospital's AUC together against alone, both private: above the line it gained.

        >>> import wardround
        >>> figure = wardround.simulate("experiment=tiny").plot.hospitals()
        >>> figure.axes[0].get_xlabel()
        'AUC alone, private'
        """
        return figures.hospitals_figure(self._metrics)

    def calibration(self, *models: str) -> Figure:
        """Share that engaged by predicted probability; of the shared private model where no other is named.

        ConfigurationError for an unknown method, or where a loaded study kept no predictions.

        >>> import wardround
        >>> figure = wardround.simulate("experiment=tiny").plot.calibration("pooled", "federated_private")
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['pooled', 'federated_private']
        """
        named = models or (SHARED,)
        found = [self._predictions(name) for name in named]
        columns = [part["probability"].alias(name) for name, part in zip(named, found, strict=True)]
        return figures.calibration_figure(pl.DataFrame([found[0]["label"], *columns]), named)

    def outreach(self) -> Figure:
        """What messages of the model's choice gain over the best single one, by group.

        ConfigurationError where the study chose none (``outreach=personalised`` does).

        >>> import wardround
        >>> few = {"data.patients": 1200, "data.messages": 5000, "data.largest": 900}
        >>> study = wardround.simulate("experiment=tiny", "outreach=personalised", **few)
        >>> study.plot.outreach().axes[0].get_xlabel()
        'points of engagement over the best single message'
        """
        return figures.outreach_figure(self._summary)

    def save(self, folder: Path | str, kind: str = "svg") -> list[Path]:
        """Write every figure to ``folder`` as ``svg`` or ``png``, and give the files.

        >>> import tempfile, wardround
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [file.name for file in wardround.simulate("experiment=tiny").plot.save(folder)]
        ['methods.svg', 'rounds.svg', 'hospitals.svg', 'calibration.svg']
        """
        if kind not in FIGURE_FORMATS:
            raise ConfigurationError(f"kind={kind}: must be one of {', '.join(FIGURE_FORMATS)}")
        Path(folder).mkdir(parents=True, exist_ok=True)
        files = []
        for name, draw in self._drawn().items():
            files.append(Path(folder) / f"{name}.{kind}")
            files[-1].write_bytes(figures.figure_bytes(draw(), kind))
        return files

    def _drawn(self) -> dict[str, Callable[[], Figure]]:
        drawn: dict[str, Callable[[], Figure]] = {
            "methods": self.methods, "rounds": self.rounds,
            "hospitals": self.hospitals, "calibration": self.calibration,
        }  # fmt: skip
        return drawn if self._summary.get("outreach") is None else {**drawn, "outreach": self.outreach}
