"""``python -m wardround.simulations.bench``: run the benchmarks; write docs/lab/performance.{md,json}."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from wardround.protocol.text.say import complain, say
from wardround.simulations.bench.page import Part, write_page

PARTS = "abcdef"
NEEDS_TABLE = "bce"
TABLE = Path("../shared/data/noshow.csv.gz")


def main(arguments: list[str] | None = None) -> int:
    """Run the parts asked for; exit code 2 where what was asked for does not exist."""
    asked = _parse(arguments)
    if unknown := set(asked.only) - set(PARTS):
        complain(f"--only {','.join(sorted(unknown))}: must be among {','.join(PARTS)}")
        return 2
    _one_thread()
    parts = []
    for key in sorted(set(asked.only)):
        started = time.perf_counter()
        say(f"({key}) …")
        parts.append(run_part(key, asked.data, asked.pfl, asked.quick))
        say(f"({key}) {parts[-1].skipped or 'done'}, {time.perf_counter() - started:.0f} s")
        write_page(parts, asked.out, "quick run" if asked.quick else "full run")
    say(str(asked.out / "performance.md"))
    return 0


def run_part(key: str, table: Path, environment: Path, quick: bool) -> Part:
    """Run one benchmark, or say why not."""
    title = f"benchmark {key}"
    if key in NEEDS_TABLE and not table.is_file():
        return Part(key, title, skipped=f"the no-show table is not at {table}; name it with --data PATH")
    return _benchmarks(table, environment, quick)[key]()


def _benchmarks(table: Path, environment: Path, quick: bool) -> dict[str, Callable[[], Part]]:
    # Torch starts its threads when it is imported: only after _one_thread.
    from wardround.conf.composed import compose_study
    from wardround.simulations.bench import others, pooled, scaling, served, stages, step

    layout = compose_study().contract.layout
    return {
        "a": lambda: step.benchmark(layout, 3 if quick else 9, quick),
        "b": lambda: pooled.benchmark(table, quick),
        "c": lambda: others.benchmark(table, environment, quick),
        "d": lambda: scaling.benchmark(quick),
        "e": lambda: stages.benchmark(table),
        "f": lambda: served.benchmark(quick),
    }


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m wardround.simulations.bench", description=__doc__)
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=list(PARTS), help="parts, as in a,d"
    )
    parser.add_argument("--quick", action="store_true", help="fewer sizes, rounds and repetitions")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("NOSHOW", TABLE)), help="the no-show table"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("docs/lab"), help="folder of performance.md and .json"
    )
    parser.add_argument(
        "--pfl", type=Path, default=Path(".venv-pfl"), help="where pfl's environment is built"
    )
    return parser.parse_args(arguments)


def _one_thread() -> None:
    """One thread a process, here and in what is started from here."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(name, "1")


if __name__ == "__main__":
    sys.exit(main())
