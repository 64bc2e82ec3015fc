"""From an operator's settings to the terms of a study: σ for the target ε, and the server's step size.

Both follow from public quantities alone: settings, declared patients, number of hospitals.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from protocol.accounting import noise_multiplier_for
from protocol.contract import Contract
from protocol.errors import require
from protocol.evaluation import EvaluationSettings, FairnessSettings
from protocol.settings import ModelSettings, PrivacySettings, TrainingSettings
from protocol.terms import Terms
from server.aggregate import noise_gain

EFFECT_STDDEV = 1.0
"""Expected size of one scaled weight, the prior of the step-size rule; chosen on synthetic federations."""
LARGEST_STEP = 12.0
"""Rows have norm ≤ 1, so curvature is ≤ ¼, and heavy-ball descent is stable below 2 (1 + momentum) ÷ ¼."""
ADAM_STEP = 0.02


def propose(
    *,
    study: str,
    contract: Contract,
    model: ModelSettings,
    privacy: PrivacySettings,
    training: TrainingSettings,
    public_patients: Mapping[str, int],
    simulation: bool,
    evaluation: EvaluationSettings | None = None,
    fairness: FairnessSettings | None = None,
) -> Terms:
    """Compose terms whose whole study costs each patient at most ``privacy.epsilon`` at ``privacy.delta``.

    public_patients: each planned hospital's declared number of training patients. ConfigurationError where
    δ is not below 1 ÷ the declared patients of the largest hospital, or a setting is out of range.
    """
    require(bool(public_patients), "training.public_patients", "{}", "must name at least one hospital")
    largest = max(public_patients.values())
    require(
        privacy.delta < 1 / largest,
        "privacy.delta",
        privacy.delta,
        f"must be below 1/patients, here 1/{largest} = {1 / largest:.2g}",
    )
    steps = training.rounds * training.local_steps
    terms = Terms(
        study=study,
        contract=contract,
        model=model,
        privacy=privacy,
        training=replace(
            training, public_patients=dict(public_patients), learning_rate=training.learning_rate or 1.0
        ),
        noise_multiplier=noise_multiplier_for(privacy.epsilon, privacy.delta, training.sampling_rate, steps),
        simulation=simulation,
        fairness=fairness or FairnessSettings(),
    )
    terms = replace(terms, evaluation=_planned_evaluation(terms, evaluation))
    if training.learning_rate:
        return terms
    return replace(terms, training=replace(terms.training, learning_rate=step_size(terms)))


def _planned_evaluation(terms: Terms, asked: EvaluationSettings | None) -> EvaluationSettings | None:
    """Name the rounds, one more for the model as mitigated, and find the noise that all of them need."""
    if asked is None or not asked.enabled:
        return None
    last = terms.training.rounds
    rounds = asked.rounds or (last,)
    if terms.fairness.mitigation != "none" and rounds[-1] <= last:
        rounds = (*rounds, last + 1)
    noise = noise_multiplier_for(asked.epsilon, terms.privacy.delta, 1.0, len(rounds))
    return replace(asked, rounds=rounds, noise_multiplier=noise)


def gradient_noise_stddev(terms: Terms) -> float:
    """Standard deviation of the noise in one coordinate of a round's mean gradient (one local step)."""
    return terms.hospital_noise_stddev * noise_gain(terms)


def step_size(terms: Terms) -> float:
    """Choose the server's learning rate so that descent stops where noise would take over.

    After T rounds at step η and momentum m, descent has resolved directions of curvature above
    (1 − m)/(η T), as a ridge of that strength would. The best ridge against noise of standard deviation s
    (in the average of all T gradients) and effects of size τ is about s/τ. Equating the two gives
    η = (1 − m) τ / (s T), bounded by stability.
    """
    training = terms.training
    if training.local_steps > 1:
        return 1.0
    if training.optimizer == "adam":
        return ADAM_STEP
    averaged = gradient_noise_stddev(terms) / math.sqrt(training.rounds)
    return min(LARGEST_STEP, (1 - training.momentum) * EFFECT_STDDEV / (averaged * training.rounds))
