"""The columns in worker processes of one thread each; what is finished is on disk before the next begins."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from wardround.protocol.exit_with_parent import exit_when_parent_exits
from wardround.simulations.methods.cases import Case
from wardround.simulations.methods.column import Cell, Column, settings_of
from wardround.simulations.methods.store import append_record, cell_key, read_records, store_path


@dataclass(frozen=True)
class Task:
    """A column's cells, and the digests of code and table that their keys are made of."""

    case: Case
    seed: int
    cells: tuple[Cell, ...]
    code: str
    table: str
    folder: Path

    def key(self, cell: Cell) -> str:
        """Name a cell's record."""
        return cell_key(self.case, settings_of(self.case, self.seed, cell), cell, self.code, self.table)

    def records(self) -> list[dict[str, object]]:
        """Give the finished cells of this task, in its order; of two under one key the newer."""
        # Later lines win: a cell that was measured twice counts as it was found last.
        known = {str(record["key"]): record for record in read_records(self.path)}
        return [known[key] for key in map(self.key, self.cells) if key in known]

    @property
    def path(self) -> Path:
        """The column's file."""
        return store_path(self.folder, self.case, self.seed)


def run_task(task: Task) -> int:
    """Run the cells that are not on disk; give how many."""
    known = {str(record["key"]) for record in read_records(task.path)}
    column, count = Column(task.case, task.seed), 0
    for cell in task.cells:
        key = task.key(cell)
        if key in known:
            continue
        # The processor's time: the clock's would tell how busy the other workers kept the machine.
        started = time.process_time()
        found = column.measure(cell, settings_of(task.case, task.seed, cell))
        about = {
            "key": key,
            "case": task.case.name,
            "seed": task.seed,
            "delta": task.case.delta,
            **asdict(cell),
        }
        seconds = time.process_time() - started
        append_record(task.path, {**about, "cpu_seconds": round(seconds, 3), **found})
        count += 1
    return count


def run_tasks(tasks: Sequence[Task], workers: int, say: Callable[[str], None]) -> list[str]:
    """Run all columns; one that fails does not stop the others. Gives one line per failure."""
    failed = []
    if workers == 1:
        for task in tasks:
            failed += _reported(task, partial(run_task, task), say)
        return failed
    # Spawned, not forked: polars' and OpenMP's threads do not survive a fork.
    with ProcessPoolExecutor(workers, get_context("spawn"), exit_when_parent_exits, (os.getpid(),)) as pool:
        running = {pool.submit(run_task, task): task for task in tasks}
        for future in as_completed(running):
            failed += _reported(running[future], future.result, say)
    return failed


def _reported(task: Task, result: Callable[[], int], say: Callable[[str], None]) -> list[str]:
    name = f"{task.case.name}, seed {task.seed}"
    try:
        say(f"{name}: {result()} of {len(task.cells)} cells run; the others were kept from before")
    except Exception as error:  # whatever it is, the other columns go on and it is told at the end
        say(f"{name}: {type(error).__name__}: {error}")
        return [f"{name}: {type(error).__name__}: {error}"]
    return []
