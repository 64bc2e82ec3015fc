"""The methods side by side: each gives a probability for every event of the same held-out patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client import personalize
from client.cohort import Cohort
from client.personal_mixture import fit_mixture, mixture_logits
from protocol.model import last_activations, named_parameters, predict_logits, predict_probabilities
from protocol.randomness import Keystream, derive_key
from protocol.terms import Terms
from simulations.baselines import pooled_boosting
from simulations.descents import alone_models, alone_private_models, federated_model, pooled_model
from simulations.federation import Federation

Floats = NDArray[np.float64]
UNORDERED = ("categorical", "boolean")


@dataclass(frozen=True, eq=False)
class Contest:
    """What every method gets: the federation, the terms, and the shared private weights [parameters]."""

    federation: Federation
    terms: Terms
    weights: Floats
    personal_kind: str


def compare(contest: Contest) -> dict[str, Floats]:
    """Score all methods: key of ``simulations.report.scores`` → float64 [held-out events] probabilities."""
    federation, terms = contest.federation, contest.terms
    layout, training, heldout = terms.contract.layout, federation.training, federation.heldout
    unordered = [feature.kind in UNORDERED for feature in terms.contract.features if feature.binned]

    def own_noise(round_number: int) -> Sequence[Keystream]:
        # Other noise than the federation's: alone and together must not share their luck.
        parts = [("alone", federation.seed, name, round_number) for name in federation.hospitals]
        return [Keystream(derive_key(*part)) for part in parts]

    return {
        "pooled_boosting": pooled_boosting(training, heldout, unordered, federation.seed),
        "pooled": _predict(terms, pooled_model(terms, layout, training), heldout),
        "local": _predict_each(terms, alone_models(terms, layout, training), heldout),
        "local_private": _predict_each(
            terms, alone_private_models(terms, layout, training, own_noise), heldout
        ),
        "federated": _predict(terms, federated_model(terms, layout, training), heldout),
        "federated_private": _predict(terms, contest.weights, heldout),
        "personalised": personalised(contest),
    }


def personalised(contest: Contest) -> Floats:
    """Probabilities float64 [held-out events] of the shared private model with each hospital's own part.

    Fitted and chosen on training patients only: ``mixture`` weighs shared, personal and local by
    cross-validation, the other kinds keep the shared model where the own part does not help.
    """
    federation, terms = contest.federation, contest.terms
    if contest.personal_kind == "none":
        return _predict(terms, contest.weights, federation.heldout)
    training = _personal_design(contest, federation.training)
    heldout = _personal_design(contest, federation.heldout)
    if contest.personal_kind == "mixture":
        layout = terms.contract.layout
        mixture = fit_mixture(layout, federation.training, training)
        return _probabilities(mixture_logits(layout, mixture, federation.heldout, heldout))
    fitted = personalize.fit_personal(training, federation.training)
    helps = personalize.choose_personal(training, federation.training)
    own = np.where(helps[:, None], fitted, training.shared)
    return _probabilities(personalize.personal_logits(heldout, own, federation.heldout))


def _personal_design(contest: Contest, cohort: Cohort) -> personalize.PersonalDesign:
    terms = contest.terms
    model, layout = terms.model, terms.contract.layout
    logits = predict_logits(model, layout, contest.weights, cohort)
    if not model.hidden or contest.personal_kind == "intercept_slope":
        return personalize.offset_and_slope(logits)
    shared = named_parameters(model, layout, contest.weights)["output.weight"]
    return personalize.last_layer(logits, last_activations(model, layout, contest.weights, cohort), shared)


def _predict(terms: Terms, weights: Floats, cohort: Cohort) -> Floats:
    return predict_probabilities(terms.model, terms.contract.layout, weights, cohort)


def _predict_each(terms: Terms, weights: Floats, cohort: Cohort) -> Floats:
    """Predict each hospital's events with that hospital's own weights [hospitals, parameters]."""
    parts = [
        _predict(terms, weights[index], cohort.hospital(index)) for index in range(cohort.hospital_count)
    ]
    return np.concatenate(parts)


def _probabilities(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -500, 500))))
