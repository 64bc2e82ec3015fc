"""Baselines by the study's own rounds and server optimiser: without privacy, or each hospital alone."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.train.prepared import MEMORY_BYTES
from wardround.client.train.update import Step, private_update
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.model import column_scale, initial_weights
from wardround.protocol.privacy.noise import LOCAL
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.terms.settings import TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm import optimize
from wardround.server.algorithm.noise_schedule import with_equal_noise
from wardround.server.algorithm.optimize import OptimizerState, TailAverage
from wardround.server.algorithm.propose import ADAM_STEP, ROUNDS, step_size, without_moments
from wardround.simulations.study.baselines import alone_ridge, pooled_ridge
from wardround.simulations.study.whole_gradients import Sums, whole_gradients

StepFunction = Callable[[Floats, int], Floats]
"""(weights [H, D], round) → what to subtract, float64 [H, D]: a gradient, or minus a difference."""

FIRST_ORDER = ("sgd", "adam")
"""What the baselines descend by; newton and a user's own optimiser give way to sgd with momentum."""
POOLED_ROUNDS = 200
"""Full-batch Adam steps of the models that have no convex solver, where nothing but time limits them."""


def pooled_model(terms: Terms, layout: Layout, training: Cohort, memory_bytes: int = MEMORY_BYTES) -> Floats:
    """Weights float64 [D] of the study's model on all records in one place, without privacy."""
    if terms.model.structure.additive:
        return pooled_ridge(layout, column_scale(terms.model, layout), training)
    weights: Floats = _descend_plainly(terms, layout, training.pooled(), memory_bytes)[0]
    return weights


def alone_models(terms: Terms, layout: Layout, training: Cohort, memory_bytes: int = MEMORY_BYTES) -> Floats:
    """Weights float64 [H, D] of the study's model at each hospital alone, without privacy."""
    if terms.model.structure.additive:
        return alone_ridge(layout, column_scale(terms.model, layout), training)
    return _descend_plainly(terms, layout, training, memory_bytes)


def federated_model(
    terms: Terms, layout: Layout, training: Cohort, memory_bytes: int = MEMORY_BYTES
) -> Floats:
    """Weights float64 [D] of the same study over the same hospitals without clip and noise, converged.

    With one local step and full participation the hospitals' summed gradient is that of all records in one place,
    and so is where it ends: federating costs nothing there, and the difference to the private model is the price
    of privacy alone. With several local steps it is FedAvg's own rounds, as many as the study has: they overfit
    where there are more, since FedAvg has no ridge.
    """
    if terms.training.local_steps == 1:
        return pooled_model(terms, layout, training, memory_bytes)
    settings = terms.training
    if settings.optimizer not in FIRST_ORDER:
        settings = without_moments(terms)
    gradients = whole_gradients(terms.model, layout, training, memory_bytes)

    def step(weights: Floats, round_number: int) -> Floats:
        return _averaged_difference(terms, weights, gradients)

    found: Floats = descend(step, _initial(terms, layout, 1), settings)[0]
    return found


def _averaged_difference(terms: Terms, weights: Floats, gradients: Sums) -> Floats:
    """FedAvg's round (McMahan et al. 2017), weighted by public patients: minus the mean difference [1, D]."""
    public = np.array(list(terms.training.public_patients.values()), dtype=np.float64)[:, None]
    current = np.repeat(weights, len(public), axis=0)
    for _ in range(terms.training.local_steps):
        current = current - terms.training.local_learning_rate * gradients(current) / public
    return np.asarray(((weights - current) * public).sum(axis=0, keepdims=True) / public.sum())


def alone_private_models(
    terms: Terms,
    layout: Layout,
    training: Cohort,
    streams: Callable[[int], Sequence[Keystream]],
    memory_bytes: int = MEMORY_BYTES,
) -> Floats:
    """Weights float64 [H, D] of each hospital alone under the same mechanism, ε and rounds; all at once.

    streams(round) gives every hospital's randomness, which must be other than the federation's. Each hospital
    adds the whole noise, and takes the step that the study's own rule would give a federation of it alone, by
    sgd where the federation has newton, since one hospital's own moments would be mostly noise. sgd then has at
    least the rounds that are its default, at the same ε, so that it arrives.
    """
    # Equal noise: a hospital alone has no newton, to which rounds would weigh differently.
    terms = with_equal_noise(terms)
    terms = replace(terms, privacy=replace(terms.privacy, noise=LOCAL.name), secure_sum=None)
    if terms.training.optimizer not in FIRST_ORDER:
        terms = _by_sgd(terms)
    public = terms.training.public_patients
    counts = np.array(list(public.values()), dtype=np.float64)[:, None]
    rates = np.array([step_size(_only(terms, name)) for name in public])[:, None]
    several = terms.training.local_steps > 1

    def step(weights: Floats, round_number: int) -> Floats:
        update = private_update(
            Step(terms=terms, layout=layout, cohort=training, round=round_number, memory_bytes=memory_bytes),
            weights,
            streams(round_number),
        )
        return -update if several else rates * update / counts

    # Each hospital's own step size is in `step` already; Adam and averaged differences take the study's.
    rate = terms.training.learning_rate if several or terms.training.optimizer == "adam" else 1.0
    settings = replace(terms.training, learning_rate=rate)
    return descend(step, _initial(terms, layout, training.hospital_count), settings)


def _by_sgd(terms: Terms) -> Terms:
    """The same study by sgd, in rounds enough for it; at full participation ε depends on rounds ÷ σ² alone."""
    rounds = max(terms.training.rounds, ROUNDS)
    multiplier = terms.noise_multiplier * math.sqrt(rounds / terms.training.rounds)
    longer = replace(terms, training=replace(terms.training, rounds=rounds), noise_multiplier=multiplier)
    return replace(longer, training=without_moments(longer), precondition=0.0)


def _only(terms: Terms, hospital: str) -> Terms:
    """The same terms for a federation of one hospital."""
    public = {hospital: terms.training.public_patients[hospital]}
    return replace(terms, training=replace(terms.training, public_patients=public, aggregate="sum"))


def descend(step: StepFunction, initial: Floats, training: TrainingSettings) -> Floats:
    """Every row's own descent at once, by the server's optimiser and tail average: float64 [H, D]."""
    second = np.zeros_like(initial) if training.optimizer == "adam" else np.zeros(0)
    state = OptimizerState(first_moment=np.zeros_like(initial), second_moment=second, steps=0)
    weights, tail = initial, TailAverage(mean=np.zeros_like(initial), count=0)
    for round_number in range(1, training.rounds + 1):
        state, weights = optimize.first_order(state, training, weights, step(weights, round_number))
        tail = optimize.extend_tail(tail, training, round_number, weights)
    return tail.mean if tail.count else weights


def _descend_plainly(terms: Terms, layout: Layout, training: Cohort, memory_bytes: int) -> Floats:
    """Full-batch Adam on the per-patient mean loss of each hospital of ``training``, without privacy."""
    # At least 1: a hospital without patients has zero gradients, and stays where it began.
    counts = np.maximum(np.diff(training.patients_from), 1).astype(np.float64)[:, None]

    gradients = whole_gradients(terms.model, layout, training, memory_bytes)

    def step(weights: Floats, round_number: int) -> Floats:
        return gradients(weights) / counts

    settings = TrainingSettings(
        rounds=POOLED_ROUNDS, optimizer="adam", learning_rate=ADAM_STEP, tail_average=0.1
    )
    return descend(step, _initial(terms, layout, training.hospital_count), settings)


def _initial(terms: Terms, layout: Layout, rows: int) -> Floats:
    return np.tile(initial_weights(terms.model, layout), (rows, 1))
