"""A sweep: one study for every combination of some settings, and what accuracy each ε bought."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.simulations.report.frontier_view import Frontier
from wardround.simulations.report.sweep import Job, flat, frontier_of, write_frontier
from wardround.study import simulate

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, kw_only=True)
class Sweep:
    """What a sweep found; ``wardround.sweep`` gives one.

    summaries: by job, named by what it varies, the plain data of its summary. failed: by job, why.

    >>> import wardround
    >>> sweep = wardround.sweep({"epsilon": [1.0, 4.0]}, "experiment=tiny")
    >>> sorted(sweep.summaries)
    ['epsilon=1.0', 'epsilon=4.0']
    """

    summaries: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]
    _frontier: Frontier = field(repr=False)

    def table(self) -> pl.DataFrame:
        """Give a row for each method and each setting that differs besides the seed.

        Rows stand by noise mode, then ascending in ε.

        epsilon: mean verified patient ε. noise. A column per other setting. seeds: how many. method; auc, auc_sd:
        mean and standard deviation over seeds (null for one); macro_auc: mean over hospitals.

        >>> import wardround
        >>> table = wardround.sweep({"epsilon": [1.0, 4.0], "seed": [0, 1]}, "experiment=tiny").table()
        >>> table.filter(table["method"] == "federated_private")["seeds"].to_list()
        [2, 2]
        """
        rows = [
            {
                "epsilon": row.epsilon,
                "noise": row.noise,
                **row.other_settings,
                "seeds": len(row.seeds),
                "method": method,
                "auc": mean,
                "auc_sd": None if math.isnan(spread) else spread,
                "macro_auc": row.macro_auc[method][0] if method in row.macro_auc else None,
            }
            for row in self._frontier.rows
            for method, (mean, spread) in row.auc.items()
        ]
        # All rows decide the types: a setting may be whole in the first hundred and a fraction after.
        return pl.DataFrame(rows, infer_schema_length=None)

    def plot(self) -> "Figure":
        """AUC by patient ε: a line for every private method and other setting, by matplotlib.

        >>> import wardround
        >>> figure = wardround.sweep({"epsilon": [1.0, 4.0]}, "experiment=tiny").plot()
        >>> figure.axes[0].get_xscale()
        'log'
        """
        from wardround.simulations.report.figures import frontier_figure

        return frontier_figure(self._frontier)


def sweep(
    over: Mapping[str, Iterable[object]], *overrides: str | Mapping[str, object], **settings: object
) -> Sweep:
    """Run one study for every combination of ``over``'s values; the rest is as for ``simulate``.

    over: names of settings to their values, as in ``{"epsilon": [0.5, 1, 2], "seed": range(3)}``. A job that fails
    is named with its error, and the others go on. With ``output_dir``, each job's folder and the frontier's files
    stand below it. ConfigurationError where ``over`` holds no value, or every job failed.

    >>> import wardround
    >>> wardround.sweep({"rounds": [2, 4]}, "experiment=tiny").table()["training.rounds"].unique().sort().to_list()
    [2, 4]
    """
    values = {name: list(several) for name, several in over.items()}
    empty = next((name for name, several in values.items() if not several), None)
    if not values or empty is not None:
        raise ConfigurationError(f"over.{empty or '…'}: must name settings and hold at least one value each")
    folder = settings.pop("output_dir", None)
    jobs, failed = [], {}
    for combination in product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        name = ",".join(f"{key}={value}" for key, value in chosen.items())
        # A value that holds a slash, as a path does, must not become a folder below a folder.
        own = {} if folder is None else {"output_dir": Path(str(folder)) / name.replace("/", "_")}
        try:
            study = simulate(*overrides, settings, chosen, own)
        except WardroundError as error:
            failed[name] = str(error)
        else:
            jobs.append(Job(name, flat(study.settings), study.summary))
    if not jobs:
        raise ConfigurationError(f"over: no job ended; {next(iter(failed))}: {next(iter(failed.values()))}")
    if folder is not None:
        write_frontier(Path(str(folder)))
    summaries = {job.name: job.summary for job in jobs if job.summary is not None}
    return Sweep(summaries=summaries, failed=failed, _frontier=frontier_of(jobs))
