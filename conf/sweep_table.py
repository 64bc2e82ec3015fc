"""jobs.csv of a sweep: what each numbered job was given, a column for each setting.

Folders bear numbers alone: a setting may hold a path, or be longer than a folder's name can be. A sweep into the
folder of an earlier one goes on with the next number, and its rows are added.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from wardround.protocol.files import write_durably

TABLE = "jobs.csv"
_JOB = "job"
_SAME_EVERYWHERE = ("output_dir",)


def next_number(sweep_dir: Path) -> int:
    """Give the number after those of a folder's jobs; an empty folder was made for a job that is still to come."""
    folders = [path.name for path in sweep_dir.glob("[0-9]*") if path.is_dir() and any(path.iterdir())]
    numbers = [int(name) for name in (*folders, *read_jobs(sweep_dir)) if name.isdecimal()]
    return max(numbers, default=-1) + 1


def write_jobs(sweep_dir: Path, given: Mapping[str, Sequence[str]]) -> None:
    """Write the table. given: each job's overrides, by its number; earlier rows of other jobs stay."""
    rows = {**read_jobs(sweep_dir), **{job: by_key(overrides) for job, overrides in given.items()}}
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    written = io.StringIO(newline="")
    table = csv.DictWriter(written, [_JOB, *keys], restval="", lineterminator="\n")
    table.writeheader()
    table.writerows({_JOB: job, **row} for job, row in rows.items())
    write_durably(sweep_dir / TABLE, written.getvalue().encode())


def read_jobs(sweep_dir: Path) -> dict[str, dict[str, str]]:
    """Give each job's settings by its number; none where there is no table, or a damaged one."""
    try:
        with (sweep_dir / TABLE).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get(_JOB)]
    except (OSError, ValueError, csv.Error):
        return {}
    return {row[_JOB]: {key: row[key] for key in row if key and key != _JOB and row[key]} for row in rows}


def varied(given: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Say of each job what it was given that another was not: ``privacy.epsilon=2 seed=1``."""
    keys = dict.fromkeys(key for row in given.values() for key in row)
    differ = [key for key in keys if len({row.get(key, "") for row in given.values()}) > 1]
    return {job: " ".join(f"{key}={row[key]}" for key in differ if key in row) for job, row in given.items()}


def by_key(overrides: Sequence[str]) -> dict[str, str]:
    """Split a job's overrides; the sweep's own folder is not among them."""
    pairs = (override.partition("=")[::2] for override in overrides)
    return {key: value for key, value in pairs if key not in _SAME_EVERYWHERE}
