"""The methods side by side: each gives a probability for every event of the same held-out patients."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from client import personalize
from client.cohort import Cohort
from client.train import clipped_sums, private_update
from protocol.model import (
    column_scale,
    initial_weights,
    last_activations,
    named_parameters,
    predict_logits,
    predict_probabilities,
)
from protocol.randomness import Keystream, derive_key
from protocol.terms import Terms
from server.propose import LARGEST_STEP, step_size
from simulations.baselines import alone_ridge, descend, descend_together, pooled_boosting, pooled_ridge
from simulations.federation import Federation

Floats = NDArray[np.float64]
UNCLIPPED = 1e100
POOLED_ROUNDS = 300
"""Full-batch steps for pooled models that have no convex solver."""
UNORDERED = ("categorical", "boolean")


@dataclass(frozen=True, eq=False)
class Contest:
    """What every method gets: the federation, the terms, and the shared private weights [parameters]."""

    federation: Federation
    terms: Terms
    weights: Floats
    personal_kind: str


def compare(contest: Contest) -> dict[str, Floats]:
    """Score all methods: key of ``simulations.scores`` → float64 [held-out events] probabilities."""
    federation, terms = contest.federation, contest.terms
    contract = federation.contract
    unordered = [f.kind in UNORDERED for f in contract.features if f.binned]
    alone = _alone(federation, terms)
    return {
        "pooled_boosting": pooled_boosting(federation.training, federation.heldout, unordered, federation.seed),
        "pooled": _predict(terms, _pooled(federation, terms), federation.heldout),
        "local": _predict_each(terms, alone, federation.heldout),
        "local_private": _predict_each(terms, _alone_private(federation, terms), federation.heldout),
        "federated": _predict(terms, _federated(federation, terms), federation.heldout),
        "federated_private": _predict(terms, contest.weights, federation.heldout),
        "personalised": personalised(contest),
    }


def personalised(contest: Contest) -> Floats:
    """Probabilities float64 [held-out events] of the shared private model with each hospital's own part.

    Fitted on training patients only; a hospital whose own part does not help them keeps the shared model.
    """
    federation, terms = contest.federation, contest.terms
    if contest.personal_kind == "none":
        return _predict(terms, contest.weights, federation.heldout)
    training = _personal_design(contest, federation.training)
    fitted = personalize.fit_personal(training, federation.training)
    helps = personalize.choose_personal(training, federation.training)
    own = np.where(helps[:, None], fitted, training.shared)
    heldout = _personal_design(contest, federation.heldout)
    return _probabilities(personalize.personal_logits(heldout, own, federation.heldout))


def _personal_design(contest: Contest, cohort: Cohort) -> personalize.PersonalDesign:
    terms = contest.terms
    model, layout = terms.model, terms.contract.layout
    logits = predict_logits(model, layout, contest.weights, cohort)
    if not model.hidden or contest.personal_kind == "intercept_slope":
        return personalize.offset_and_slope(logits)
    shared = named_parameters(model, layout, contest.weights)["output.weight"]
    return personalize.last_layer(logits, last_activations(model, layout, contest.weights, cohort), shared)


def _pooled(federation: Federation, terms: Terms) -> Floats:
    layout = terms.contract.layout
    if terms.model.kind == "additive":
        return pooled_ridge(layout, column_scale(terms.model, layout), federation.training)
    return _without_privacy(federation.training.pooled(), terms, POOLED_ROUNDS)


def _federated(federation: Federation, terms: Terms) -> Floats:
    return _without_privacy(federation.training, terms, terms.training.rounds)


def _without_privacy(cohort: Cohort, terms: Terms, rounds: int) -> Floats:
    """Give the study's own rounds without clip and noise, at the largest stable step."""
    layout = terms.contract.layout
    training = replace(terms.training, rounds=rounds, optimizer="sgd", learning_rate=LARGEST_STEP)

    def step(weights: Floats) -> Floats:
        return clipped_sums(terms.model, layout, weights, cohort, UNCLIPPED)

    return descend_together(step, initial_weights(terms.model, layout), float(cohort.patient_count), training)


def _alone(federation: Federation, terms: Terms) -> Floats:
    layout = terms.contract.layout
    if terms.model.kind == "additive":
        return alone_ridge(layout, column_scale(terms.model, layout), federation.training)
    cohort = federation.training
    training = replace(terms.training, optimizer="sgd", learning_rate=LARGEST_STEP)

    def step(weights: Floats) -> Floats:
        return clipped_sums(terms.model, layout, weights, cohort, UNCLIPPED)

    patients = np.maximum(federation.training_patients, 1).astype(np.float64)
    return descend(step, _initial(terms, cohort.hospital_count), patients, training)


def _alone_private(federation: Federation, terms: Terms) -> Floats:
    """Each hospital by itself under the same guarantee: its own noise in full, its own step size."""
    layout, cohort = terms.contract.layout, federation.training
    alone = replace(terms, privacy=replace(terms.privacy, noise="local"))
    names = terms.hospitals
    patients = np.array([terms.training.public_patients[name] for name in names], np.float64)
    steps = np.array([_step_alone(alone, name) for name in names])
    rounds = iter(range(terms.training.rounds))

    def step(weights: Floats) -> Floats:
        number = next(rounds)
        keys = [derive_key("alone", federation.seed, name, terms.fingerprint, number) for name in names]
        sums = private_update(alone, layout, weights, cohort, [Keystream(key) for key in keys], names)
        # Several local steps give a difference of weights, which descent adds.
        return sums if terms.training.local_steps == 1 else -sums * patients[:, None]

    denominators = terms.training.sampling_rate * patients if terms.training.local_steps == 1 else patients
    training = replace(terms.training, learning_rate=1.0)
    return descend(step, _initial(terms, len(names)), denominators / steps, training)


def _step_alone(alone: Terms, hospital: str) -> float:
    patients: Mapping[str, int] = {hospital: alone.training.public_patients[hospital]}
    return step_size(replace(alone, training=replace(alone.training, public_patients=patients)))


def _initial(terms: Terms, hospitals: int) -> Floats:
    return np.tile(initial_weights(terms.model, terms.contract.layout), (hospitals, 1))


def _predict(terms: Terms, weights: Floats, cohort: Cohort) -> Floats:
    return predict_probabilities(terms.model, terms.contract.layout, weights, cohort)


def _predict_each(terms: Terms, weights: Floats, cohort: Cohort) -> Floats:
    """Predict each hospital's events with that hospital's own weights [hospitals, parameters]."""
    parts = [_predict(terms, weights[index], cohort.hospital(index)) for index in range(cohort.hospital_count)]
    return np.concatenate(parts)


def _probabilities(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -500, 500))))
