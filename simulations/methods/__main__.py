"""``python -m wardround.simulations.methods``: accuracy over methods, noise modes and ε; write docs/lab/results.*.

``… methods zoo`` runs the zoo instead (``simulations.methods.zoo``).
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.protocol.text.say import complain, say

if TYPE_CHECKING:
    from wardround.simulations.methods.cases import Case
    from wardround.simulations.methods.runner import Task

DOCS = Path("docs/lab")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line. partial: less than everything was asked for, so docs/lab/ is left as it is."""

    data: Path
    only: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: int
    quick: bool
    store: Path
    out: Path
    workers: int
    page_only: bool

    @property
    def partial(self) -> bool:
        """Whether some cells were left out."""
        return bool(self.only or self.methods or self.seeds or self.quick)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked; 0, 1 where a column failed, 2 where what was asked for does not exist."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _one_thread()
    if given[:1] == ["zoo"]:
        from wardround.simulations.methods import zoo

        return zoo.main(given[1:])
    options = _parse(given)
    # After _one_thread: numerical libraries read it when they are imported.
    from wardround.simulations.methods.page import write_results
    from wardround.simulations.methods.runner import run_tasks

    try:
        tasks, skipped = plan(options)
    except ValueError as error:
        complain(str(error))
        return 2
    started = time.perf_counter()
    failed = [] if options.page_only else run_tasks(tasks, options.workers, say)
    say(f"{time.perf_counter() - started:.0f} s")
    complete = all(len(task.records()) == len(task.cells) for task in tasks)
    out = options.out
    if out == DOCS and (options.partial or skipped or not complete):
        out = options.store
        say(f"only a whole run writes {DOCS}/; this one is in {out}")
    write_results(tasks, skipped, out)
    for line in (*skipped, *failed):
        say(line)
    say(str(out / "results.md"))
    return 1 if failed else 0


def plan(options: Options) -> "tuple[list[Task], list[str]]":
    """Give the columns, the longest first, and why some data is left out. ValueError for an unknown name."""
    from wardround.simulations.methods.cases import CASES, EPSILONS, NOISES, present, quick
    from wardround.simulations.methods.column import cells_of
    from wardround.simulations.methods.compared import DEFAULT, chosen, registry
    from wardround.simulations.methods.runner import Task
    from wardround.simulations.methods.store import code_digest, table_digest

    _check("--only", options.only, [case.name for case in CASES])
    _check("--methods", options.methods, list(registry()))
    names = tuple(dict.fromkeys((DEFAULT, *options.methods))) if options.methods else chosen()
    epsilons = (1.0, 3.0) if options.quick else EPSILONS
    code, tasks, skipped = code_digest(), [], []
    for case, missing in present(CASES, options.data):
        if options.only and case.name not in options.only:
            continue
        if missing:
            skipped.append(f"{case.name}: {missing}")
            continue
        shrunk = _with_seeds(quick(case) if options.quick else case, options.seeds)
        own = [registry()[name] for name in names if not case.only or name in case.only]
        cells = tuple(cells_of(own, NOISES, epsilons))
        table = table_digest(options.data / case.file if case.file else None)
        tasks += [Task(shrunk, seed, cells, code, table, options.store) for seed in shrunk.seeds]
    return sorted(tasks, key=lambda task: not task.case.name.startswith("synthetic")), skipped


def _check(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{option} {name}: must be among {', '.join(known)}")


def _with_seeds(case: "Case", seeds: int) -> "Case":
    return replace(case, seeds=tuple(case.seeds[0] + index for index in range(seeds))) if seeds else case


def _parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m wardround.simulations.methods", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of noshow.csv.gz and heart/ (ACCURACY_DATA)")
    parser.add_argument("--only", type=_names, default=(), help="data, as in noshow,heart")
    parser.add_argument(
        "--methods", type=_names, default=(), help="methods beside the default, as in sgd,adam"
    )
    parser.add_argument("--seeds", type=int, default=0, help="so many seeds of each data, from its first")
    parser.add_argument("--quick", action="store_true", help="two seeds, two ε, small synthetic federations")
    parser.add_argument("--page-only", action="store_true", help="run nothing; write what is there")
    parser.add_argument(
        "--store", type=Path, default=Path("outputs/accuracy"), help="folder of finished cells"
    )
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of results.md, results.json, figures/")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    given = parser.parse_args(arguments)
    folder = given.data or Path(os.environ.get("ACCURACY_DATA", "../shared/data"))
    return Options(**{**vars(given), "data": folder})


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _one_thread() -> None:
    """One thread a process, here and in what is started from here."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = "1"


if __name__ == "__main__":
    sys.exit(main())
