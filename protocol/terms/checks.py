"""What terms must fulfil that no single group of their settings can check. Each raises ConfigurationError."""

import math
from collections.abc import Iterable, Sequence

from wardround.protocol import plugins
from wardround.protocol.contract.layout import Layout
from wardround.protocol.errors import require
from wardround.protocol.privacy.noise import AUTO
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.settings import (
    BY_RULE,
    EQUAL,
    ROBUST,
    ModelSettings,
    PrivacySettings,
    TrainingSettings,
)
from wardround.protocol.text.bounds import (
    LARGEST_SUMMED,
    LARGEST_VECTOR,
    MOST_INTERACTING,
    MOST_PRECONDITIONED,
    PRECONDITIONS,
)
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import ALLOWED_IN_NAMES, checked_name, is_digest, is_line, is_name


def check_texts(study: str, hospitals: Iterable[str], expires_at: str, simulation: bool) -> None:
    """Names that go into files, logs and screens. A simulation's hospitals may come from a table's column.

    There "JARDIM CAMBURI" names one, and nobody's home; its own machine prints it. Real hospitals have names.
    """
    checked_name(study, "study")
    fits = is_line if simulation else is_name
    for hospital in hospitals:
        require(fits(hospital), "training.public_patients", shown(hospital), ALLOWED_IN_NAMES)
    line = "must be a date and time in UTC"
    require(is_line(expires_at, 40), "expires_at", shown(expires_at), line)


def check_resolved(privacy: PrivacySettings, training: TrainingSettings) -> None:
    """Nothing is left to a rule: who reads terms sees what will be done."""
    line = "must be resolved in terms"
    require(privacy.noise != AUTO, "privacy.noise", AUTO, line)
    require(privacy.schedule != AUTO, "privacy.schedule", AUTO, line)
    require(training.rounds != BY_RULE, "training.rounds", BY_RULE, line)
    require(privacy.clip_norm != BY_RULE, "privacy.clip_norm", BY_RULE, line)
    require(training.optimizer != "auto", "training.optimizer", "auto", line)


def check_schedule(each: Sequence[float], schedule: str, last_round: int, noise_multiplier: float) -> None:
    """Every round has its noise, and the one number that all limits are held against is the least of them."""
    key = "round_noise_multipliers"
    if not each:
        return
    require(schedule != EQUAL, key, f"{len(each)} numbers", f"must be left out with schedule={EQUAL}")
    line = f"must be {last_round}, one for each round and spare round"
    require(len(each) == last_round, key, f"{len(each)} numbers", line)
    # A multiplier that is no number has no minimum, and equals nothing.
    least = min(each) if all(0 < one < math.inf for one in each) else math.nan
    line = "must be the least of round_noise_multipliers"
    require(noise_multiplier == least, "noise_multiplier", noise_multiplier, line)


def check_plugins(
    model: ModelSettings, training: TrainingSettings, module_digest: str, simulation: bool
) -> None:
    """Refuse import paths in a real study: its terms carry words, which each installation maps for itself."""
    named = {"aggregate": training.aggregate, "optimizer": training.optimizer, "model": model.kind}
    for role, name in named.items():
        allowed = "an import path is for simulations; terms of a real study carry words alone"
        require(simulation or not plugins.is_path(name), plugins.ROLES[role], shown(name), allowed)
    own = model.structure.own_module and not simulation
    line = "must be the module's digest in a real study of an own module" if own else "must be left out here"
    fits = is_digest(module_digest) if own else module_digest == ""
    require(fits, "module_digest", shown(module_digest), line)


def check_robust(rule: str, hospital_count: int) -> None:
    """Check that there are releases enough: the robust rules need an odd one out."""
    enough = 3 if rule in ROBUST else 1
    line = f"needs at least {enough} hospitals, here {hospital_count}; use sum"
    require(rule == "sum" or hospital_count >= enough, "training.aggregate", rule, line)


def check_optimizer(model: ModelSettings, training: TrainingSettings) -> None:
    """Newton needs a model that is convex, and a round that tells it the curvature."""
    if training.optimizer == "newton":
        line = "must be additive with training.optimizer=newton"
        require(model.structure.convex, "model.kind", model.kind, line)
        rounds, line = training.moment_rounds, "must be at least 1 in terms with newton"
        require(rounds >= 1, "training.moment_rounds", rounds, line)


def check_precondition(level: float, optimizer: str, width: int) -> None:
    """Newton alone knows what noise becomes by it, and a hospital factors no larger matrices than those."""
    if level == 0:
        return
    key, (least, most) = "precondition", PRECONDITIONS
    require(least <= level <= most, key, level, f"must be 0, or from {least:g} to {most:g}")
    require(optimizer == "newton", key, level, "must be left out, except with training.optimizer=newton")
    line = f"must be at most {MOST_PRECONDITIONED} with precondition={level:g}; use fewer bins or crosses"
    require(width <= MOST_PRECONDITIONED, "columns of the contract", width, line)


def check_interactions(training: TrainingSettings, layout: Layout) -> None:
    """Interactions are read from the last round by the shares of bins that newton's first round told."""
    line = "must be newton with model.kind=interactions"
    require(training.optimizer == "newton", "training.optimizer", training.optimizer, line)
    rate, line = training.sampling_rate, "must be 1 with model.kind=interactions"
    require(rate == 1, "training.sampling_rate", rate, line)
    least = training.moment_rounds + 2
    line = f"must be at least {least} with model.kind=interactions: mean rows, gradients, interactions"
    require(training.rounds >= least, "training.rounds", training.rounds, line)
    fields, line = len(layout.interacting), f"must be at most {MOST_INTERACTING} with model.kind=interactions"
    require(fields <= MOST_INTERACTING, "features with few bins", fields, line)
    # Only now: pairs are as many as the square of the fields.
    pairs, line = len(layout.interactions), "must be at least 1 with model.kind=interactions; use additive"
    require(pairs >= 1, "pairs of features with few bins", pairs, line)


def check_evaluation(evaluation: EvaluationSettings, rounds: int, last: int) -> None:
    """Evaluations fall on rounds that there are; ``last`` is one beyond them where the model is mitigated."""
    asked, line = list(evaluation.rounds), f"must be from 1 to {rounds} (one more is the model as mitigated)"
    require(bool(asked) and asked[-1] <= last, "evaluation.rounds", asked, line)
    multiplier = evaluation.noise_multiplier
    require(multiplier > 0, "evaluation.noise_multiplier", multiplier, "must be greater than 0")


def check_table(numbers: int, score_bins: int, summed: bool) -> None:
    """Tables of an evaluation fit into one release; ``summed`` in a secure sum."""
    most = LARGEST_SUMMED if summed else LARGEST_VECTOR
    line = f"makes tables of {numbers} numbers, must be at most {most}; use fewer bins or groups"
    require(numbers <= most, "evaluation.score_bins", score_bins, line)


def check_cells(kind: str, numbers: int, summed: bool) -> None:
    """The table of a query fits into one release; ``summed`` in a secure sum."""
    most = LARGEST_SUMMED if summed else LARGEST_VECTOR
    line = f"has {numbers} cells, must be at most {most}; use a contract with fewer groups"
    require(numbers <= most, "query", kind, line)
