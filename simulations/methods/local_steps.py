"""Several private steps at each hospital between rounds: FedAvg, FedProx, and a model of each hospital's own.

FedAvg: McMahan et al. 2017. FedProx: Li et al. 2020, "Federated optimization in heterogeneous networks", whose
proximal term pulls local steps towards the round's weights. MR-MTL: Liu, Hu, Wu and Smith 2022, "On privacy and
personalization in cross-silo federated learning": hospitals keep models of their own, which take private
steps and are pulled towards the mean of all. Every step is noised in full at the hospital that takes it
(silo-specific patient ε), so weights may leave; sums with shared noise do not exist here.
"""

from dataclasses import dataclass

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.privacy.accounting import noise_multiplier_for
from wardround.protocol.terms.settings import PrivacySettings
from wardround.simulations.federation.federation import Federation
from wardround.simulations.methods.additive import clip_norm_at, gradient_sums, logits_of
from wardround.simulations.methods.channel import Attempt, Channel


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """Chosen on synthetic federations.

    rounds × local_steps private steps; pull is FedProx's μ or MR-MTL's λ, towards the round's mean; own:
    hospitals keep their models between rounds (MR-MTL). tail: share of the rounds averaged.
    """

    rounds: int = 20
    local_steps: int = 4
    learning_rate: float = 6.0
    pull: float = 0.0
    own: bool = False
    clip_norm: float = 0.5
    tail: float = 0.5


FEDAVG = LocalSettings()
FEDPROX = LocalSettings(pull=0.03)
MEAN_REGULARISED = LocalSettings(rounds=40, local_steps=1, pull=1.0, own=True, clip_norm=0.3)


def fedavg(federation: Federation, privacy: PrivacySettings, seed: int) -> Attempt:
    """Average the hospitals' models after their local steps."""
    return train_locally(FEDAVG, federation, privacy, seed)


def fedprox(federation: Federation, privacy: PrivacySettings, seed: int) -> Attempt:
    """Average the hospitals' models after local steps with the proximal pull."""
    return train_locally(FEDPROX, federation, privacy, seed)


def mean_regularised(federation: Federation, privacy: PrivacySettings, seed: int) -> Attempt:
    """Give each hospital its own model, pulled to the mean."""
    return train_locally(MEAN_REGULARISED, federation, privacy, seed)


def train_locally(
    settings: LocalSettings, federation: Federation, privacy: PrivacySettings, seed: int
) -> Attempt:
    """Run all hospitals at once; each patient pays for every step of their own hospital."""
    channel = Channel.open(federation, privacy, seed, "mean_regularised" if settings.own else "local_steps")
    steps = settings.rounds * settings.local_steps
    # Each local step is a release by itself: what averaging hides is not credited.
    multiplier = noise_multiplier_for(privacy.epsilon, privacy.delta, 1.0, steps)
    models = np.zeros((len(federation.hospitals), federation.contract.layout.width))
    tail = []
    for round_number in range(settings.rounds):
        mean = mean_model(models, channel.patients)
        start = models if settings.own else np.repeat(mean[np.newaxis], len(models), axis=0)
        models = _local_round(settings, federation, channel, multiplier, start, mean)
        if round_number >= settings.rounds * (1 - settings.tail):
            tail.append(models if settings.own else mean_model(models, channel.patients))
    return Attempt(logits_of(federation, np.mean(tail, axis=0)), channel.spent)


def mean_model(models: Floats, patients: Floats) -> Floats:
    """Mean of the hospitals' models by declared patients: float64 [hospitals, D] -> [D]."""
    # Declared numbers, which are public: true ones would be one more release.
    return np.asarray(patients @ models / patients.sum())


def _local_round(
    settings: LocalSettings,
    federation: Federation,
    channel: Channel,
    multiplier: float,
    models: Floats,
    centre: Floats,
) -> Floats:
    """Take each hospital's private steps; the pull is solved for exactly, so that no strength is unstable."""
    layout, clip_norm = federation.contract.layout, clip_norm_at(federation.contract, settings.clip_norm)
    strength = settings.learning_rate * settings.pull
    for _ in range(settings.local_steps):
        sums = gradient_sums(layout, models, federation.training, clip_norm)
        gradients = channel.sums(sums, clip_norm, multiplier) / channel.patients[:, np.newaxis]
        models = (models - settings.learning_rate * gradients + strength * centre) / (1 + strength)
    return models
