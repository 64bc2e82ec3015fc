"""A hospital's choice between the shared model, its own part, its own effects, and a model of its own.

Made on the hospital's training patients, after the shared model is frozen; neither the choice nor what
follows from it leaves the hospital. The candidates are mixed by exponential weights of
their cross-validated losses (Catoni 2004; Dalalyan and Tsybakov 2008), which is steadier than a choice where two are
about as good. All hospitals are fitted at once.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.personal.personalize import (
    EFFECTS_RIDGE,
    PersonalDesign,
    effects_logits,
    fit_personal,
    fold_of_patient,
    hospital_of_event,
    personal_logits,
)
from wardround.client.personal.ridge import Start, fit_effects_each
from wardround.protocol.arrays import Booleans, Floats
from wardround.protocol.contract.layout import Layout

CANDIDATES = ("shared", "own_part", "own_effects", "freer_effects", "alone")
EFFECTS_RIDGES = (EFFECTS_RIDGE, EFFECTS_RIDGE / 3)
TEMPER = 0.5
"""Losses count by half: the folds' are themselves uncertain (Grünwald 2012; chosen on synthetic federations)."""
FOLDS, FOLD_ITERATIONS, LAST_ITERATIONS = 4, 25, 60
AloneFits = MutableMapping[int, Floats]
"""Effects float64 [hospitals, D] of each hospital alone, by the fold whose patients they have not seen; FOLDS: of all.

They depend on the patients alone: who fits to the same ones under several shared models keeps them.
"""


@dataclass(frozen=True, eq=False)
class PersonalMixture:
    """All candidates of all hospitals, and how much each counts.

    personal: float64 [hospitals, J] on a ``PersonalDesign``. effects: two of [hospitals, D], on top of the own
    part's logit; alone: [hospitals, D], from nothing. weights: [hospitals, 5], each row adds up to 1.
    """

    personal: Floats
    effects: tuple[Floats, ...]
    alone: Floats
    weights: Floats


def fit_mixture(
    layout: Layout, cohort: Cohort, design: PersonalDesign, alone: AloneFits | None = None
) -> PersonalMixture:
    """Fit every hospital's candidates and weigh them, on training patients only.

    design describes the frozen shared model on ``cohort``. A hospital without patients keeps the shared model.
    alone: what is known of the candidates that no shared model touches; it is filled.
    """
    return fit_out_of_fold(layout, cohort, design, alone)[0]


def fit_out_of_fold(
    layout: Layout, cohort: Cohort, design: PersonalDesign, alone: AloneFits | None = None
) -> tuple[PersonalMixture, Floats]:
    """Give ``fit_mixture``, and each event's logit by candidates that did not see its patient: float64 [events].

    Their weights are the mixture's own. Folds are of whole patients (``fold_of_patient``).
    """
    known = {} if alone is None else alone
    parts = _fit(layout, cohort, design, known, FOLDS, LAST_ITERATIONS)
    candidates = _out_of_fold(layout, cohort, design, known)
    weights = mixing_weights(np.stack([losses_by_hospital(cohort, logits) for logits in candidates]))
    # Losses of nobody are all 0, which would mix five candidates evenly.
    weights[np.diff(cohort.patients_from) == 0] = np.eye(len(CANDIDATES))[0]
    mixed: Floats = np.einsum("ec,ce->e", weights[hospital_of_event(cohort)], candidates)
    return PersonalMixture(*parts, weights), mixed


def mixture_logits(
    layout: Layout, mixture: PersonalMixture, cohort: Cohort, design: PersonalDesign
) -> Floats:
    """Logits float64 [events]: each hospital's weighted mean of its candidates' logits."""
    parts = (mixture.personal, mixture.effects, mixture.alone)
    weights = mixture.weights[hospital_of_event(cohort)]
    mixed: Floats = np.einsum("ec,ce->e", weights, _logits(layout, parts, cohort, design))
    return mixed


def mixture_effects(mixture: PersonalMixture, hospital: int, shared: Floats) -> Floats:
    """Effects float64 [D] of one hospital's mixture, in log-odds per unscaled column.

    shared: those of the additive shared model, whose own part is an offset and a slope. Every candidate is
    additive in the same columns, and so is their mixture; offsets are left out.
    """
    *_, alone = mixture.weights[hospital]
    effects = mixture_slope(mixture, hospital) * shared + alone * mixture.alone[hospital]
    for weight, each in zip(mixture.weights[hospital][2:-1], mixture.effects, strict=True):
        effects = effects + weight * each[hospital]
    return np.asarray(effects)


def mixture_slope(mixture: PersonalMixture, hospital: int) -> float:
    """Factor of the shared model's logit in one hospital's mixture, of an own part that is an offset and a slope."""
    same, own, *finer, _ = mixture.weights[hospital]
    return float(same + mixture.personal[hospital, 1] * (own + sum(finer)))


_Parts = tuple[Floats, tuple[Floats, ...], Floats]


def _fit(
    layout: Layout, cohort: Cohort, design: PersonalDesign, alone: AloneFits, fold: int, iterations: int
) -> _Parts:
    """Fit all candidates without a fold's patients, whom ``cohort`` has no more."""
    personal = fit_personal(design, cohort)
    own = personal_logits(design, personal, cohort)
    starts = [Start(own, ridge) for ridge in EFFECTS_RIDGES]
    found = fit_effects_each(
        layout, cohort, starts if fold in alone else [*starts, Start()], iterations=iterations
    )
    if fold not in alone:
        alone[fold] = found.pop()
    return personal, tuple(found), alone[fold]


def _logits(layout: Layout, parts: _Parts, cohort: Cohort, design: PersonalDesign) -> Floats:
    """float64 [5, events], in the order of ``CANDIDATES``; a logit that is no number counts as 0."""
    personal, effects, alone = parts
    shared = np.nan_to_num(design.fixed + design.inputs @ design.shared, posinf=0.0, neginf=0.0)
    own = np.nan_to_num(personal_logits(design, personal, cohort), posinf=0.0, neginf=0.0)
    *finer, by_itself = effects_logits(layout, [*effects, alone], cohort)
    return np.stack([shared, own, *(own + each for each in finer), by_itself])


def _out_of_fold(layout: Layout, cohort: Cohort, design: PersonalDesign, alone: AloneFits) -> Floats:
    """Logits float64 [5, events], each event's by fits without its patient."""
    patient_fold = fold_of_patient(cohort.tokens, FOLDS)
    event_fold = patient_fold[cohort.patient_of_event]
    logits = np.zeros((len(CANDIDATES), cohort.event_count))
    for fold in range(FOLDS):
        kept = cohort.take(np.flatnonzero(patient_fold != fold))
        out = cohort.take(np.flatnonzero(patient_fold == fold))
        parts = _fit(layout, kept, _part_of(design, event_fold != fold), alone, fold, FOLD_ITERATIONS)
        logits[:, event_fold == fold] = _logits(layout, parts, out, _part_of(design, event_fold == fold))
    return logits


def losses_by_hospital(cohort: Cohort, logits: Floats) -> Floats:
    """Sum over a hospital's patients of the mean log-loss of logits [events]: float64 [hospitals]."""
    each = np.logaddexp(0.0, logits) - cohort.labels * logits
    # Per patient, as in training: who has many messages has no more say.
    each *= cohort.event_shares
    return np.bincount(hospital_of_event(cohort), each, minlength=cohort.hospital_count).astype(np.float64)


def _part_of(design: PersonalDesign, events: Booleans) -> PersonalDesign:
    return PersonalDesign(design.fixed[events], design.inputs[events], design.shared, design.precision)


def mixing_weights(losses: Floats) -> Floats:
    """Exponential weights of cross-validated losses [candidates, hospitals]: float64 [hospitals, candidates]."""
    # Less the smallest: else all weights of a large hospital underflow to 0.
    likelihood = np.exp(-TEMPER * (losses - losses.min(axis=0)))
    return np.ascontiguousarray((likelihood / likelihood.sum(axis=0)).T)
