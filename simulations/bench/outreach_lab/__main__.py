"""``python -m wardround.simulations.bench.outreach_lab``: simulated outreach at ε = 1; write docs/lab/outreach.*.

Every federation, assignment, contract and noise, seed by seed; a cell that was measured is kept and not run again.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from wardround.protocol.text.say import say

SEEDS = (9001, 9002, 9003, 9004, 9005)
"""Settings were chosen on seeds 101 and 102."""
DOCS = Path("docs/lab")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, and write the page; 0."""
    options = _parse(arguments)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = "1"
    # After the threads: numerical libraries read them when they are imported.
    from wardround.simulations.bench.outreach_lab import store
    from wardround.simulations.bench.outreach_lab.federations import cells_of
    from wardround.simulations.bench.outreach_lab.page import write_page

    cells = cells_of(options.seeds)
    options.store.mkdir(parents=True, exist_ok=True)
    # The cells of one population together: it is drawn once.
    batches = [cells[start : start + 4] for start in range(0, len(cells), 4)]
    given = zip(batches, repeat(options.store), repeat(options.patients), strict=False)
    # Not forked: Polars' threads would be left behind.
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        for done in pool.map(store.measure_missing, *zip(*given, strict=True)):
            say(done)
    write_page([(cell, store.read(options.store, cell)) for cell in cells], options.out)
    say(str(options.out / "outreach.md"))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m wardround.simulations.bench.outreach_lab", description=__doc__
    )
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=SEEDS)
    parser.add_argument("--patients", type=int, default=2000, help="held-out patients looked at, at most")
    parser.add_argument(
        "--store", type=Path, default=Path("outputs/outreach"), help="folder of measured cells"
    )
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of outreach.md and its data")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
