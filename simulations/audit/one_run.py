"""An audit by one run: many canaries, each there or not by a coin of its own, and all releases of one study.

For studies that are too large to be run thousands of times. Two bounds are made of one run: by guessing the coins
(Steinke, Nasr and Jagielski 2023), which supposes nothing, and by how far the canaries together shift what is
Gaussian, which alone comes near at ε = 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.terms.request import RequestKind
from wardround.simulations.audit.attack import Attack
from wardround.simulations.audit.bounds import epsilon_of
from wardround.simulations.audit.canary import sums_of
from wardround.simulations.audit.crowd import Crowd
from wardround.simulations.audit.one_run_bounds import Coins, one_run_epsilon_at_least, shift_at_least

GUESSED = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the canaries of whom an attack says something; a run that is not measured chooses."""


@dataclass(frozen=True, eq=False)
class OneRun:
    """What one run shows, with what the adversary knows taken out: other patients, and half of each canary.

    signs: ±1 [canaries], + who was there. halves: by kind of request, float64 [canaries, length], half of what each
    canary adds. rounds: of each round its kind, the standard deviation of its noise as stated, and what is left of
    what was seen, float64 [length].
    """

    signs: Floats
    halves: Mapping[RequestKind, Floats]
    rounds: tuple[tuple[RequestKind, float, Floats], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class OneRunFinding:
    """What one run showed. stated: the ε that the study states there. shift, guesses: lower bounds on ε.

    coins: what was guessed, of how many canaries.
    """

    words: str
    stated: float
    canaries: int
    shift: float
    guesses: float
    coins: Coins

    @property
    def holds(self) -> bool:
        """Whether the stated ε is not refuted."""
        return max(self.shift, self.guesses) <= self.stated


def one_run_audit(
    attack: Attack, words: str, stated: float, canaries: int, confidence: float, seed: int
) -> OneRunFinding:
    """Audit a stage whose releases are Gaussian by one run with so many canaries, and by one with few for guesses.

    Few, since canaries hide one another where there are more of them than a release has numbers. Each bound holds at
    ``confidence`` by itself.
    """
    delta, first = attack.terms.privacy.delta, (seed + 1) << 80
    crowd = Crowd(attack.terms, canaries, seed)
    shift = shift_parameter(run_once(attack, crowd, first), confidence)
    few = Crowd(attack.terms, min(canaries, len(attack.weights) // 2), seed)
    choosing, measured = (run_once(attack, few, first + number) for number in (1, 2))
    share = max(
        GUESSED, key=lambda each: one_run_epsilon_at_least(guessed(choosing, each), delta, confidence)
    )
    coins = guessed(measured, share)
    return OneRunFinding(
        words=words,
        stated=stated,
        canaries=canaries,
        shift=epsilon_of(shift, delta),
        guesses=one_run_epsilon_at_least(coins, delta, confidence),
        coins=coins,
    )


def run_once(attack: Attack, crowd: Crowd, seed: int) -> OneRun:
    """Run one study with those of the crowd whose coin says so, at the first of the attack's hospitals."""
    there = np.random.default_rng([seed >> 64, seed % (1 << 64)]).random(crowd.count) < 0.5
    own = replace(attack, weights=crowd.weights, canary=crowd.patients.take(np.flatnonzero(there)))
    others = own.patients(False).pooled()
    halves: dict[RequestKind, Floats] = {}
    known: dict[RequestKind, Floats] = {}
    rounds = []
    shown = own.seen(own.patients(True), range(seed, seed + 1))
    for number, (asked, seen) in zip(own.rounds, shown, strict=True):
        if asked not in halves:
            halves[asked] = crowd.contributions(asked) / 2
            known[asked] = sums_of(own.terms, asked, own.weights, others)[0] + halves[asked].sum(axis=0)
        # A sum of several hospitals has so many shares of noise.
        stddev = asked.noise_stddev(own.terms, number) * math.sqrt(len(own.hospitals))
        rounds.append((asked, stddev, seen[0] - known[asked]))
    return OneRun(np.where(there, 1.0, -1.0), halves, tuple(rounds))


def shift_parameter(run: OneRun, confidence: float) -> float:
    """Bound μ by how far all canaries together shifted the run (``shift_at_least``)."""
    moved = {asked: run.signs @ halves for asked, halves in run.halves.items()}
    longest = {asked: 2 * _longest(halves) for asked, halves in run.halves.items()}
    shift = np.concatenate([moved[asked] / stddev for asked, stddev, _ in run.rounds])
    seen = np.concatenate([left / stddev for _, stddev, left in run.rounds])
    parameter = math.sqrt(sum((longest[asked] / stddev) ** 2 for asked, stddev, _ in run.rounds))
    return shift_at_least(seen, shift, parameter, confidence)


def _longest(halves: Floats) -> float:
    return float(np.linalg.norm(halves, axis=1).max())


def guessed(run: OneRun, share: float) -> Coins:
    """Guess the coins of that share of the canaries of whom the run says most.

    Each sign is estimated as a Gaussian of mean 0 and variance 1 beside all others (a Wiener filter).
    """
    count = max(1, round(share * len(run.signs)))
    estimates = _estimated_signs(run)
    surest = np.argsort(-np.abs(estimates), kind="stable")[:count]
    correct = int((np.sign(estimates[surest]) == run.signs[surest]).sum())
    return Coins(len(run.signs), count, correct)


def _estimated_signs(run: OneRun) -> Floats:
    """Estimate each sign, float64 [canaries]."""
    directions, seen = [], []
    for asked, halves in run.halves.items():
        own = [(stddev, left) for kind, stddev, left in run.rounds if kind is asked]
        # All rounds of a kind are as one, whose noise is 1 where each counts by 1/σ².
        precision = math.sqrt(sum(stddev**-2 for stddev, _ in own))
        directions.append(halves * precision)
        seen.append(np.sum([left / stddev**2 for stddev, left in own], axis=0) / precision)
    stacked, total = np.concatenate(directions, axis=1), np.concatenate(seen)
    return np.asarray(stacked @ np.linalg.solve(stacked.T @ stacked + np.eye(len(total)), total))
