"""A study's settings: frozen, keyword-only, checked once at the entrance.

What affects privacy (``PrivacySettings``, ``TrainingSettings``) is kept apart from what only shapes the
model or the run. ``protocol.terms.terms`` joins them into the signed terms of one study.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from wardround.protocol import plugins
from wardround.protocol.errors import require
from wardround.protocol.privacy.noise import AUTO, NOISE_MODES, NoiseMode, check_noise
from wardround.protocol.terms.structure import OWN_MODULE, STRUCTURES, Structure
from wardround.protocol.text.bounds import MOST_HOSPITALS, MOST_LAYERS, MOST_ROUNDS, MOST_STEPS

MODEL_KINDS = tuple(STRUCTURES)
EQUAL, WEIGHTED = "equal", "weighted"
SCHEDULES = (AUTO, EQUAL, WEIGHTED)
BY_RULE = 0
"""``training.rounds`` and ``privacy.clip_norm`` where the study's public rule chooses them; terms have a number."""
OPTIMIZERS = ("auto", "sgd", "adam", "newton")
ROBUST = ("trimmed", "median")
AGGREGATES = ("sum", *ROBUST)
SHIPPED = {"model": MODEL_KINDS, "aggregate": AGGREGATES, "optimizer": OPTIMIZERS}
"""By the role of a plugin, the words that ship. Any other may be a plugin's: who builds settings from what a person
wrote checks that this process knows it (``plugins.check_known``); who reads terms checks it at use."""


@dataclass(frozen=True, kw_only=True)
class PrivacySettings:
    """The target guarantee: (ε, δ) for adding or removing one patient at one hospital.

    clip_norm bounds the L2 norm of one patient's gradient; 0 is left to the study's public rule
    (``server.algorithm.clip_norm``). noise is ``local`` (each release is private by itself),
    ``secure`` (the sums are, and nobody sees more) or ``auto``, which the study's public rule resolves
    (``server.algorithm.noise_choice``). schedule shares the noise out over the rounds: ``equal``, or ``weighted``, less
    in rounds that weigh more in the final model, at the same ε (``server.algorithm.noise_schedule``). ``auto`` is
    resolved by the study's public rule as well (``server.algorithm.propose``).
    """

    epsilon: float = 1.0
    delta: float = 1e-5
    clip_norm: float = 1.0
    noise: str = "local"
    schedule: str = EQUAL

    def __post_init__(self) -> None:
        """Check ranges."""
        require(
            0 < self.epsilon < math.inf, "privacy.epsilon", self.epsilon, "must be greater than 0 and finite"
        )
        require(
            0 < self.delta < 1, "privacy.delta", self.delta, "must lie between 0 and 1, far below 1/patients"
        )
        require(
            BY_RULE <= self.clip_norm < math.inf,
            "privacy.clip_norm",
            self.clip_norm,
            "must be greater than 0 and finite",
        )
        check_noise(self.noise, "privacy.noise")
        allowed = f"must be one of {', '.join(SCHEDULES)}"
        require(self.schedule in SCHEDULES, "privacy.schedule", self.schedule, allowed)

    @property
    def mode(self) -> NoiseMode:
        """What the noise mode does; ValueError where it is left to the rule still."""
        if self.noise == AUTO:
            raise ValueError("privacy.noise=auto is resolved in terms")
        return NOISE_MODES[self.noise]

    def check_steps(self, training: "TrainingSettings") -> None:
        """ConfigurationError where noise and steps do not fit one another.

        That is where a sum must be private as a whole and the settings look at single releases; and where rounds have
        noise of their own but patients are sampled, or one round has several steps.
        """
        self._check_schedule(training)
        if self.noise == AUTO:  # the rule chooses what fits
            return
        noise, steps = f"privacy.noise={self.noise}", training.local_steps
        fits = self.mode.alone or steps == 1
        require(fits, "training.local_steps", steps, f"must be 1 with {noise}")
        fits = self.mode.alone or training.aggregate == "sum"
        line = f"must be sum with {noise}: single releases are not to be looked at"
        require(fits, "training.aggregate", training.aggregate, line)

    def _check_schedule(self, training: "TrainingSettings") -> None:
        # With sampling, Σ 1/σ² is not what ε depends on: the weights' rule would not hold.
        for key, value in (("sampling_rate", training.sampling_rate), ("local_steps", training.local_steps)):
            line = f"must be 1 with privacy.schedule={self.schedule}"
            require(self.schedule != WEIGHTED or value == 1, f"training.{key}", value, line)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Rounds and steps. Public: nothing here may depend on patients' data.

    public_patients maps each hospital to its declared number of training patients; empty in a simulation
    means the true counts rounded to one digit. local_learning_rate is used by ``local_steps > 1`` alone.
    optimizer, learning_rate, momentum and tail_average (share of the last rounds averaged) are the server's;
    ``auto``, rounds 0, learning_rate 0, moment_rounds 0 of newton and tail_average None leave the choice to the study's
    public rule (``server.algorithm.propose``); terms carry what was chosen. In the first ``moment_rounds`` rounds each
    hospital releases the sum of its patients' mean design rows instead of gradients: what ``optimizer=newton``
    learns the curvature from, by the same mechanism at the same cost. momentum is of sgd and adam alone.
    aggregate is how the server joins releases (``server.algorithm.aggregate``). Both it and optimizer may name a
    plugin (``protocol.plugins``).
    """

    rounds: int = 40
    moment_rounds: int = 0
    local_steps: int = 1
    sampling_rate: float = 1.0
    public_patients: Mapping[str, int] = field(default_factory=dict)
    local_learning_rate: float = 0.5
    aggregate: str = "sum"
    optimizer: str = "sgd"
    learning_rate: float = 0.0
    momentum: float = 0.9
    tail_average: float | None = None

    def asks_moments(self, round_number: int) -> bool:
        """Whether hospitals release mean design rows in this round, and not gradients."""
        return 1 <= round_number <= self.moment_rounds

    def __post_init__(self) -> None:
        """Check ranges, and that the settings fit one another."""
        self._check_counts()
        self._check_rates()
        plugins.check_form("optimizer", self.optimizer)
        plugins.check_form("aggregate", self.aggregate)
        self._check_moments()

    def _check_counts(self) -> None:
        """Rounds, steps, hospitals and patients are counted, and bounded above as whoever reads terms must be safe."""
        allowed = f"must be from 1 to {MOST_ROUNDS}"
        require(BY_RULE <= self.rounds <= MOST_ROUNDS, "training.rounds", self.rounds, allowed)
        steps = self.local_steps
        require(1 <= steps <= 10_000, "training.local_steps", steps, "must be from 1 to 10000")
        allowed = f"must be at most {MOST_STEPS} steps over all rounds, here {self.rounds} rounds"
        require(self.rounds * steps <= MOST_STEPS, "training.local_steps", steps, allowed)
        hospitals, allowed = len(self.public_patients), f"must be at most {MOST_HOSPITALS}"
        require(hospitals <= MOST_HOSPITALS, "training.public_patients", f"{hospitals} hospitals", allowed)
        for hospital, patients in self.public_patients.items():
            require(patients >= 1, f"training.public_patients.{hospital}", patients, "must be at least 1")

    def _check_rates(self) -> None:
        """Shares lie between 0 and 1; rates are finite."""
        rate, allowed = self.sampling_rate, "must be greater than 0 and at most 1 (1 is full participation)"
        require(0 < rate <= 1, "training.sampling_rate", rate, allowed)
        rate = self.local_learning_rate
        require(0 < rate < math.inf, "training.local_learning_rate", rate, "must be greater than 0")
        rate, allowed = self.learning_rate, "must be greater than 0 (null: chosen by the study's rule)"
        require(0 <= rate < math.inf, "training.learning_rate", rate, allowed)
        require(0 <= self.momentum < 1, "training.momentum", self.momentum, "must be at least 0 and below 1")
        tail, allowed = self.tail_average, "must be from 0 to 1 (null: chosen by the study's rule)"
        require(tail is None or 0 <= tail <= 1, "training.tail_average", tail, allowed)

    def _check_moments(self) -> None:
        """Moment rounds are read by newton alone, leave rounds for gradients, and are one step's sum."""
        moments, allowed = self.moment_rounds, f"must be at least 0 and below training.rounds={self.rounds}"
        fits = 0 <= moments < (MOST_ROUNDS if self.rounds == BY_RULE else self.rounds)
        require(fits, "training.moment_rounds", moments, allowed)
        require(
            not self.moment_rounds or self.optimizer in ("newton", "auto"),
            "training.moment_rounds",
            self.moment_rounds,
            f"must be 0 with training.optimizer={self.optimizer}: newton alone reads them",
        )
        require(
            # With several steps a release is a difference of weights; newton reads gradients.
            self.optimizer != "newton" or self.local_steps == 1,
            "training.local_steps",
            self.local_steps,
            "must be 1 with training.optimizer=newton",
        )


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Which model, and its hidden layers (``wide_deep`` and ``mlp`` only). kind may name a plugin, a torch module."""

    kind: str = "additive"
    hidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the kind's form and that hidden layers stand where they belong."""
        plugins.check_form("model", self.kind)
        require(
            len(self.hidden) <= MOST_LAYERS,
            "model.hidden",
            f"{len(self.hidden)} layers",
            f"must be at most {MOST_LAYERS}",
        )
        require(
            all(width >= 1 for width in self.hidden), "model.hidden", list(self.hidden), "must be at least 1"
        )
        require(
            self.structure.hidden == bool(self.hidden),
            "model.hidden",
            list(self.hidden),
            "must be empty for additive and for your own module, and name at least one layer for the others",
        )

    @property
    def structure(self) -> Structure:
        """What the model is made of."""
        return STRUCTURES.get(self.kind, OWN_MODULE)

    @property
    def main(self) -> "ModelSettings":
        """The model without interactions, which all rounds but the last train; any other model as it is."""
        return ModelSettings(kind="additive") if self.structure.interactions else self
