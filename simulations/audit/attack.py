"""The attack: thousands of studies with and without the canary, each release made by the hospital's own code.

One run is one study of one hospital (or of all, where their sum is attacked) with a ledger and noise of its own. Runs
are wards of one call of ``answer_request``, as the hospitals of a simulation are: policy, charge, draw, clip, sum,
noise, rounding and encoding happen in every run. The gate and the encoder do not (the canary is made behind them).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from wardround.client.cohort import Cohort, concatenate
from wardround.client.ledger.port import MemoryLedger
from wardround.client.round.answer_request import answer_request
from wardround.client.round.simulated import simulated_stream
from wardround.client.round.ward import Ward, unmasked
from wardround.protocol.arrays import Floats, Floats32, Integers, Numbers
from wardround.protocol.errors import ConfigurationError, MessageError, Refusal
from wardround.protocol.secure_sum import survivors
from wardround.protocol.terms.request import UPDATE, RequestKind, request_of
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.server.algorithm.aggregate import IntegerSum
from wardround.simulations.audit.canary import Canary
from wardround.simulations.federation.federation import OPERATOR, Federation

WARDS_AT_ONCE = 2000


@dataclass(frozen=True, kw_only=True, eq=False)
class Attack:
    """One thing that an adversary sees, attacked.

    account: whose releases. hospitals: whose releases are seen: of one hospital, or of several, as their sum. others:
    the patients beside the canary at each hospital. The canary is at the first of the hospitals. weights: float32
    [parameters], what a lying server sends in every round. directions: what the canary adds, by kind of request;
    computed before any code is broken (``attack_on``). survivors: how many members a lying server names as the
    survivors of a secure sum, its helpers among them; 0 where single shares are looked at.
    """

    federation: Federation
    terms: Terms
    account: str
    hospitals: tuple[str, ...]
    others: int
    canary: Cohort
    weights: Floats32
    directions: Mapping[RequestKind, Floats]
    survivors: int = 0

    @property
    def rounds(self) -> Sequence[int]:
        """The rounds that release something of this account."""
        return _rounds(self.terms, self.account)

    def scores(self, present: bool, first: int, runs: int) -> Floats:
        """Run studies and score each round's release: float64 [runs, rounds].

        A score is the inner product of what the adversary sees with what the canary would add to it. ``first`` is the
        first run's seed; the others' follow.
        """
        patients = self.patients(present)
        return np.concatenate([self._scored(patients, seeds) for seeds in self.batches(first, runs)])

    def batches(self, first: int, runs: int) -> list[range]:
        """Give the seeds of runs that are computed together."""
        at_once, last = max(1, WARDS_AT_ONCE // len(self.hospitals)), first + runs
        return [range(start, min(start + at_once, last)) for start in range(first, last, at_once)]

    def patients(self, present: bool) -> Cohort:
        """The patients of one run, hospital by hospital: a few others, with or without the canary."""
        source = self.federation.training if self.account == UPDATE.account else self.federation.heldout
        places = [self.federation.hospitals.index(name) for name in self.hospitals]
        parts = [source.hospital(place) for place in places]
        parts = [part.take(np.arange(min(self.others, part.patient_count))) for part in parts]
        if present:
            parts[0] = concatenate([parts[0], self.canary]).pooled()
        return concatenate(parts)

    def _scored(self, patients: Cohort, seeds: range) -> Floats:
        found = [seen @ self.directions[asked] for asked, seen in self.seen(patients, seeds)]
        return np.stack(found, axis=1)

    def seen(self, patients: Cohort, seeds: range) -> Iterator[tuple[RequestKind, Floats]]:
        """Run one study per seed on these patients; give what is seen of each round, float64 [runs, length]."""
        wards = [ward for seed in seeds for ward in self.wards(seed)]
        # One object for all rounds: what a step prepares for its patients is kept by the object.
        cohort = concatenate([patients] * len(seeds))
        admit = {self.account: lambda _wards, _terms: cohort}
        for round_number in self.rounds:
            plans = self._plans(round_number) * len(seeds)
            answers = unmasked(answer_request(plans, wards, self.terms, OPERATOR, admit))
            yield request_of(self.terms, round_number, self.account), self._seen(answers, round_number)

    def wards(self, seed: int) -> list[Ward]:
        """Give the hospitals of one run, each with a ledger and noise of its own."""
        return [
            replace(ward, ledger=MemoryLedger(), stream=simulated_stream(seed, ward.hospital))
            for ward in self._own_wards
        ]

    @cached_property
    def _own_wards(self) -> list[Ward]:
        wards = {ward.hospital: ward for ward in self.federation.wards(self.terms)}
        return [wards[name] for name in self.hospitals]

    def _plans(self, round_number: int) -> list[RoundPlan]:
        return [
            RoundPlan(
                study=self.terms.study,
                hospital=hospital,
                round=round_number,
                terms_fingerprint=self.terms.fingerprint,
                weights=self.weights,
                account=self.account,
                asks=request_of(self.terms, round_number, self.account).word if self.terms.secure_sum else "",
            )
            for hospital in self.hospitals
        ]

    def _seen(self, answers: Sequence[Release | Refusal], round_number: int) -> Floats:
        """What the adversary sees of each run, float64 [runs, length]: one hospital's vector, or the server's sum."""
        vectors = np.stack([release.vector for release in accepted(answers)])
        if self.survivors and not self._sum_exists():
            return np.zeros((len(vectors) // len(self.hospitals), vectors.shape[1]))
        if self.terms.secure_sum is None:
            return vectors.astype(np.float64)
        runs = vectors.reshape(-1, len(self.hospitals), vectors.shape[1])
        return np.stack([self._summed(run, round_number) for run in runs])

    def _sum_exists(self) -> bool:
        """Whether the members open the sum of so many survivors, by their own check."""
        try:
            survivors.check_survivors(range(1, self.survivors + 1), self.terms.thresholds)
        except MessageError:
            return False
        return True

    def _summed(self, integers: Numbers, round_number: int) -> Floats:
        """The server's sum; of one hospital it is its share of the noise and all, as if every mask had failed."""
        asked = request_of(self.terms, round_number, self.account)
        total: Integers = np.zeros(integers.shape[1], np.int64)
        found = IntegerSum(total, asked.sum_noise(self.terms, round_number).grid)
        for hospital, vector in zip(self.hospitals, integers, strict=True):
            found.add(hospital, vector)
        return found.decoded()


def attack_on(
    federation: Federation,
    terms: Terms,
    account: str,
    hospitals: tuple[str, ...],
    others: int,
    survivors: int = 0,
) -> Attack:
    """Make an attack, with its canary and what that canary adds; arguments as the attack's fields."""
    canary = Canary(terms)
    kinds = {request_of(terms, number, account) for number in _rounds(terms, account)}
    return Attack(
        federation=federation,
        terms=terms,
        account=account,
        hospitals=hospitals,
        others=others,
        canary=canary.patient,
        weights=canary.weights,
        directions={kind: canary.contribution(kind) for kind in kinds},
        survivors=survivors,
    )


def _rounds(terms: Terms, account: str) -> Sequence[int]:
    return request_of(terms, 1, account).rounds(terms)


def accepted(answers: Sequence[Release | Refusal]) -> Iterator[Release]:
    """Give the releases; ConfigurationError where a hospital refused."""
    for answer in answers:
        if isinstance(answer, Refusal):
            raise ConfigurationError(f"audit: a simulated hospital refused ({answer.clause}): {answer}")
        yield answer
