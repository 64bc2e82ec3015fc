"""(d) Scaling: hospitals of 100 patients, and parameters; each size in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np

from wardround.client.train.check_closed_form import random_cohort
from wardround.conf.composed import compose_study
from wardround.protocol.model.model import parameter_count
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.say import say_json
from wardround.server.algorithm.propose import propose
from wardround.simulations.bench.page import Part
from wardround.simulations.federation.federation import UNDATED, Federation
from wardround.simulations.federation.in_process import run
from wardround.simulations.measures.memory import peak_mb
from wardround.simulations.study.study import answering

PATIENTS = 100
HOSPITALS = (10, 100, 1_000, 10_000)
HIDDEN = ((9,), (106,), (1085,), (10870,))
"""Hidden layers of wide_deep with 10³ to 10⁶ parameters over the synthetic contract's columns."""


def benchmark(quick: bool = False) -> Part:
    """Measure all sizes: 20 rounds of the additive model, 5 of the large ones at 10 hospitals."""
    hospitals = HOSPITALS[:3] if quick else HOSPITALS
    found = [_apart(count, 20, ()) for count in hospitals]
    found += [_apart(10, 3 if quick else 5, hidden) for hidden in (HIDDEN[:2] if quick else HIDDEN)]
    rows = [
        [
            f["hospitals"],
            f["parameters"],
            f["rounds"],
            f["seconds"],
            f["microseconds"],
            f["first_ms"],
            f["peak_mb"],
        ]
        for f in found
    ]
    each = {f["hospitals"]: float(f["microseconds"]) for f in found[: len(hospitals)]}
    flat = f"From 100 hospitals to {hospitals[-1]:,} the time per hospital and round changes by the factor "
    return Part(
        key="d",
        title="Scaling",
        columns=(
            "hospitals of 100 patients",
            "parameters",
            "rounds",
            "training, s",
            "µs per hospital and round",
            "first round, ms",
            "peak memory, MB",
        ),
        rows=rows,
        notes=(
            flat + f"{each[hospitals[-1]] / each[100]:.2f}.",
            "Invented patients with 1 to 8 events, through the same charge, step, noise, ledger, bytes, screening and "
            "server as any study, each size in a fresh process. The time per hospital and round is the median over the "
            "rounds after the first, in which designs are prepared; training is all of it.",
        ),
        facts={"flatness": each[hospitals[-1]] / each[100]},
    )


def _apart(hospitals: int, rounds: int, hidden: Sequence[int]) -> Mapping[str, float]:
    """Measure one size in a fresh process."""
    # In this process the peak of a larger size measured before would stay.
    program = [
        sys.executable,
        "-P",
        "-m",
        "wardround.simulations.bench.scaling",
        str(hospitals),
        str(rounds),
        *map(str, hidden),
    ]
    found: Mapping[str, float] = read_json(
        subprocess.run(program, check=True, capture_output=True).stdout, 2**20
    )
    return found


def measure(hospitals: int, rounds: int, hidden: tuple[int, ...]) -> dict[str, float]:
    """Run one study of this size here."""
    federation, terms = invent(hospitals, rounds, hidden)
    answer = answering(federation, terms)
    ends = [time.perf_counter()]
    run(terms, answer, on_round=lambda summary, state: ends.append(time.perf_counter()))
    seconds = np.diff(ends)
    return {
        "hospitals": hospitals,
        "parameters": parameter_count(terms.model, terms.contract.layout),
        "rounds": rounds,
        "seconds": float(seconds.sum()),
        "first_ms": 1e3 * float(seconds[0]),
        "microseconds": 1e6 * float(np.median(seconds[1:])) / hospitals,
        "peak_mb": peak_mb(),
    }


def invent(hospitals: int, rounds: int, hidden: tuple[int, ...]) -> tuple[Federation, Terms]:
    """Invent a federation under the synthetic contract, and propose terms for it."""
    settings = compose_study(f"training.rounds={rounds}", "evaluation=none")
    contract = settings.contract
    cohort = random_cohort(
        contract.layout,
        (PATIENTS,) * hospitals,
        contract.events_per_patient,
        Keystream(derive_key("bench scaling")),
    )
    names = tuple(f"hospital {index:05d}" for index in range(hospitals))
    federation = Federation(contract, names, cohort, cohort, seed=0, as_of=UNDATED, data_fingerprint="")
    terms = propose(
        study="scaling",
        contract=contract,
        model=ModelSettings(kind="wide_deep", hidden=hidden) if hidden else ModelSettings(),
        privacy=settings.privacy,
        training=settings.training,
        public_patients=dict.fromkeys(names, PATIENTS),
        simulation=True,
    )
    return federation, terms


if __name__ == "__main__":
    say_json(measure(int(sys.argv[1]), int(sys.argv[2]), tuple(map(int, sys.argv[3:]))))
