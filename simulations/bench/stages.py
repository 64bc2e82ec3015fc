"""(e) Where the time goes: a profile of the whole no-show study, by stage."""

import contextlib
import cProfile
import io
import pstats
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from wardround.simulations.bench import noshow
from wardround.simulations.bench.page import Part
from wardround.simulations.study.study import run

STAGES = (
    ("data", "read the table", "datasets.py", "read_noshow"),
    ("data", "gate", "admit.py", "admit"),
    ("data", "features", "features.py", "encode"),
    ("rounds", "policy, charge", "participate.py", "_charge"),
    ("rounds", "designs, once", "prepared.py", "_prepare"),
    ("rounds", "clipped sums (all methods)", "clipped_sum_additive.py", "clipped_sum_additive"),
    ("rounds", "noise (all methods)", "mechanism.py", "add_noise"),
    ("rounds", "bytes, ledger", "participate.py", "_release"),
    ("rounds", "screening", "screen.py", "screen"),
    ("rounds", "held-out AUC of each round", "held_out.py", "auc"),
    ("methods", "pooled boosting", "boosting.py", "pooled_boosting"),
    ("methods", "personal part", "comparison.py", "personalised"),
    ("methods", "alone, without privacy", "descents.py", "alone_models"),
    ("methods", "pooled, same model", "descents.py", "pooled_model"),
    ("methods", "alone, private", "descents.py", "alone_private_models"),
    ("report", "figures and files", "run_files.py", "write_run"),
    ("report", "accounting against each adversary", "privacy_facts.py", "privacy_facts"),
)


def benchmark(path: Path) -> Part:
    """Profile one run, its methods one after the other so that every second has one owner."""
    with tempfile.TemporaryDirectory() as folder:
        settings = noshow.settings_of(path, 40, Path(folder))
        profile, started = cProfile.Profile(), time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            profile.runcall(run, noshow.one_worker(settings))
        total = time.perf_counter() - started
    found = cumulative(pstats.Stats(profile))
    rows = [
        [
            f"{group}: {name}",
            found.get((file, function), 0.0),
            f"{found.get((file, function), 0.0) / total:.0%}",
        ]
        for group, name, file, function in STAGES
    ]
    rows.append(["all, imports included", total, "100%"])
    return Part(
        key="e",
        title="Where the time of the no-show study goes",
        columns=("stage", "seconds under the profiler", "share"),
        rows=rows,
        notes=(
            "One run under cProfile, which makes Python calls dearer than they are; stages may lie in one another.",
        ),
    )


def cumulative(stats: pstats.Stats) -> Mapping[tuple[str, str], float]:
    """Cumulative seconds by file's and function's name."""
    found: dict[tuple[str, str], float] = {}
    for (file, _, function), (_, _, _, seconds, _) in stats.stats.items():  # type: ignore[attr-defined]
        key = Path(file).name, function
        found[key] = found.get(key, 0.0) + seconds
    return found
