"""From an operator's settings to the terms of a study: σ for the target ε, the server's method and step size.

All follow from public quantities alone: settings, declared patients, number of hospitals.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import require
from wardround.protocol.model.model import main_count, parameter_count
from wardround.protocol.model.own_module import module_digest
from wardround.protocol.privacy.accounting import noise_multiplier_for
from wardround.protocol.privacy.noise import AUTO, LOCAL
from wardround.protocol.terms.evaluation import (
    OVERALL_SHARE,
    SUMMED_SHARE,
    EvaluationSettings,
    FairnessSettings,
)
from wardround.protocol.terms.limits import MAX_DELTA_TIMES_PATIENTS, delta_clause
from wardround.protocol.terms.secure_sum import SecureSumChoice, SecureSumSettings
from wardround.protocol.terms.settings import (
    EQUAL,
    OPTIMIZERS,
    WEIGHTED,
    ModelSettings,
    PrivacySettings,
    TrainingSettings,
)
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.bounds import PRECONDITIONS
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.clip_norm import noise_to_signal, with_clip_norm
from wardround.server.algorithm.interactions import LEAST_EVIDENCE, evidence
from wardround.server.algorithm.newton import averaged_noise_stddev
from wardround.server.algorithm.noise_choice import chosen_noise, mean_noise_stddev, raised_by_cap, with_cap
from wardround.server.algorithm.noise_schedule import round_weights, weighted_multipliers
from wardround.server.algorithm.table_weights import expected_auc_variance, release_weights

EFFECT_STDDEV = 1.0
"""Expected size of one scaled weight, the prior of the step-size rule; chosen on synthetic federations."""
LARGEST_STEP = 12.0
"""Rows have norm ≤ 1, so curvature is ≤ ¼, and heavy-ball descent is stable below 2 (1 + momentum) ÷ ¼."""
OWN_MODULE_STEP = 2.0
"""The same for a user's own module, whose curvature nobody knows: at 12, a small network with a bias diverged."""
MOMENTUM = 0.9
ADAM_STEP = 0.02
NEWTON_STEP = 1.0
"""Factor of newton's own decreasing rate (``server.algorithm.newton.rate``)."""
NEWTON_ROUNDS = 12
"""With the noise shared out by weight, as good as 40 rounds (docs/lab/methods.md), in a third of the time."""
ROUNDS = 40
"""Of the other optimisers: with 12, their steps of a bounded size do not arrive."""
NEWTON_LEAST_ROUNDS = 8
"""Below, the moment round costs more of the budget than curvature gives back."""
NEWTON_WIDEST = 2_000
"""Parameters: the server factors matrices of this size once per study, in seconds and 32 MB each."""
OVERALL_SHARES = (0.1, 0.2, 0.3, 0.5, 0.7)
AUC_HALFWIDTH = 0.015
"""Expected of the interval of the AUC of all: groups have what it can do without. Chosen on synthetic federations."""
TAIL_SHARE = 0.5
NEWTON_TAIL_SHARE = 0.0
"""Share of the last rounds averaged: newton's weights are an average over all rounds already."""


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
    secure_sum: SecureSumChoice | None = None,
    members: Mapping[str, str] | None = None,
) -> Terms:
    """Compose terms whose whole study costs each patient at most ``privacy.epsilon`` at ``privacy.delta``.

    public_patients: each planned hospital's declared number of training patients. secure_sum, members: read with
    ``privacy.noise=secure`` alone; members maps each hospital of a real study to its signing key.

    ConfigurationError where δ times the declared patients of the largest hospital is above 0.1 (1, in a simulation:
    there are no patients to protect, and its report warns), or a setting is out of range.
    """
    require(bool(public_patients), "training.public_patients", "{}", "must name at least one hospital")
    check_delta(privacy.delta, max(public_patients.values()), simulation)
    choice = secure_sum or SecureSumChoice()

    def composed(noise: str) -> Terms:
        main = composed_of(model.main, noise)
        # Asked of the terms without: what interactions could tell follows from the noise that they share out.
        worth = model.structure.interactions and evidence(main) >= LEAST_EVIDENCE
        return composed_of(model, noise) if worth else main

    def composed_of(model: ModelSettings, noise: str) -> Terms:
        return _composed(
            study=study,
            contract=contract,
            model=model,
            privacy=replace(privacy, noise=noise),
            training=training,
            public_patients=public_patients,
            simulation=simulation,
            evaluation=evaluation,
            fairness=fairness,
            secure_sum=choice,
            members=members or {},
        )

    chosen = chosen_noise(privacy.noise, len(public_patients), training, simulation)
    terms = composed(chosen)
    if privacy.noise != chosen and terms.secure_sum is not None and raised_by_cap(terms):
        # The cap on the unmasked ε may ask for more noise than full noise at each hospital has.
        local = composed(LOCAL.name)
        # In clip norms, which may differ: what a smaller one takes from noise it takes from the signal too.
        return min((terms, local), key=noise_to_signal)
    return terms


def _composed(
    *,
    study: str,
    contract: Contract,
    model: ModelSettings,
    privacy: PrivacySettings,
    training: TrainingSettings,
    public_patients: Mapping[str, int],
    simulation: bool,
    evaluation: EvaluationSettings | None,
    fairness: FairnessSettings | None,
    secure_sum: SecureSumChoice,
    members: Mapping[str, str],
) -> Terms:
    """Compose terms of one noise mode: see ``propose``."""
    parameters = parameter_count(model, contract.layout)
    training = choose_method(model, main_count(model, contract.layout), training)
    privacy = replace(privacy, schedule=_schedule(privacy, training))
    sums = None
    if not privacy.mode.alone:
        sums = _planned_sums(secure_sum, len(public_patients), parameters, members)
    # Spare sums are releases as all others: ε counts them, used or not.
    spare = sums.spare_slots if sums else 0
    steps = (training.rounds + spare) * training.local_steps
    each = _scheduled(privacy, training, spare, model.structure.interactions)
    equal = noise_multiplier_for(privacy.epsilon, privacy.delta, training.sampling_rate, steps)
    terms = Terms(
        study=study,
        contract=contract,
        model=model,
        # 1.0 holds the place of clip norm and learning rate: their rules read the noise of finished terms.
        privacy=replace(privacy, clip_norm=privacy.clip_norm or 1.0),
        training=replace(
            training, public_patients=dict(public_patients), learning_rate=training.learning_rate or 1.0
        ),
        noise_multiplier=min(each, default=equal),
        round_noise_multipliers=each,
        simulation=simulation,
        fairness=fairness or FairnessSettings(),
        module_digest=_digest(model, contract, simulation),
        secure_sum=sums,
    )
    terms = with_clip_norm(terms, privacy.clip_norm)
    terms = replace(terms, evaluation=_planned_evaluation(terms, evaluation))
    if sums is not None and not simulation:
        terms = with_cap(terms, secure_sum.max_epsilon_unmasked)
    terms = with_precondition(terms)
    if training.learning_rate:
        return terms
    return replace(terms, training=replace(terms.training, learning_rate=step_size(terms)))


def with_precondition(terms: Terms) -> Terms:
    """Give newton's terms the noise that hospitals precondition their gradients for, in three digits; others as is."""
    if terms.training.optimizer != "newton":
        return terms
    level = float(f"{averaged_noise_stddev(terms, noise_gain(terms)):.3g}")
    least, most = PRECONDITIONS
    return replace(terms, precondition=min(max(level, least), most))


def _schedule(privacy: PrivacySettings, training: TrainingSettings) -> str:
    """Resolve ``auto``: weighted where rounds weigh unequally and no patient is sampled; that is with newton."""
    if privacy.schedule != AUTO:
        return privacy.schedule
    return WEIGHTED if training.optimizer == "newton" and training.sampling_rate == 1 else EQUAL


def _scheduled(
    privacy: PrivacySettings, training: TrainingSettings, spare: int, interactions: bool
) -> tuple[float, ...]:
    """Give each round's noise multiplier where rounds differ; empty where all are alike."""
    privacy.check_steps(training)  # no schedule with sampling: say so before noise is looked for
    weights = round_weights(training, spare, interactions)
    if privacy.schedule == EQUAL or len(set(weights)) == 1:
        return ()
    return weighted_multipliers(weights, privacy.epsilon, privacy.delta)


def _planned_sums(
    choice: SecureSumChoice, hospitals: int, parameters: int, members: Mapping[str, str]
) -> SecureSumSettings:
    """Resolve what was left to the rule, as terms carry it."""
    thresholds = choice.thresholds(hospitals)
    return SecureSumSettings(
        threshold=thresholds.threshold,
        colluding=thresholds.colluding,
        parameters=parameters,
        spare_slots=choice.spare_slots,
        members=dict(members),
    )


def _digest(model: ModelSettings, contract: Contract, simulation: bool) -> str:
    """Give what the hospitals' own modules must have; a simulation has one module, and no need of it."""
    own = model.structure.own_module and not simulation
    return module_digest(model, contract.layout) if own else ""


def check_delta(delta: float, largest: int, simulation: bool) -> None:
    """ConfigurationError where δ times the patients of the largest hospital is too much.

    A mechanism may keep (0, δ) by giving out every record whole with chance δ: expect δ × patients of them.
    """
    most, word = (1.0, "below") if simulation else (MAX_DELTA_TIMES_PATIENTS, "at most")
    remedy = _smaller_digit(MAX_DELTA_TIMES_PATIENTS / largest)
    require(
        delta_clause(delta, largest, most).holds and delta * largest < 1,
        "privacy.delta",
        delta,
        f"times the {largest} patients of the largest hospital is {delta * largest:.3g}, must be {word} {most:g}; "
        f"set privacy.delta={remedy:.0e}",
    )


def _smaller_digit(value: float) -> float:
    """Round down to one significant digit: 0.1/6,000 is 1e-05."""
    unit = 10.0 ** math.floor(math.log10(value))
    # Binary fractions: 1e-05 ÷ 1e-05 may fall just below 1, and would become 0.
    return math.floor(value / unit * (1 + 1e-9)) * unit


def choose_method(model: ModelSettings, parameters: int, training: TrainingSettings) -> TrainingSettings:
    """Resolve the server's optimiser, rounds, moment rounds, momentum and tail average, as terms carry them.

    ``auto`` is newton with one moment round where that applies (additive model, one local step, full
    participation, rounds and parameters within bounds), else sgd; a learning rate that was set is sgd's. From
    public quantities only; what the user set stays. ConfigurationError where newton was asked for and its
    matrices would be too large, or its step unstable.
    """
    chosen = training.optimizer
    if chosen == "auto":
        applies = (
            model.structure.convex
            and training.local_steps == 1
            and training.sampling_rate == 1
            and not 0 < training.rounds < NEWTON_LEAST_ROUNDS
            and parameters <= NEWTON_WIDEST
            and not training.learning_rate
        )
        chosen = "newton" if applies else "sgd"
    rounds = training.rounds or (NEWTON_ROUNDS if chosen == "newton" else ROUNDS)
    rounds += model.structure.interactions and not training.rounds
    training = replace(training, rounds=rounds)
    if chosen not in OPTIMIZERS:
        # Its momentum, if any, is its own affair; the step's rule is then that of plain descent.
        training = replace(training, momentum=0.0)
    if chosen != "newton":
        return replace(training, optimizer=chosen, tail_average=tail_share(training))
    require(
        parameters <= NEWTON_WIDEST,
        "training.optimizer",
        "newton",
        f"with {parameters} parameters: must have at most {NEWTON_WIDEST}; use fewer bins or crosses, or sgd",
    )
    rate = training.learning_rate
    # Newton's first step is η = 1 times this: more would carry the weights beyond the posterior mean.
    require(rate <= 1, "training.learning_rate", rate, "must be at most 1 with training.optimizer=newton")
    resolved = replace(training, optimizer=chosen, moment_rounds=max(training.moment_rounds, 1), momentum=0.0)
    return replace(resolved, tail_average=tail_share(resolved))


def tail_share(training: TrainingSettings) -> float:
    """Give the share of the last rounds to average: what was set, or the optimiser's own."""
    if training.tail_average is not None:
        return training.tail_average
    return NEWTON_TAIL_SHARE if training.optimizer == "newton" else TAIL_SHARE


def _planned_evaluation(terms: Terms, asked: EvaluationSettings | None) -> EvaluationSettings | None:
    """Name the rounds, one more for the model as mitigated; find all their noise, and the share of the table of all."""
    if asked is None or not asked.enabled:
        return None
    last = terms.training.rounds
    rounds = asked.rounds or (last,)
    if terms.fairness.mitigation != "none" and rounds[-1] <= last:
        rounds = (*rounds, last + 1)
    # Rate 1: every held-out patient is in every table.
    noise = noise_multiplier_for(asked.epsilon, terms.privacy.delta, 1.0, len(rounds))
    planned = replace(asked, rounds=rounds, noise_multiplier=noise)
    share = asked.overall_share or _overall_share(replace(terms, evaluation=planned), planned)
    return replace(planned, overall_share=share)


def _overall_share(terms: Terms, planned: EvaluationSettings) -> float:
    """Give groups as much as leaves the AUC of all known well enough; where it is not by any share, as ever 0.7."""
    if terms.secure_sum is not None:
        return SUMMED_SHARE
    for share in OVERALL_SHARES:
        shared = replace(terms, evaluation=replace(planned, overall_share=share))
        if 1.96 * math.sqrt(expected_auc_variance(shared, release_weights(shared))) <= AUC_HALFWIDTH:
            return share
    return OVERALL_SHARE


def without_moments(terms: Terms) -> TrainingSettings:
    """Give the settings of the same study by sgd with momentum, at the step of its rule: no moments are needed."""
    plain = replace(terms.training, optimizer="sgd", moment_rounds=0, momentum=MOMENTUM, tail_average=None)
    return replace(plain, learning_rate=step_size(replace(terms, training=plain, precondition=0.0)))


def largest_step(terms: Terms) -> float:
    """Give the largest step at which descent is stable where no noise asks for a smaller one."""
    return OWN_MODULE_STEP if terms.model.structure.own_module else LARGEST_STEP


def step_size(terms: Terms) -> float:
    """Choose the server's learning rate so that descent stops where noise would take over.

    After T rounds at step η and momentum m, descent has resolved directions of curvature above
    (1 − m)/(η T), as a ridge of that strength would. The best ridge against noise of standard deviation s
    (in the average of all T gradients) and effects of size τ is about s/τ. Equating the two gives
    η = (1 − m) τ / (s T), bounded by stability.
    """
    training = terms.training
    if training.local_steps > 1:
        # Differences of weights were stepped by local_learning_rate already: FedAvg adds their mean whole.
        return 1.0
    if training.optimizer == "adam":
        return ADAM_STEP
    if training.optimizer == "newton":
        return NEWTON_STEP
    # s of the equation above: the noise of T independent gradients, averaged.
    averaged = mean_noise_stddev(terms)
    return min(largest_step(terms), (1 - training.momentum) * EFFECT_STDDEV / (averaged * training.rounds))
