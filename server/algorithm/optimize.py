"""The server's optimisers and tail average, as pure functions over small frozen states.

SGD with momentum: Polyak 1964. Adam: Kingma and Ba 2015, Alg. 1, at the server as in Reddi et al. 2021,
"Adaptive federated optimization" (FedAdam), whose second-moment decay and τ are taken. Tail averaging:
Polyak and Juditsky 1992; over the last share of rounds as in Jain et al. 2018. Newton: ``server.algorithm.newton``. All
of it reads releases only, so it is post-processing and costs no ε. Any other name is a user's own optimiser
(``server.algorithm.own_rule``).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.model.precondition import preconditioner_of
from wardround.protocol.model.prior import columns_of_fields
from wardround.protocol.terms.settings import OPTIMIZERS, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm import newton, own_rule
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.field_spread import read_fields
from wardround.server.algorithm.prior_mean import prior_mean
from wardround.server.algorithm.propose import tail_share, without_moments

SECOND_MOMENT_DECAY = 0.99
ADAPTIVITY = 1e-3  # τ of Reddi et al. 2021: keeps a coordinate of little noise from taking huge steps


@dataclass(frozen=True, kw_only=True, eq=False)
class OptimizerState:
    """first_moment: velocity (sgd), mean of gradients (adam) or what newton has seen (``_by_running_average``).

    second_moment: adam's, empty otherwise.
    mean_row: newton's, the aggregated mean design row over ``row_count`` moment rounds; empty before the first.
    All float64, [parameters]. steps counts the updates made. What follows from mean_row and the terms, as the
    gain does, is not part of the state: a replay of the releases finds it again. own: the state of a user's
    optimiser, arrays by name; empty for the others. factors: newton's, of each field's prior variance, float64
    [fields] (``server.algorithm.field_spread``); empty before the first gradient, and with equal noise.
    """

    first_moment: Floats
    second_moment: Floats
    steps: int
    mean_row: Floats = field(default_factory=lambda: np.zeros(0))
    row_count: int = 0
    own: Mapping[str, Floats] = field(default_factory=dict)
    factors: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, kw_only=True, eq=False)
class TailAverage:
    """mean: float64 [parameters], average of the weights after ``count`` updates of the tail."""

    mean: Floats
    count: int


def init(training: TrainingSettings, parameters: int) -> OptimizerState:
    """Start with no momentum, and nothing known of the design."""
    second = parameters if training.optimizer == "adam" else 0
    own = {} if training.optimizer in OPTIMIZERS else own_rule.init_own(training.optimizer, parameters)
    return OptimizerState(first_moment=np.zeros(parameters), second_moment=np.zeros(second), steps=0, own=own)


def take_moments(state: OptimizerState, mean_row: Floats) -> OptimizerState:
    """Take in one moment round's aggregate, float64 [parameters]: the state keeps the mean over such rounds."""
    count = state.row_count + 1
    known = state.mean_row if state.row_count else np.zeros_like(mean_row)
    # The mean of all such rounds, not the latest: over k of them noise falls by √k.
    return replace(state, mean_row=known + (mean_row - known) / count, row_count=count)


def apply(
    state: OptimizerState,
    terms: Terms,
    weights: Floats,
    gradient: Floats,
) -> tuple[OptimizerState, Floats]:
    """Make one update, nothing in place: gives the new state and weights, float64 [parameters].

    gradient: as hospitals measured it (``protocol.model.precondition``).

    newton whose moment rounds were all discarded goes on as sgd with momentum would: the curvature of a design
    that is only supposed could make its steps diverge.
    """
    chosen, rate = terms.training.optimizer, terms.training.learning_rate
    if (known := preconditioner_of(terms)) is not None:
        gradient = known.undo(gradient)
    if chosen not in OPTIMIZERS:
        own, after = own_rule.apply_own(chosen, state.own, weights, gradient, rate)
        return replace(state, steps=state.steps + 1, own=own), after
    if chosen != "newton":
        return first_order(state, terms.training, weights, gradient)
    if not state.row_count:
        return first_order(state, without_moments(terms), weights, gradient)
    noise = noise_gain(terms)
    row_noise = row_noise_stddev(state, terms)
    # Newton's prior has mean zero: weights are told from what was expected.
    expected = prior_mean(terms)
    if terms.round_noise_multipliers:
        fisher = newton.cached_fisher(terms, state.mean_row, row_noise)
        state, after = _by_running_average(state, terms, fisher, weights - expected, gradient)
        return state, after + expected
    gain = newton.cached_gain(terms, state.mean_row, row_noise)
    averaged = newton.averaged_noise_stddev(terms, noise)
    # Counted in gradients: moment rounds made no step, and must not shrink the first one.
    after = gain.step(weights - expected, gradient, averaged, newton.rate(state.steps + 1) * rate)
    return replace(state, steps=state.steps + 1), after + expected


def row_noise_stddev(state: OptimizerState, terms: Terms) -> float:
    """Give the standard deviation of the noise in one entry of the state's mean row."""
    # All moment rounds have the first one's noise.
    return terms.hospital_noise_stddev(1) * noise_gain(terms) / math.sqrt(state.row_count)


def _by_running_average(
    state: OptimizerState, terms: Terms, fisher: Floats, weights: Floats, gradient: Floats
) -> tuple[OptimizerState, Floats]:
    """Make w the posterior mean given the gradients so far, with the noise that their average has so far.

    Where the first rounds have most of the noise, the gain of the whole study's average would take that noise for
    signal, and carry w to where later gradients are linearised badly (on the zoo, 0.007 AUC with ten rounds). The
    average is kept itself: a step from the last w, as the one gain for all rounds has it, does not tell what was seen.
    """
    count, places = state.steps + 1, columns_of_fields(terms.contract.layout)
    innovation = gradient - weights @ fisher
    seen = state.first_moment + newton.rate(count) * (innovation - state.first_moment)
    stddev = newton.averaged_noise_stddev(terms, noise_gain(terms), count)
    noise = newton.noise_covariance(terms, fisher, stddev)
    # Empty before the first gradient, and in the checkpoint of a study that an earlier version began.
    factors = state.factors if len(state.factors) else np.ones(len(places))
    target, told = read_fields(places, newton.scaled_prior(terms.contract), fisher, seen, noise, factors)
    after = weights + terms.training.learning_rate * (target - weights)
    return replace(state, first_moment=seen, steps=count, factors=told), after


def first_order(
    state: OptimizerState,
    training: TrainingSettings,
    weights: Floats,
    gradient: Floats,
) -> tuple[OptimizerState, Floats]:
    """Make one update of sgd or adam. Rows of [rows, parameters] go each its own way."""
    if training.optimizer == "adam":
        return _adam(state, training, weights, gradient)
    # Without a factor 1 − momentum, as in torch; `propose.step_size` has it in the step instead.
    velocity = training.momentum * state.first_moment + gradient
    after = replace(state, first_moment=velocity, steps=state.steps + 1)
    return after, weights - training.learning_rate * velocity


def _adam(
    state: OptimizerState,
    training: TrainingSettings,
    weights: Floats,
    gradient: Floats,
) -> tuple[OptimizerState, Floats]:
    steps = state.steps + 1
    first = training.momentum * state.first_moment + (1 - training.momentum) * gradient
    second = SECOND_MOMENT_DECAY * state.second_moment + (1 - SECOND_MOMENT_DECAY) * np.square(gradient)
    # m̂ and √v̂ of Kingma and Ba: both moments start at zero, and would be too small in the first rounds.
    unbiased = first / (1 - training.momentum**steps)
    scale = np.sqrt(second / (1 - SECOND_MOMENT_DECAY**steps)) + ADAPTIVITY
    after = OptimizerState(first_moment=first, second_moment=second, steps=steps)
    return after, weights - training.learning_rate * unbiased / scale


def init_tail(parameters: int) -> TailAverage:
    """Start with nothing averaged."""
    return TailAverage(mean=np.zeros(parameters), count=0)


def extend_tail(
    tail: TailAverage, training: TrainingSettings, round_number: int, weights: Floats
) -> TailAverage:
    """Take in the weights after this round, where it belongs to the last ``tail_average`` share of rounds."""
    if round_number <= training.rounds - math.ceil(tail_share(training) * training.rounds):
        return tail
    count = tail.count + 1
    return TailAverage(mean=tail.mean + (weights - tail.mean) / count, count=count)
