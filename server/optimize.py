"""The server's optimiser and tail average, as pure functions over small frozen states.

SGD with momentum: Polyak 1964. Adam: Kingma and Ba 2015, Alg. 1, at the server as in Reddi et al. 2021,
"Adaptive federated optimization" (FedAdam), whose second-moment decay and τ are taken. Tail averaging:
Polyak and Juditsky 1992; over the last share of rounds as in Jain et al. 2018. All of it reads releases
only, so it is post-processing and costs no ε.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.settings import TrainingSettings

SECOND_MOMENT_DECAY = 0.99
ADAPTIVITY = 1e-3  # τ of Reddi et al. 2021: keeps a coordinate of little noise from taking huge steps


@dataclass(frozen=True, kw_only=True, eq=False)
class OptimizerState:
    """first_moment: velocity (sgd) or mean of gradients (adam); second_moment: adam's, empty for sgd.

    Both float64, [parameters]. steps counts the updates made.
    """

    first_moment: NDArray[np.float64]
    second_moment: NDArray[np.float64]
    steps: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TailAverage:
    """mean: float64 [parameters], average of the weights after ``count`` updates of the tail."""

    mean: NDArray[np.float64]
    count: int


def init(training: TrainingSettings, parameters: int) -> OptimizerState:
    """Start with no momentum."""
    second = parameters if training.optimizer == "adam" else 0
    return OptimizerState(first_moment=np.zeros(parameters), second_moment=np.zeros(second), steps=0)


def apply(
    state: OptimizerState,
    training: TrainingSettings,
    weights: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> tuple[OptimizerState, NDArray[np.float64]]:
    """Make one update, nothing in place: gives the new state and weights, float64 [parameters]."""
    if training.optimizer == "adam":
        return _adam(state, training, weights, gradient)
    velocity = training.momentum * state.first_moment + gradient
    after = OptimizerState(first_moment=velocity, second_moment=state.second_moment, steps=state.steps + 1)
    return after, weights - training.learning_rate * velocity


def _adam(
    state: OptimizerState,
    training: TrainingSettings,
    weights: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> tuple[OptimizerState, NDArray[np.float64]]:
    steps = state.steps + 1
    first = training.momentum * state.first_moment + (1 - training.momentum) * gradient
    second = SECOND_MOMENT_DECAY * state.second_moment + (1 - SECOND_MOMENT_DECAY) * np.square(gradient)
    unbiased = first / (1 - training.momentum**steps)
    scale = np.sqrt(second / (1 - SECOND_MOMENT_DECAY**steps)) + ADAPTIVITY
    after = OptimizerState(first_moment=first, second_moment=second, steps=steps)
    return after, weights - training.learning_rate * unbiased / scale


def init_tail(parameters: int) -> TailAverage:
    """Start with nothing averaged."""
    return TailAverage(mean=np.zeros(parameters), count=0)


def extend_tail(
    tail: TailAverage, training: TrainingSettings, round_number: int, weights: NDArray[np.float64]
) -> TailAverage:
    """Take in the weights after this round, where it belongs to the last ``tail_average`` share of rounds."""
    if round_number <= training.rounds - math.ceil(training.tail_average * training.rounds):
        return tail
    count = tail.count + 1
    return TailAverage(mean=tail.mean + (weights - tail.mean) / count, count=count)
