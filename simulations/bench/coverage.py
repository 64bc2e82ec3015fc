"""How often the intervals of ``outreach measure`` hold the truth: ``make bench-outreach``.

Invented patients with several outcomes each, a tendency of their own, and effects that are known. Each run measures
anew, with the code that a hospital runs. An interval of 95 % must hold the truth in 95 of 100 runs; a confidence
sequence or planned looks, at every look together.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.stats import binomtest

from wardround.client.outreach.measure.difference import (
    LEAST_PATIENTS,
    Difference,
    difference_in_means,
    mean_of_each,
)
from wardround.client.outreach.measure.explored import Explored, choice_over_standard, one_mean
from wardround.client.outreach.measure.planned import PlannedLooks
from wardround.client.outreach.measure.sequence import AnytimeLooks
from wardround.client.outreach.measure.size import mean_variance, planned_error
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.text.say import say_json

ALPHA, EFFECT = 0.05, 0.04
WEEKS, PATIENTS_A_WEEK = 26, 60
NORMAL = 1.959963984540054
Looks = Callable[[int, Difference], float]


def enrolled(rng: np.random.Generator, patients: int) -> tuple[Integers, Floats]:
    """Draw arms (1: the first) and each patient's mean of one to four outcomes: int64 and float64 [patients]."""
    arms = rng.integers(0, 2, patients)
    tendency = rng.beta(3.0, 2.0, patients) * (1 - EFFECT)  # E = 0.6 · 0.96: the effect never leaves [0, 1]
    who = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
    yes = rng.random(len(who)) < (tendency + EFFECT * arms)[who]
    return arms, mean_of_each(who, yes.astype(np.float64))[1]


def covered_once(rng: np.random.Generator, critical: float = NORMAL) -> bool:
    """Whether one interval for a difference in means holds the truth."""
    arms, means = enrolled(rng, 600)
    return _holds(difference_in_means(means[arms == 1], means[arms == 0]), critical)


def covered_weekly(rng: np.random.Generator, critical: Looks) -> bool:
    """Whether the intervals of every weekly look hold the truth."""
    arms, means = enrolled(rng, WEEKS * PATIENTS_A_WEEK)
    for week in range(1, WEEKS + 1):
        seen = week * PATIENTS_A_WEEK
        now, of = means[:seen], arms[:seen]
        found = difference_in_means(now[of == 1], now[of == 0])
        if min(found.patients) >= LEAST_PATIENTS and not _holds(found, critical(week, found)):
            return False
    return True


def sequence_looks() -> Looks:
    """Give the boundary of a confidence sequence, planned for the last week."""
    variance = mean_variance(0.6, 2.5, 0.2)
    planned = planned_error(WEEKS * PATIENTS_A_WEEK, (variance, variance), (0.5, 0.5))
    looks = AnytimeLooks(planned, ALPHA)
    return lambda week, found: looks.critical(found.standard_error, ALPHA)


def planned_looks() -> Looks:
    """Give the boundary of looks that were planned for each week."""
    weeks = range(1, WEEKS + 1)
    known = {
        week: PlannedLooks(
            tuple(PATIENTS_A_WEEK * one for one in range(1, week + 1)),
            tuple(one / WEEKS for one in range(1, week + 1)),
        ).critical(1.0, ALPHA)
        for week in weeks
    }
    return lambda week, found: known[week]


def covered_explored(rng: np.random.Generator, broken: bool = False) -> bool:
    """Whether the doubly robust interval holds what the model's choice adds. broken: with a wrong propensity."""
    patients, modules = 400, 3
    who = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    features = rng.uniform(-1, 1, (len(who), 2))
    drawn = rng.integers(0, modules, len(who))
    chosen = np.where(features[:, 1] > 0, 1, 2)
    tendency = rng.uniform(-0.2, 0.2, patients)[who]
    # Module 1 helps where the second feature is high, module 2 where it is low: a linear model knows half of this.
    gain = 0.2 * np.select([drawn == 1, drawn == 2], [features[:, 1], -features[:, 1]], 0.0)
    yes = rng.random(len(who)) < 0.5 + tendency + 0.1 * features[:, 0] + gain
    propensity = np.full(len(who), 0.6 if broken else 1 / modules)
    rows = Explored(who, features, drawn, chosen, np.zeros_like(drawn), propensity, yes.astype(np.float64))
    return _holds(one_mean(choice_over_standard(rows)), NORMAL, 0.2 * 0.5)  # E|x| of a uniform x is 0.5


def coverage(runs: int, seed: int, covered: Callable[[np.random.Generator], bool]) -> int:
    """Count the runs that hold the truth; each run has a generator of its own."""
    streams = np.random.SeedSequence(seed).spawn(runs)
    return sum(covered(np.random.default_rng(stream)) for stream in streams)


def _holds(found: Difference, critical: float, truth: float = EFFECT) -> bool:
    return abs(found.difference - truth) <= critical * found.standard_error


_SEQUENCE, _PLANNED = sequence_looks(), planned_looks()
KINDS: dict[str, Callable[[np.random.Generator], bool]] = {
    "difference in means": covered_once,
    "confidence sequence, weekly": lambda rng: covered_weekly(rng, _SEQUENCE),
    "planned looks, weekly": lambda rng: covered_weekly(rng, _PLANNED),
    "doubly robust": covered_explored,
    "for comparison: weekly looks at a plain interval": lambda rng: covered_weekly(rng, lambda *_: NORMAL),
}


def main() -> None:
    """Print, for each kind of interval, how many runs held the truth, and what a binomial test says of 95 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for kind, covered in KINDS.items():
        count = coverage(options.runs, options.seed, covered)
        found = binomtest(count, options.runs, 1 - ALPHA)
        line = {"interval": kind, "held": count, "of": options.runs, "share": count / options.runs}
        say_json(line | {"p_two_sided": round(float(found.pvalue), 4)})


if __name__ == "__main__":
    main()
