"""(c) The same study elsewhere: Flower's simulation with Opacus, and pfl; one run, start-up included."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wardround.protocol.quiet import QUIET
from wardround.simulations.bench import noshow
from wardround.simulations.bench.page import Part

PFL = ("torch==2.13.0", "pfl[pytorch]==0.6.0")
HERE = Path(__file__).resolve().parent
ONE_QUIET_THREAD = {**QUIET, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
ROUNDS, QUICK_ROUNDS, PATIENT_ROUNDS = 40, 3, 1


def benchmark(path: Path, environment: Path, quick: bool = False) -> Part:
    """Run all of them over the same exported patients. environment: where pfl's own is built, and kept."""
    with tempfile.TemporaryDirectory(prefix="wardround-bench-") as name:
        folder = Path(name)
        federation, terms = noshow.load(noshow.settings_of(path, ROUNDS, folder / "run"))
        noshow.export(folder, federation, terms)
        ours = timed([sys.executable, "-P", "-m", "wardround.simulations.bench.ours", name])
        rows: list[list[object]] = [["Wardround, patient ε = 1", "patient", ROUNDS, ours, ours, 1.0]]
        rows.append(
            _elsewhere(
                "Flower's simulation with Opacus",
                "record",
                _flower(name),
                QUICK_ROUNDS if quick else ROUNDS,
                ours,
            )
        )
        python, fault = build_pfl(environment)
        if python is not None:
            hospital, patient = (
                [str(python), str(HERE / "pfl_users.py"), name, unit] for unit in ("hospital", "patient")
            )
            rows.append(_elsewhere("pfl, a hospital as user", "hospital's update", hospital, ROUNDS, ours))
            if not quick:  # minutes a round
                rows.append(_elsewhere("pfl, a patient as user", "patient", patient, PATIENT_ROUNDS, ours))
    notes = [
        "Seconds from the start of a process to its end, each reading the same encoded patients from files; "
        "reading the original table is left out for all. Where fewer than 40 rounds were run, the start is the time "
        "of none, and the rest is scaled to 40 rounds.",
        "What the guarantee is about differs. Flower's example clips and noises per record, and each round's engine "
        "accounts for that round alone. pfl with a hospital as user clips a hospital's whole update: it protects no "
        "single patient by this ε. pfl with a patient as user is the private configuration nearest to ours.",
    ]
    notes += [f"pfl was left out: {fault}."] if python is None else []
    return Part(
        key="c",
        title="The same study elsewhere",
        columns=("what", "unit protected", "rounds run", "seconds", "seconds for 40 rounds", "÷ Wardround"),
        rows=rows,
        notes=notes,
    )


def _flower(folder: str) -> list[str]:
    return [sys.executable, "-P", str(HERE / "flower_opacus.py"), folder]


def _elsewhere(name: str, unit: str, program: list[str], rounds: int, ours: float) -> list[object]:
    """One row: measured seconds, scaled to all rounds where fewer were run."""
    taken = timed([*program, str(rounds)])
    whole = taken
    if rounds < ROUNDS:
        start = timed([*program, "0"]) if "pfl" in name else timed([*program, "1"]) - taken / rounds
        start = max(min(start, taken), 0.0)
        whole = start + (taken - start) * ROUNDS / rounds
    return [name, unit, rounds, taken, whole, whole / ours]


def timed(program: list[str]) -> float:
    """Seconds of one program; its last lines are raised where it fails."""
    started = time.perf_counter()
    done = subprocess.run(program, env={**os.environ, **ONE_QUIET_THREAD}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(program)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def build_pfl(environment: Path) -> tuple[Path | None, str]:
    """Build pfl's environment once; gives its interpreter, or None and why not."""
    python = environment / "bin" / "python"
    if (environment / "built").is_file():
        return python, ""
    for program in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(python), "-m", "pip", "install", "-qq", *PFL],
    ):
        done = subprocess.run(program, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            return None, f"its environment could not be built ({' '.join(last) or done.returncode})"
    # Last: what a stop left half-built is built again.
    (environment / "built").touch()
    return python, ""
