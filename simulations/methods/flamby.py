"""FLamby's federated DP benchmark on heart: its split of patients, and the ε that it spent.

Ogier du Terrail et al. 2022, "FLamby: datasets and benchmarks for cross-silo federated learning in realistic
healthcare settings"; figures and settings are those of its repository (owkin/FLamby, commit edacf54:
``flamby/dp_example``, ``flamby/strategies/utils.py``, ``flamby/datasets/fed_heart_disease``).
"""

import csv
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from wardround.client.cohort import Cohort, concatenate
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, noise_multiplier_for
from wardround.simulations.federation.federation import Federation

SPLIT_SEED = 43
TRAIN_SHARE = 0.66
TRAINING_PATIENTS = {"cleveland": 199, "hungarian": 172, "switzerland": 30, "va": 85}
BATCH_SIZE = 4
ROUNDS = 15
STEPS_PER_ROUND = 100
WITHOUT_PRIVACY = ""


def flamby_split(federation: Federation, random_state: int) -> Federation:
    """Split every hospital's patients anew as FLamby does, which with its ``SPLIT_SEED`` is its own split.

    Stratified by label where each label has more than two patients. For tables with one event per patient.
    """
    training, heldout = [], []
    for index in range(len(federation.hospitals)):
        everyone = concatenate([federation.training.hospital(index), federation.heldout.hospital(index)])
        # The split draws by position: patients in another order would be another split.
        own = in_table_order(everyone.pooled())
        first, second = _drawn(own.labels, random_state)
        training.append(own.take(first))
        heldout.append(own.take(second))
    return replace(federation, training=concatenate(training), heldout=concatenate(heldout))


def in_table_order(cohort: Cohort) -> Cohort:
    """Put one hospital's patients, of one event each, in the order of the source table."""
    order = np.argsort(cohort.rows)
    return replace(
        cohort,
        **{
            name: getattr(cohort, name)[order]
            for name in ("bins", "values", "labels", "rows", "known", "tokens")
        },
    )


def _drawn(labels: Floats, random_state: int) -> tuple[Integers, Integers]:
    from sklearn.model_selection import train_test_split

    counts = np.unique(labels, return_counts=True)[1]
    training, heldout = train_test_split(
        np.arange(len(labels)),
        train_size=TRAIN_SHARE,
        test_size=1 - TRAIN_SHARE,
        random_state=random_state,
        shuffle=True,
        stratify=labels if len(counts) > 1 and counts.min() > 2 else None,
    )
    return np.sort(training), np.sort(heldout)


@dataclass(frozen=True, kw_only=True)
class FlambyEpsilon:
    """What FLamby's patients of one hospital paid for a stated ε.

    noise_multiplier: the least that holds what was planned, ``planned_steps`` Poisson draws; ``sampled`` is the ε
    of the steps really taken if their batches had been Poisson draws, ``shuffled`` that of the passes really
    made over fixed batches, where sampling is not credited because there was none.
    """

    hospital: str
    noise_multiplier: float
    planned_steps: int
    steps: int
    sampled: float
    shuffled: float


def flamby_epsilons(epsilon: float, delta: float) -> list[FlambyEpsilon]:
    """Account for each hospital: Opacus planned 15 epochs, and 15 rounds of 100 steps were taken.

    The noise is found by this project's accountant; Opacus' own, which is not published, may have been a little
    larger. Not counted: one seed gave all hospitals the same noise, which differences of their updates cancel.
    """
    found = []
    for hospital, patients in TRAINING_PATIENTS.items():
        batches = math.ceil(patients / BATCH_SIZE)
        planned, steps = ROUNDS * batches, ROUNDS * STEPS_PER_ROUND
        noise = noise_multiplier_for(epsilon, delta, 1 / batches, planned)
        found.append(
            FlambyEpsilon(
                hospital=hospital,
                noise_multiplier=noise,
                planned_steps=planned,
                steps=steps,
                sampled=compose_epsilon([PrivacyEvent(noise, 1 / batches, steps)], delta),
                shuffled=compose_epsilon([PrivacyEvent(noise, 1.0, math.ceil(steps / batches))], delta),
            )
        )
    return found


def published(path: Path) -> Mapping[tuple[str, str], tuple[float, float, int]]:
    """Read FLamby's results: (ε, δ) as written, empty without privacy → accuracy's mean, sd, runs."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["e"], row["d"]].append(float(row["perf"]))
    return {key: (fmean(values), stdev(values), len(values)) for key, values in found.items()}
