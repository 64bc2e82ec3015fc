"""A hospital's choice between the shared model, its own part, its own effects, and a model of its own.

Made on the hospital's training patients, after the shared model is frozen; neither the choice nor what
follows from it leaves the hospital. The candidates are mixed by exponential weights of
their cross-validated losses (Catoni 2004; Dalalyan and Tsybakov 2008), which is steadier than a choice where two are
about as good. All hospitals are fitted at once.
"""

from dataclasses import dataclass

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.personal.personalize import (
    EFFECTS_RIDGE,
    PersonalDesign,
    fit_personal,
    fold_of_patient,
    hospital_of_event,
    personal_effects_logits,
    personal_logits,
)
from wardround.client.personal.ridge import RIDGE, fit_effects
from wardround.protocol.arrays import Booleans, Floats
from wardround.protocol.contract.layout import Layout

CANDIDATES = ("shared", "own_part", "own_effects", "freer_effects", "alone")
EFFECTS_RIDGES = (EFFECTS_RIDGE, EFFECTS_RIDGE / 3)
TEMPER = 0.5
"""Losses count by half: the folds' are themselves uncertain (Grünwald 2012; chosen on synthetic federations)."""
FOLDS, FOLD_ITERATIONS, LAST_ITERATIONS = 4, 25, 60


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


def fit_mixture(layout: Layout, cohort: Cohort, design: PersonalDesign) -> PersonalMixture:
    """Fit every hospital's candidates and weigh them, on training patients only.

    design describes the frozen shared model on ``cohort``. A hospital without patients keeps the shared model.
    """
    parts = _fit(layout, cohort, design, LAST_ITERATIONS)
    weights = _weights(_cross_validated_losses(layout, cohort, design))
    # Losses of nobody are all 0, which would mix five candidates evenly.
    weights[np.diff(cohort.patients_from) == 0] = np.eye(len(CANDIDATES))[0]
    return PersonalMixture(*parts, weights)


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
    same, own, *finer, alone = mixture.weights[hospital]
    slope = float(mixture.personal[hospital, 1])
    effects = (same + slope * (own + sum(finer))) * shared + alone * mixture.alone[hospital]
    for weight, each in zip(finer, mixture.effects, strict=True):
        effects = effects + weight * each[hospital]
    return np.asarray(effects)


_Parts = tuple[Floats, tuple[Floats, ...], Floats]


def _fit(layout: Layout, cohort: Cohort, design: PersonalDesign, iterations: int) -> _Parts:
    personal = fit_personal(design, cohort)
    own = personal_logits(design, personal, cohort)
    return (
        personal,
        tuple(fit_effects(layout, cohort, own, ridge, iterations=iterations) for ridge in EFFECTS_RIDGES),
        fit_effects(layout, cohort, None, RIDGE, iterations=iterations),
    )


def _logits(layout: Layout, parts: _Parts, cohort: Cohort, design: PersonalDesign) -> Floats:
    """float64 [5, events], in the order of ``CANDIDATES``; a logit that is no number counts as 0."""
    personal, effects, alone = parts
    shared = np.nan_to_num(design.fixed + design.inputs @ design.shared, posinf=0.0, neginf=0.0)
    own = np.nan_to_num(personal_logits(design, personal, cohort), posinf=0.0, neginf=0.0)
    finer = [personal_effects_logits(layout, each, cohort, own) for each in effects]
    nothing = np.zeros(cohort.event_count)
    return np.stack([shared, own, *finer, personal_effects_logits(layout, alone, cohort, nothing)])


def _cross_validated_losses(layout: Layout, cohort: Cohort, design: PersonalDesign) -> Floats:
    """Sum over patients of the mean loss, each predicted by fits without that patient: float64 [5, hospitals]."""
    patient_fold = fold_of_patient(cohort.tokens, FOLDS)
    event_fold = patient_fold[cohort.patient_of_event]
    losses = np.zeros((len(CANDIDATES), cohort.hospital_count))
    for fold in range(FOLDS):
        kept = cohort.take(np.flatnonzero(patient_fold != fold))
        out = cohort.take(np.flatnonzero(patient_fold == fold))
        parts = _fit(layout, kept, _part_of(design, event_fold != fold), FOLD_ITERATIONS)
        logits = _logits(layout, parts, out, _part_of(design, event_fold == fold))
        each = np.logaddexp(0.0, logits) - out.labels * logits
        # Per patient, as in training: who has many messages has no more say.
        each /= out.events_per_patient[out.patient_of_event]
        hospital = hospital_of_event(out)
        losses += [np.bincount(hospital, loss, minlength=cohort.hospital_count) for loss in each]
    return losses


def _part_of(design: PersonalDesign, events: Booleans) -> PersonalDesign:
    return PersonalDesign(design.fixed[events], design.inputs[events], design.shared, design.precision)


def _weights(losses: Floats) -> Floats:
    # Less the smallest: else all weights of a large hospital underflow to 0.
    likelihood = np.exp(-TEMPER * (losses - losses.min(axis=0)))
    return np.ascontiguousarray((likelihood / likelihood.sum(axis=0)).T)
