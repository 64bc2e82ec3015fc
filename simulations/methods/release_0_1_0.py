"""What release 0.1.0 itself finds on the zoo: its own code, on the same encoded patients and the same split.

A checkout of 0.1.0 runs in a process of its own, since its modules have names of their own. It gets arrays that are bit
for bit those that the other methods get, and the contract; it proposes its own default terms, trains and predicts. Its
word for noise that is shared was ``distributed``, for which secure sums were supposed: it has less noise than secure
sums that ship. What it found is kept beside the other cells, one line each.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.noise import LOCAL, SECURE
from wardround.protocol.text.plain import read_json
from wardround.simulations.methods.column import Column
from wardround.simulations.methods.runner import Task
from wardround.simulations.methods.store import append_record, read_records
from wardround.simulations.methods.summary import Record

NAME = "release_0_1_0"
WORDS = {LOCAL.name: "local", SECURE.name: "distributed"}
"""0.1.0's words for the noise modes."""
LARGEST_LINE = 2**16  # bytes
PROGRAM = """
import json, sys, time
from dataclasses import replace
from datetime import UTC, datetime
import numpy as np
from client.cohort import Cohort
from protocol.accounting import compose_epsilon
from protocol.contract import contract_from_mapping
from protocol.model import predict_probabilities
from server.rounds import reported_weights
from simulations.accuracy.column import compose_study, measures
from simulations.federation import Federation
from simulations.in_process import run
from simulations.study import answers, simulated_terms, step_event

asked = json.load(sys.stdin)
contract = contract_from_mapping(asked["contract"])
assert [[f.name, f.size] for f in contract.layout.fields] == asked["fields"], "another layout"
arrays = np.load(asked["arrays"])
training, heldout = (
    Cohort(**{name[len(part):]: arrays[name] for name in arrays.files if name.startswith(part)})
    for part in ("training.", "heldout.")
)
now = datetime(2025, 1, 1, tzinfo=UTC)
federation = Federation(contract, tuple(asked["hospitals"]), training, heldout, asked["seed"], now, "")
for noise, epsilon in asked["cells"]:
    started = time.process_time()
    settings = compose_study(f"privacy.delta={asked['delta']}", f"privacy.noise={noise}",
        f"privacy.epsilon={epsilon}", "report.progress=false")
    # Without a contract file of its own the clip norm would be that of the synthetic contract's rate.
    privacy = replace(settings.privacy, clip_norm=contract.label.expected_residual)
    terms = simulated_terms(replace(settings, seed=asked["seed"], contract=contract, privacy=privacy), federation)
    weights = reported_weights(run(terms, answers(federation, terms)))
    probabilities = predict_probabilities(terms.model, contract.layout, weights, heldout)
    found = measures(heldout, probabilities)
    found["verified_epsilon"] = compose_epsilon([step_event(terms)], terms.privacy.delta)
    found["cpu_seconds"] = round(time.process_time() - started, 3)
    print(json.dumps(found), flush=True)
"""
"""Runs in 0.1.0's process: reads what is asked from its input, writes one line of JSON for each cell."""


def run_release(checkout: Path, task: Task) -> int:
    """Find 0.1.0's figures of the cells that the default has in this task; gives how many were not on disk yet.

    ConfigurationError where the checkout is none, or its program failed.
    """
    known = {(record["noise"], float(str(record["epsilon"]))) for record in read_release(task)}
    cells = [(cell.noise, cell.epsilon) for cell in task.cells if cell.method == "default"]
    missing = [cell for cell in cells if cell not in known]
    if not missing:
        return 0
    if not (checkout / "simulations" / "accuracy" / "column.py").is_file():
        raise ConfigurationError(f"--release-0-1-0 {checkout}: must be a checkout of release 0.1.0")
    for (noise, epsilon), found in zip(missing, _found(checkout, task, missing), strict=True):
        about = {
            "key": "0.1.0",
            "case": task.case.name,
            "seed": task.seed,
            "method": NAME,
            "noise": noise,
            "epsilon": epsilon,
        }
        append_record(_path(task), {**about, **found})
    return len(missing)


def read_release(task: Task) -> list[Record]:
    """Give what 0.1.0 is known to find on this task's federation and seed."""
    return list(read_records(_path(task)))


def _path(task: Task) -> Path:
    return task.folder / f"{task.case.name}-{task.seed}-0.1.0.jsonl"


def _found(checkout: Path, task: Task, cells: Sequence[tuple[str, float]]) -> Iterator[dict[str, object]]:
    federation = Column(task.case, task.seed).federation
    contract = federation.contract
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "cohorts.npz"
        np.savez(arrays, **_arrays("training", federation.training), **_arrays("heldout", federation.heldout))
        asked = {
            "arrays": str(arrays),
            "contract": contract.to_mapping(),
            "fields": [[field.name, field.size] for field in contract.layout.fields],
            "hospitals": federation.hospitals,
            "seed": task.seed,
            "delta": task.case.delta,
            "cells": [[WORDS[noise], epsilon] for noise, epsilon in cells],
        }
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM],
            input=json.dumps(asked),
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout.resolve())},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise ConfigurationError(f"--release-0-1-0 {checkout}: {done.stderr.strip().splitlines()[-1]}")
    for line in done.stdout.splitlines():
        yield read_json(line.encode(), LARGEST_LINE)


def _arrays(part: str, cohort: Cohort) -> dict[str, Any]:
    found = {f"{part}.{field.name}": getattr(cohort, field.name) for field in fields(cohort)}
    return {name: array for name, array in found.items() if array is not None}
