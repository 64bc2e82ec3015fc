"""The jobs of a sweep side by side: ``federation.workers`` processes take one each, and imports are paid once.

Jobs share nothing but the user's cache, so their files are the same bit for bit as one after the other. What a job
prints is kept and shown whole, in the order of the jobs.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from wardround.conf.hydra_run import RunJobs, SweepJob
from wardround.conf.settings import StudySettings
from wardround.protocol.command_line.exit_codes import FAULT
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.say import complain, say
from wardround.simulations.study.sweep_worker import LONGEST_LINE, attempt

_PATIENTS = ("data", "contract", "seed")
"""The settings that decide which patients a run has."""
_GONE = (
    "this job's process ended before the job did (no memory left?); federation.workers=1 runs one at a time"
)


@contextmanager
def begin_sweep(first: SweepJob) -> Iterator[RunJobs]:
    """Start the processes that the first job allows, and give what runs all jobs; they end with the context.

    They load their libraries while the other jobs are still composed.
    """
    allowed = _allowed(first)
    with ExitStack() as started:
        # From this thread: Linux ties a process to the thread that started it.
        processes = [started.enter_context(SweepProcess()) for _ in range(allowed if allowed > 1 else 0)]
        yield partial(_run_jobs, processes)


def _run_jobs(processes: Sequence["SweepProcess"], jobs: Sequence[SweepJob]) -> Iterator[int]:
    """Run all jobs and give their exit codes in order, each after its output was shown."""
    workers = workers_of(jobs)
    if workers < 2:
        for job in jobs:
            say(_head(job))
            yield attempt(partial(_settings, job))
        return
    with ThreadPoolExecutor(workers) as pool, ExitStack() as used:
        idle: SimpleQueue[SweepProcess] = SimpleQueue()
        for process in processes[:workers]:
            # Left before the pool: processes that were killed answer at once, and nothing waits for what was stopped.
            idle.put(used.enter_context(process))

        def answered(job: SweepJob) -> dict[str, Any]:
            worker = idle.get()
            try:
                return worker.run(job)
            finally:
                idle.put(worker)

        running = {job.number: pool.submit(answered, job) for job in in_turns(jobs)}
        used.callback(pool.shutdown, wait=False, cancel_futures=True)
        for job in jobs:
            yield _shown(job, running[job.number].result())


def in_turns(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """Give the jobs as they begin: one of each federation, then the second of each, and so on.

    Runs on the same patients need the same baselines, and would wait for the one that fits them.
    """
    begun: Counter[str] = Counter()
    turns: list[tuple[int, int]] = []
    for job in jobs:
        patients = json.dumps([job.plain.get(part) for part in _PATIENTS], sort_keys=True)
        turns.append((begun[patients], len(turns)))
        begun[patients] += 1
    return [jobs[place] for _, place in sorted(turns)]


def _settings(job: SweepJob) -> StudySettings:
    settings: StudySettings = job.settings
    return settings


def workers_of(jobs: Sequence[SweepJob]) -> int:
    """Say how many processes are used: as few as any job's settings allow, one where Ray has its own."""
    return min(len(jobs), *map(_allowed, jobs))


def _allowed(job: SweepJob) -> int:
    carrier = job.settings.federation
    return min(1 if carrier.kind == "flower" else carrier.workers, os.cpu_count() or 1)


def _line(job: SweepJob) -> bytes:
    return json.dumps({"settings": job.plain, "folder": str(job.folder)}).encode() + b"\n"


def _head(job: SweepJob) -> str:
    return f"#{job.number} : {job.folder}" + (f" : {job.varied}" if job.varied else "")


def _shown(job: SweepJob, answer: dict[str, Any]) -> int:
    say(_head(job))
    say(*str(answer["out"]).splitlines())
    complain(*str(answer["err"]).splitlines())
    return int(answer["code"])


class SweepProcess:
    """One process of ``sweep_worker``; killed when it is left. One that is gone answers with a fault, once."""

    def __init__(self) -> None:
        self._process = _started()

    def run(self, job: SweepJob) -> dict[str, Any]:
        """Have the process run the job; its code and output."""
        if self._process.poll() is not None:
            self._process = _started()
        stdin, stdout = self._process.stdin, self._process.stdout
        with suppress(OSError, ValueError):
            if stdin is not None and stdout is not None:
                stdin.write(_line(job))
                stdin.flush()
                return dict(read_json(stdout.readline(), LONGEST_LINE))
        _end(self._process)
        return {"code": FAULT, "out": "", "err": f"{job.folder}: {_GONE}"}

    def __enter__(self) -> Self:
        """Give the worker."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, whatever it does."""
        _end(self._process)


def _started() -> subprocess.Popen[bytes]:
    # -P: a folder named `wardround` where the command is started must not be imported in its place; the rest of the
    # path is this process's, where a user's own plugins were found.
    command = [sys.executable, "-P", "-m", "wardround.simulations.study.sweep_worker", str(os.getpid())]
    path = os.pathsep.join(place for place in sys.path if place)
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": str(_columns()), "NO_COLOR": "1"}
    environment.pop("FORCE_COLOR", None)  # each line is shown as text
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # A line that was not taken any more is still in the buffer, and closing tries once more to send it.
            with suppress(OSError):
                pipe.close()
    process.wait()


def _columns() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 80
