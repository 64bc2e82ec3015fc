"""The attack on weights: whole studies, of which the adversary sees every round's weights, or the final model alone.

Unlike ``simulations.audit.attack`` the weights are the study's own: each run goes from plan to release, sum, optimiser
and the next plan, by the server's own code. The adversary is whoever reads the model. It knows all other records, and
of the other hospitals what they sent: under local noise they are silent, in secure sums they are the t helpers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from wardround.client.cohort import Cohort, concatenate
from wardround.client.round.answer_request import answer_request
from wardround.client.round.ward import unmasked
from wardround.protocol.arrays import Floats
from wardround.protocol.terms.request import UPDATE
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import RoundState, reported_weights
from wardround.simulations.audit.attack import Attack, accepted
from wardround.simulations.audit.mutations import no_noise
from wardround.simulations.federation.federation import OPERATOR

_Seen = tuple[Floats, Floats]


@dataclass(frozen=True, kw_only=True, eq=False)
class Studies:
    """Whole studies, run with the canary and without; what is seen of them is kept, for both ways to look at it.

    releases: the hospitals that train, the canary at the first of them. helpers: hospitals that take part and tell
    the adversary all; so they may as well send zeros.
    """

    releases: Attack
    helpers: tuple[str, ...] = ()
    _kept: dict[tuple[bool, int, int], _Seen] = field(default_factory=dict)

    @property
    def terms(self) -> Terms:
        """The study's terms."""
        return self.releases.terms

    def scores(self, present: bool, first: int, runs: int) -> _Seen:
        """Run studies and score them: float64 [runs, rounds] by the weights of all rounds, [runs, 1] by the last.

        A score is the inner product of what a round did to the weights with what the canary would do to them, so
        scaled that the canary moves it by 1. Of the last weights alone: of what the study did.
        """
        key = (present, first, runs)
        if key not in self._kept:
            patients = self.releases.patients(present)
            batches = self.releases.batches(first, runs)
            found = [self._scored(self._moves(patients, seeds)) for seeds in batches]
            self._kept[key] = (
                np.concatenate([by_round for by_round, _ in found]),
                np.concatenate([last for _, last in found]),
            )
        return self._kept[key]

    def _scored(self, moves: _Seen) -> _Seen:
        by_round, last = (
            np.einsum("nrp,rp->nr", seen - plain, direction)
            for seen, (plain, direction) in zip(moves, self._expected, strict=True)
        )
        return by_round, last

    @cached_property
    def _expected(self) -> tuple[_Seen, _Seen]:
        """What the adversary computes for itself: moves without noise, and by how much the canary shifts them."""
        with no_noise(self.terms):
            plain, shifted = (self._moves(self.releases.patients(there), range(1)) for there in (False, True))
        by_round, last = (
            (alone[0], _scaled(both[0] - alone[0])) for alone, both in zip(plain, shifted, strict=True)
        )
        return by_round, last

    def _moves(self, patients: Cohort, seeds: range) -> _Seen:
        """Run one study per seed: moves of each round, float64 [runs, rounds, d], and of the study, [runs, 1, d]."""
        states = [rounds.init(self.terms)] * len(seeds)
        path = [np.stack([state.weights for state in states])]
        for states in self._rounds(patients, seeds):
            path.append(np.stack([state.weights for state in states]))
        last = np.stack([reported_weights(state) for state in states])
        return np.diff(np.stack(path, axis=1), axis=1), (last - path[0])[:, np.newaxis]

    def _rounds(self, patients: Cohort, seeds: range) -> Iterator[list[RoundState]]:
        """Give all runs' states after each round."""
        terms, count = self.terms, len(self.releases.hospitals)
        wards = [ward for seed in seeds for ward in self.releases.wards(seed)]
        # One object for all rounds: what a step prepares for its patients is kept by the object.
        cohort = concatenate([patients] * len(seeds))
        admit = {UPDATE.account: lambda _wards, _terms: cohort}
        states = [rounds.init(terms)] * len(seeds)
        while not rounds.finished(states[0], terms):
            plans = [plan for state in states for plan in self._plans(state)]
            answers = unmasked(answer_request(plans, wards, terms, OPERATOR, admit))
            releases = list(accepted(answers))
            of_runs = [releases[i : i + count] for i in range(0, len(releases), count)]
            states = [self._closed(*each) for each in zip(states, of_runs, strict=True)]
            yield states

    def _plans(self, state: RoundState) -> list[RoundPlan]:
        plans = {plan.hospital: plan for plan in rounds.plans(state, self.terms)}
        return [plans[name] for name in self.releases.hospitals]

    def _closed(self, state: RoundState, releases: Sequence[Release]) -> RoundState:
        first = releases[0]
        nothing = np.zeros_like(first.vector)
        told = [replace(first, hospital=name, vector=nothing) for name in self.helpers]
        return rounds.apply(state, self.terms, [*releases, *told])[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightsAttack:
    """Studies attacked by their weights. final: whether the last weights alone are seen, else those of all rounds."""

    studies: Studies
    final: bool

    @property
    def terms(self) -> Terms:
        """The study's terms."""
        return self.studies.terms

    def scores(self, present: bool, first: int, runs: int) -> Floats:
        """Give the scores of so many runs, float64 [runs, rounds] or [runs, 1]; ``first`` is the first run's seed."""
        return self.studies.scores(present, first, runs)[self.final]


def _scaled(directions: Floats) -> Floats:
    """Scale each row to inner product 1 with itself; one that is zero (a round of mean rows moves nothing) stays."""
    lengths = (directions**2).sum(axis=-1, keepdims=True)
    return np.asarray(directions / np.where(lengths > 0, lengths, 1.0))
