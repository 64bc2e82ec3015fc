"""A user's own aggregation rule or server optimiser: what it must offer, and how the rounds call it.

Both read releases and public numbers only, so what they do is post-processing and costs no ε. What they give back is
checked for shape and for numbers that are not finite.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast, runtime_checkable

import numpy as np

from wardround.protocol import plugins
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.errors import ConfigurationError, require
from wardround.server.algorithm.robust import LARGEST_ROWS

_NOISE_DRAWS = 4096


@runtime_checkable
class AggregationRule(Protocol):
    """Join the hospitals' estimates of the mean gradient into one; named by ``training.aggregate``.

    A function of these two arguments is a rule. It must be deterministic, or a study cannot be replayed.

    >>> import numpy as np, wardround
    >>> def equal_say(means, patients):
    ...     return means.mean(axis=0)
    >>> isinstance(equal_say, wardround.AggregationRule)
    True
    >>> equal_say(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([100, 900])).tolist()
    [2.0, 3.0]
    """

    def __call__(self, means: Floats, patients: Integers) -> Floats:
        """Return the estimate to descend by, float64 [parameters].

        means: float64 [hospitals, parameters], each hospital's noised sum over its declared patients; with several
        local steps, minus its difference of weights. Only hospitals whose release passed the screen, in the order
        of the terms. patients: int64 [hospitals], their declared training patients. Both may be overwritten.
        """


@runtime_checkable
class ServerOptimizer(Protocol):
    """Turn a round's gradient into the next weights; named by ``training.optimizer``.

    State is a mapping of names to float64 arrays, and all that the next round may depend on.

    >>> import numpy as np, wardround
    >>> class Signs:
    ...     def init(self, parameters):
    ...         return {}
    ...     def apply(self, state, weights, gradient, learning_rate):
    ...         return state, weights - learning_rate * np.sign(gradient)
    >>> isinstance(Signs(), wardround.ServerOptimizer)
    True
    """

    def init(self, parameters: int) -> Mapping[str, Floats]:
        """Return the state before the first gradient, for vectors of this length.

        >>> import numpy as np
        >>> class Momentum:
        ...     def init(self, parameters):
        ...         return {"velocity": np.zeros(parameters)}
        >>> Momentum().init(2)["velocity"].tolist()
        [0.0, 0.0]
        """

    def apply(
        self, state: Mapping[str, Floats], weights: Floats, gradient: Floats, learning_rate: float
    ) -> tuple[Mapping[str, Floats], Floats]:
        """Return the new state and the new weights, float64 [parameters]; change no argument in place.

        gradient: float64 [parameters], the noised mean gradient; descent goes against it.

        >>> import numpy as np
        >>> class Momentum:
        ...     def apply(self, state, weights, gradient, learning_rate):
        ...         velocity = 0.9 * state["velocity"] + gradient
        ...         return {"velocity": velocity}, weights - learning_rate * velocity
        >>> state = {"velocity": np.zeros(1)}
        >>> Momentum().apply(state, np.array([1.0]), np.array([2.0]), 0.5)[1].tolist()
        [0.0]
        """


@dataclass(eq=False)
class OwnAggregate:
    """One round's releases, held until a user's rule joins them."""

    name: str
    patients: Mapping[str, int]
    scales: Mapping[str, float]
    parameters: int
    rows: dict[str, Floats] = field(default_factory=dict)

    def add(self, hospital: str, vector: Floats) -> None:
        """Keep one screened release as the hospital's own estimate of the mean gradient."""
        self.rows[hospital] = vector * self.scales[hospital]

    def gradient(self) -> Floats:
        """Give the rule's estimate, float64 [parameters], whatever the order of arrival."""
        # The order of the terms: a replay from stored releases must give the same bits.
        came = [hospital for hospital in self.patients if hospital in self.rows]
        means = np.stack([self.rows[hospital] for hospital in came])
        return join(self.name, means, np.array([self.patients[hospital] for hospital in came]))


def begin_own(
    name: str, patients: Mapping[str, int], scales: Mapping[str, float], parameters: int
) -> OwnAggregate:
    """Start a round's aggregate; ConfigurationError where its releases would not fit ``LARGEST_ROWS``."""
    needed = 8 * len(patients) * parameters
    require(
        needed <= LARGEST_ROWS,
        "training.aggregate",
        name,
        f"holds all releases of a round, {needed >> 20} MiB, must be at most {LARGEST_ROWS >> 20}; use sum",
    )
    return OwnAggregate(name, patients, scales, parameters)


def join(name: str, means: Floats, patients: Integers) -> Floats:
    """Call a user's rule on float64 [hospitals, parameters] and check what it gives."""
    rule = cast(AggregationRule, _plugin("aggregate", name))
    given = plugins.called("aggregate", name, lambda: np.asarray(rule(means, patients), np.float64))
    return _checked("aggregate", name, given, means.shape[1])


def noise_stddev(name: str, stddevs: Floats, patients: Integers) -> float:
    """Standard deviation that a user's rule leaves of noise alone, hospitals' means having ``stddevs``.

    Measured on 4,096 coordinates of noise that is drawn the same each time: within about 1 %.
    """
    # A fixed seed, which protects nothing here: whoever resumes or replays a study must find the same figure.
    draws = np.random.default_rng(2018).normal(size=(len(stddevs), _NOISE_DRAWS)) * stddevs[:, np.newaxis]
    return float(np.sqrt(np.mean(np.square(join(name, draws, patients)))))


def init_own(name: str, parameters: int) -> Mapping[str, Floats]:
    """Give the state of a user's optimiser before the first gradient."""
    optimizer = cast(ServerOptimizer, _plugin("optimizer", name))
    return _state(name, plugins.called("optimizer", name, lambda: dict(optimizer.init(parameters))))


def apply_own(
    name: str, state: Mapping[str, Floats], weights: Floats, gradient: Floats, learning_rate: float
) -> tuple[Mapping[str, Floats], Floats]:
    """Make one update by a user's optimiser, which gets copies: a state that is kept cannot be changed later."""
    optimizer = cast(ServerOptimizer, _plugin("optimizer", name))
    copies = {key: array.copy() for key, array in state.items()}

    def update() -> tuple[dict[str, object], Floats]:
        after, moved = optimizer.apply(copies, weights.copy(), gradient.copy(), learning_rate)
        return dict(after), np.asarray(moved, np.float64)

    after, moved = plugins.called("optimizer", name, update)
    return _state(name, after), _checked("optimizer", name, moved, len(weights))


def _plugin(role: str, name: str) -> object:
    found = plugins.find(role, name)
    if found is None:
        raise ConfigurationError(f"{plugins.ROLES[role]}={name}: this process knows no such plugin")
    return found


def _checked(role: str, name: str, vector: Floats, parameters: int) -> Floats:
    key, shape = plugins.ROLES[role], list(vector.shape)
    require(
        vector.shape == (parameters,), key, name, f"gave an array of shape {shape}, must be [{parameters}]"
    )
    require(bool(np.isfinite(vector).all()), key, name, "gave numbers that are not finite")
    return vector


def _state(name: str, given: Mapping[str, object]) -> dict[str, Floats]:
    # A copy in one memory order: a checkpoint stores it, and a user's later write must not reach it.
    state = {str(key): np.array(value, np.float64, order="C") for key, value in given.items()}
    finite = all(np.isfinite(array).all() for array in state.values())
    require(finite, "training.optimizer", name, "keeps numbers that are not finite")
    return state
