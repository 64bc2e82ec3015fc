"""DP-FedAvg as most would write it with Opacus: Poisson batches, one local epoch a round, plain averaging.

McMahan et al. 2017 with DP-SGD (Abadi et al. 2016) at every hospital: each takes Poisson batches of its own patients,
clips every patient's gradient on unscaled one-hot rows, and noises each step in full; the server averages models by
declared patients. Every hospital finds the noise for its own sampling rate and steps, so that its patients' ε is the
target. One step is what Opacus's optimiser does (``test_zoo_methods.py`` compares), in closed form for speed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.sparse import csr_matrix

from wardround.client.cohort import Cohort
from wardround.client.personal.ridge import design_matrix
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.layout import Layout
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, noise_multiplier_for
from wardround.protocol.privacy.mechanism import clip_factors
from wardround.protocol.privacy.randomness import derive_key
from wardround.protocol.terms.settings import PrivacySettings
from wardround.simulations.federation.federation import Federation
from wardround.simulations.methods.channel import Attempt


@dataclass(frozen=True, kw_only=True)
class OpacusSettings:
    """Chosen among twenty settings on five federations of the zoo's half for choosing (docs/lab/methods.md).

    batch: expected patients of a step.
    """

    rounds: int = 10
    batch: int = 64
    clip_norm: float = 0.5
    learning_rate: float = 0.5


@dataclass(frozen=True, eq=False)
class Site:
    """One hospital: unscaled design csr [events, D], labels and shares float64 [events], events_from [patients + 1].

    declared: the public number of patients; steps: of one epoch, so that the sampling rate is 1 ÷ steps.
    """

    design: csr_matrix
    labels: Floats
    shares: Floats
    events_from: Integers
    declared: int
    steps: int

    @classmethod
    def of(cls, layout: Layout, cohort: Cohort, declared: int, batch: int) -> "Site":
        """Prepare one hospital. A power of two of steps: few sampling rates, whose noise takes seconds to find."""
        steps = 2 ** max(0, round(math.log2(declared / batch)))
        shares = (1.0 / cohort.events_per_patient)[cohort.patient_of_event]
        return cls(
            design_matrix(layout, cohort, 0, 1), cohort.labels, shares, cohort.events_from, declared, steps
        )

    def clipped_sum(self, weights: Floats, patients: Integers, clip_norm: float) -> Floats:
        """Sum the clipped gradients of these patients: float64 [D]. Each patient moves it by at most clip_norm."""
        counts = self.events_from[patients + 1] - self.events_from[patients]
        starts = np.concatenate([[0], np.cumsum(counts)])
        events = np.repeat(self.events_from[patients] - starts[:-1], counts) + np.arange(starts[-1])
        rows = self.design[events]
        residuals = 1 / (1 + np.exp(-np.clip(rows @ weights, -50, 50))) - self.labels[events]
        shape = (len(patients), len(events))
        weighted = csr_matrix((residuals * self.shares[events], np.arange(len(events)), starts), shape)
        gradients = weighted @ rows
        norms = np.sqrt(np.asarray(gradients.multiply(gradients).sum(axis=1)).ravel())
        return np.asarray(gradients.T @ clip_factors(norms, clip_norm))

    def epoch(self, settings: OpacusSettings, weights: Floats, multiplier: float, rng: Generator) -> Floats:
        """Take one epoch of private steps from ``weights`` [D]: the hospital's model float64 [D]."""
        expected = self.declared / self.steps
        patients = len(self.events_from) - 1
        for _ in range(self.steps):
            drawn = np.flatnonzero(rng.random(patients) < 1 / self.steps)
            summed = self.clipped_sum(weights, drawn, settings.clip_norm)
            summed = summed + rng.normal(0.0, multiplier * settings.clip_norm, len(weights))
            weights = weights - settings.learning_rate / expected * summed
        return weights


def opacus_fedavg(federation: Federation, privacy: PrivacySettings, seed: int) -> Attempt:
    """Train with the chosen settings."""
    return train_with(OpacusSettings(), federation, privacy, seed)


def train_with(
    settings: OpacusSettings, federation: Federation, privacy: PrivacySettings, seed: int
) -> Attempt:
    """Run all rounds. The events are those of the hospital whose patients pay most."""
    layout = federation.contract.layout
    sites = list(_sites(federation, settings.batch))
    costs = [_cost(privacy, site.steps, settings.rounds) for site in sites]
    names = federation.hospitals
    keys = [derive_key("challenger", "opacus_fedavg", seed, name) for name in names]
    streams = [np.random.default_rng(list(key)) for key in keys]
    declared = np.array([site.declared for site in sites], np.float64)
    weights = np.zeros(layout.width)
    for _ in range(settings.rounds):
        models = [
            site.epoch(settings, weights, cost.noise_multiplier, rng)
            for site, cost, rng in zip(sites, costs, streams, strict=True)
        ]
        weights = declared @ np.array(models) / declared.sum()
    dearest = max(set(costs), key=lambda cost: compose_epsilon([cost], privacy.delta))
    heldout = federation.heldout.pooled()
    return Attempt(design_matrix(layout, heldout, 0, 1) @ weights, (dearest,))


def _sites(federation: Federation, batch: int) -> Iterator[Site]:
    declared = federation.public_patients({})
    for index, name in enumerate(federation.hospitals):
        own = federation.training.hospital(index)
        yield Site.of(federation.contract.layout, own, declared[name], batch)


def _cost(privacy: PrivacySettings, steps: int, rounds: int) -> PrivacyEvent:
    multiplier = noise_multiplier_for(privacy.epsilon, privacy.delta, 1 / steps, steps * rounds)
    return PrivacyEvent(multiplier, 1 / steps, steps * rounds)
