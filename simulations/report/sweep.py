"""A sweep's frontier: what accuracy each ε bought, over every job that ended; those that failed are named."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import polars as pl
from markupsafe import Markup

from wardround.conf.sweep_table import read_jobs as read_table
from wardround.conf.sweep_table import varied
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_durably
from wardround.protocol.privacy.noise import SUPPOSED
from wardround.protocol.text.plain import read_json, read_yaml
from wardround.simulations.measures.engagement import ALL, POLICIES
from wardround.simulations.report.frontier_view import (
    SWEPT_POLICIES,
    Frontier,
    FrontierRow,
    engaged_table,
    frontier_chart,
    frontier_table,
)
from wardround.simulations.report.page import environment
from wardround.simulations.report.run_files import EARLIER
from wardround.simulations.report.scores import METHOD_KEYS, METHODS
from wardround.simulations.report.terminal import draw, show

_LARGEST = 2**26  # bytes of a summary
NOT_COMPARED = ("seed", "output_dir", "study")
NEEDED = {"patient_epsilon", "delta", "noise", "seed", "auc", "macro_auc"}


@dataclass(frozen=True)
class Job:
    """One job of a sweep: its folder's name, its flat settings, its summary (None: it failed)."""

    name: str
    settings: Mapping[str, object]
    summary: Mapping[str, Any] | None


def write_frontier(sweep_dir: Path) -> Frontier:
    """Read each job's summary and write frontier.json, .parquet and .html; failed jobs are named in all."""
    frontier = frontier_of(read_jobs(sweep_dir))
    plain = {"rows": [_plain(row) for row in frontier.rows], "failed": list(frontier.failed)}
    write_durably(
        sweep_dir / "frontier.json", json.dumps(plain, indent=2, ensure_ascii=False).encode() + b"\n"
    )
    buffer = BytesIO()
    _long_table(frontier).write_parquet(buffer)
    write_durably(sweep_dir / "frontier.parquet", buffer.getvalue())
    page = (
        environment()
        .get_template("frontier.html")
        .render(
            assuming=[SUPPOSED],
            sweep=sweep_dir.resolve().name,
            frontier=frontier,
            others=any(row.other_settings for row in frontier.rows),
            runs=sum(len(row.seeds) for row in frontier.rows),
            private=[method for method in METHODS if method.private],
            policies=SWEPT_POLICIES,
            engaged=[row for row in frontier.rows if row.engagement],
            chart=Markup(frontier_chart(frontier.rows)),  # noqa: S704 (escaped in Drawing)
        )
    )
    write_durably(sweep_dir / "frontier.html", page.encode())
    return frontier


def read_jobs(sweep_dir: Path) -> list[Job]:
    """Every job's folder under ``sweep_dir`` in the order of their numbers or names."""
    names = {
        folder.name
        for folder in sweep_dir.iterdir()
        if folder.is_dir() and not folder.name.startswith(".") and EARLIER not in folder.name
    }
    given = varied(read_table(sweep_dir))
    # Jobs are numbered without leading zeros: padded, 10 follows 9. One that failed at once left no folder.
    order = sorted(names | set(given), key=lambda name: (not name.isdigit(), name.zfill(9)))
    return [_read_job(sweep_dir / name, given.get(name, "")) for name in order]


def _read_job(folder: Path, given: str) -> Job:
    failed = f"{folder.name} ({given})" if given else folder.name
    try:
        # A run writes it last: where it stands, the run has ended.
        summary = read_json((folder / "summary.json").read_bytes(), _LARGEST)
        settings = read_yaml((folder / "config.yaml").read_bytes(), "config.yaml")
    except (OSError, ValueError, ConfigurationError):
        return Job(failed, {}, None)
    if not isinstance(summary, dict) or not set(summary) >= NEEDED:
        return Job(failed, {}, None)
    return Job(folder.name, flat(settings), summary)


def flat(settings: object, prefix: str = "") -> dict[str, object]:
    """Nested settings as dotted keys; lists become text so that they can be compared."""
    if not isinstance(settings, Mapping):
        return {prefix: settings if isinstance(settings, str | int | float | None) else repr(settings)}
    found: dict[str, object] = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def frontier_of(jobs: Sequence[Job]) -> Frontier:
    """Group the jobs that ended by the settings that differ over the sweep, seeds together."""
    ended = [job for job in jobs if job.summary is not None]
    keys = sorted({key for job in ended for key in job.settings})
    compared = [key for key in keys if key.split(".")[0] not in NOT_COMPARED]
    varied = [key for key in compared if len({repr(job.settings.get(key)) for job in ended}) > 1]
    groups: dict[str, list[Job]] = defaultdict(list)
    for job in ended:
        groups[repr([job.settings.get(key) for key in varied])].append(job)
    rows = [_row(group, varied) for group in groups.values()]
    rows.sort(key=lambda row: (row.noise, row.epsilon))
    return Frontier(tuple(rows), tuple(job.name for job in jobs if job.summary is None))


def _row(jobs: Sequence[Job], varied: Sequence[str]) -> FrontierRow:
    summaries = [dict(job.summary or {}) for job in jobs]
    return FrontierRow(
        settings={key: jobs[0].settings.get(key) for key in varied},
        noise=summaries[0]["noise"],
        epsilon=fmean(float(summary["patient_epsilon"]) for summary in summaries),
        delta=float(summaries[0]["delta"]),
        seeds=tuple(int(summary["seed"]) for summary in summaries),
        auc=_spreads([summary["auc"] for summary in summaries], METHOD_KEYS),
        macro_auc=_spreads([summary["macro_auc"] for summary in summaries], METHOD_KEYS),
        engagement=_spreads([_engagement(summary) for summary in summaries], POLICIES),
    )


def _engagement(summary: Mapping[str, Any]) -> Mapping[str, float]:
    """Engagement of all patients by policy; nothing for a run that chose no messages."""
    found = summary.get("outreach")
    return {} if found is None else found["engagement"][ALL]


def _spreads(
    measures: Sequence[Mapping[str, float | None]], keys: Iterable[str]
) -> dict[str, tuple[float, float]]:
    found = {}
    for key in keys:
        values = [float(value) for measure in measures if (value := measure.get(key)) is not None]
        if values:
            found[key] = fmean(values), stdev(values) if len(values) > 1 else math.nan
    return found


def _plain(row: FrontierRow) -> dict[str, object]:
    def measure(found: Mapping[str, tuple[float, float]]) -> dict[str, object]:
        return {
            key: {"mean": mean, "sd": None if math.isnan(sd) else sd} for key, (mean, sd) in found.items()
        }

    plain: dict[str, object] = {
        "settings": dict(row.settings), "noise": row.noise, "epsilon": row.epsilon, "delta": row.delta,
        "seeds": list(row.seeds), "auc": measure(row.auc), "macro_auc": measure(row.macro_auc),
        "engagement": measure(row.engagement),
    }  # fmt: skip
    return plain


def _long_table(frontier: Frontier) -> pl.DataFrame:
    rows = [
        (
            row.noise,
            row.epsilon,
            row.delta,
            json.dumps(dict(row.settings)),
            len(row.seeds),
            key,
            metric,
            mean,
            sd,
        )
        for row in frontier.rows
        for metric, found in (
            ("auc", row.auc),
            ("macro_auc", row.macro_auc),
            ("engagement", row.engagement),
        )
        for key, (mean, sd) in found.items()
    ]
    schema = {
        "noise": pl.String, "epsilon": pl.Float64, "delta": pl.Float64, "settings": pl.String,
        "seeds": pl.Int64, "method": pl.String, "metric": pl.String, "mean": pl.Float64,
        "sd": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("sd").fill_nan(None))


def show_frontier(sweep_dir: Path) -> Frontier:
    """Write the frontier's files, then print its table and where the page is."""
    frontier = write_frontier(sweep_dir)
    draw(frontier_table(frontier))
    if (engaged := engaged_table(frontier)) is not None:
        draw(engaged)
    show(f"Frontier: {sweep_dir / 'frontier.html'}")
    return frontier
