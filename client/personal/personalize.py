"""A hospital's personal part, fitted on its own training patients after the shared model is frozen.

Guarantee (test_personal_scores.py): nothing here returns anything that a release reads; the shared weights
come in and stay as they are. A personal part is kept in the hospital and never leaves it.

Every personal part is one small ridge regression whose prior mean is the shared model: the additive model
gets an offset and a slope of its logit (prior 0 and 1), the others a last layer of their own (prior the
shared last layer). A hospital with no patients, few, or one class therefore keeps or nearly keeps the
shared model. All hospitals are fitted at once.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.client.cohort import Cohort
from wardround.client.personal.ridge import design_matrix
from wardround.protocol.arrays import Booleans, EitherFloats, Floats, Integers
from wardround.protocol.contract.layout import Layout

OFFSET_STDDEV, SLOPE_STDDEV = 0.5, 0.25
"""Prior spread between hospitals of the offset (log-odds) and of the slope around 1: public, not fitted."""
LAST_LAYER_STDDEV = 0.25
EFFECTS_RIDGE = 30.0
"""1 ÷ prior variance between hospitals of each effect of the additive model: a spread of 0.18 in log-odds."""
FEW_COLUMNS = 8


@dataclass(frozen=True, eq=False)
class PersonalDesign:
    """What a personal part multiplies.

    fixed: float64 [events], the part of the logit that stays. inputs: float64 [events, J], what the
    personal weights multiply. shared: float64 [J], the weights that give the shared logit back.
    precision: float64 [J], 1 ÷ prior variance around ``shared``.
    """

    fixed: Floats
    inputs: Floats
    shared: Floats
    precision: Floats


def offset_and_slope(shared_logits: Floats) -> PersonalDesign:
    """Describe the additive model's: offset + slope · shared logit. shared_logits: float64 [events]."""
    return PersonalDesign(
        fixed=np.zeros_like(shared_logits),
        inputs=np.stack([np.ones_like(shared_logits), shared_logits], axis=1),
        shared=np.array([0.0, 1.0]),
        precision=np.array([OFFSET_STDDEV**-2, SLOPE_STDDEV**-2]),
    )


def last_layer(shared_logits: Floats, activations: Floats, shared: Floats) -> PersonalDesign:
    """Describe the other models': weights [J] on the last hidden activations [events, J], and an offset.

    ``shared`` are the frozen last layer's weights; whatever else the shared logit holds (bias, linear skip)
    stays fixed.
    """
    return PersonalDesign(
        fixed=shared_logits - activations @ shared,
        inputs=np.column_stack([np.ones(len(activations)), activations]),
        shared=np.concatenate([[0.0], shared]),
        precision=np.concatenate([[OFFSET_STDDEV**-2], np.full(len(shared), LAST_LAYER_STDDEV**-2)]),
    )


def fit_personal(design: PersonalDesign, cohort: Cohort, *, tolerance: float = 1e-5) -> Floats:
    """Personal weights float64 [hospitals, J] of each hospital in ``cohort`` (training patients only).

    Minimises Σ_patients mean loss + ½ Σ_j precision_j (w_j − shared_j)² by Newton's method with halved
    steps; strictly convex, so every hospital has exactly one answer. It ends after a step below ``tolerance``: the next
    would be about its square. Events whose inputs are not finite are left out.
    """
    fit = _Fit.of(design, cohort)
    weights: Floats = np.tile(design.shared, (cohort.hospital_count, 1))
    now = fit.reached(weights)
    for _ in range(50):
        gradient, hessian = fit.derivatives(weights, now.probability)
        move = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        weights, now = _descend_halving(fit, weights, move, now)
        if np.abs(move).max(initial=0.0) < tolerance:
            break
    return weights


@dataclass(frozen=True, eq=False)
class _Reached:
    """Where a fit stands. losses: float64 [hospitals], prior included. probability: float64 [events]."""

    losses: Floats
    probability: Floats


@dataclass(frozen=True, eq=False)
class _Fit:
    """The ridge problems of all hospitals, each event by its share of its patient, 0 where not finite."""

    design: PersonalDesign
    cohort: Cohort
    hospital: Integers
    event_weights: Floats

    @classmethod
    def of(cls, design: PersonalDesign, cohort: Cohort) -> "_Fit":
        # Set to 0 below and weighed 0: a weight alone would leave 0 × inf = NaN in the hospital's sums.
        finite = np.isfinite(design.inputs).all(axis=1) & np.isfinite(design.fixed)
        inputs, fixed = np.where(finite[:, None], design.inputs, 0.0), np.where(finite, design.fixed, 0.0)
        event_weights = finite * cohort.event_shares
        design = PersonalDesign(fixed, inputs, design.shared, design.precision)
        return cls(design, cohort, hospital_of_event(cohort), event_weights)

    def logits(self, weights: Floats) -> Floats:
        personal: Floats = np.einsum("ej,ej->e", self.design.inputs, weights[self.hospital])
        return self.design.fixed + personal

    def reached(self, weights: Floats) -> _Reached:
        """Give losses and probabilities, from one exponential."""
        logits = self.logits(weights)
        # At most 1 whatever the logit, so that nothing overflows.
        small = np.exp(-np.abs(logits))
        each = np.maximum(logits, 0.0) + np.log1p(small) - self.cohort.labels * logits
        prior: Floats = 0.5 * ((weights - self.design.shared) ** 2 @ self.design.precision)
        losses = prior + _sum_by(self.hospital, self.event_weights * each, len(weights))
        return _Reached(losses, np.where(logits < 0, small, 1.0) / (1.0 + small))

    def derivatives(self, weights: Floats, probability: Floats) -> tuple[Floats, Floats]:
        """Gradient [hospitals, J] and Hessian [hospitals, J, J] of the losses; probability: as reached there."""
        residual = self.event_weights * (probability - self.cohort.labels)
        columns = [_sum_by(self.hospital, residual * column, len(weights)) for column in self.design.inputs.T]
        gradient = np.stack(columns, axis=1) + self.design.precision * (weights - self.design.shared)
        hessians = _hessians(self.design.inputs, self.event_weights * probability * (1 - probability), self)
        return gradient, hessians + np.diag(self.design.precision)


def _descend_halving(
    fit: _Fit, weights: Floats, move: EitherFloats, now: _Reached
) -> tuple[Floats, _Reached]:
    """Take each hospital's step, halved until its loss does not rise; else stay."""
    size = np.ones(len(weights))
    for _ in range(30):
        after = weights - size[:, None] * move
        reached = fit.reached(after)
        # A hair of slack: at the minimum rounding alone makes a step look worse.
        worse = reached.losses > now.losses + 1e-12 * np.abs(now.losses)
        if not worse.any():
            return after, reached
        size = np.where(worse, size / 2, size)
    stayed = np.where(worse[:, None], weights, after)
    return stayed, fit.reached(stayed)


def personal_logits(design: PersonalDesign, weights: Floats, cohort: Cohort) -> Floats:
    """Logits float64 [events] under each hospital's own personal weights [hospitals, J]."""
    personal: Floats = np.einsum("ej,ej->e", design.inputs, weights[hospital_of_event(cohort)])
    return design.fixed + personal


def effects_logits(layout: Layout, effects: Sequence[Floats], cohort: Cohort) -> list[Floats]:
    """What each of ``effects`` [hospitals, D], the hospitals' own, adds to a logit: float64 [events] for each."""
    design = design_matrix(layout, cohort, 0, cohort.hospital_count)
    return [np.asarray(design @ each.ravel()) for each in effects]


def choose_personal(design: PersonalDesign, cohort: Cohort, folds: int = 4) -> Booleans:
    """Whether each hospital's personal part predicts its own training patients better than the shared model.

    bool [hospitals], by cross-validation over folds of patients (a hash of the token, so the same at every
    run); a tie or an empty hospital chooses the shared model. The choice never leaves the hospital.
    """
    patient_fold = fold_of_patient(cohort.tokens, folds)
    event_fold = patient_fold[cohort.patient_of_event]
    logits = np.empty(cohort.event_count)
    for fold in range(folds):
        train, out = event_fold != fold, event_fold == fold
        part = PersonalDesign(design.fixed[train], design.inputs[train], design.shared, design.precision)
        fitted = fit_personal(part, cohort.take(np.flatnonzero(patient_fold != fold)))
        own = fitted[hospital_of_event(cohort)[out]]
        logits[out] = design.fixed[out] + (design.inputs[out] * own).sum(axis=1)
    shared_logits = design.fixed + design.inputs @ design.shared
    gain = _event_losses(cohort.labels, shared_logits) - _event_losses(cohort.labels, logits)
    gain *= cohort.event_shares
    return _sum_by(hospital_of_event(cohort), gain, cohort.hospital_count) > 0


def fold_of_patient(tokens: NDArray[np.uint8], folds: int) -> Integers:
    """Fold of each patient, int64 [patients] in 0..folds−1, from the keyed token alone."""
    salt = hashlib.sha256(b"wardround personalize fold").digest()[:8]
    words = np.ascontiguousarray(tokens[:, :8]).view("<u8")[:, 0] ^ np.uint64(int.from_bytes(salt, "little"))
    return (words % np.uint64(folds)).astype(np.int64)


def hospital_of_event(cohort: Cohort) -> Integers:
    """int64 [events], index of each event's hospital."""
    return cohort.hospital_of_patient[cohort.patient_of_event]


def _event_losses(labels: Floats, logits: Floats) -> Floats:
    losses: Floats = np.logaddexp(0.0, logits) - labels * logits
    return losses


def _sum_by(segment: Integers, amounts: Floats, count: int) -> Floats:
    """Sum amounts [events] by segment: float64 [count]."""
    # numpy's bincount of no events is of integers.
    return np.bincount(segment, amounts, minlength=count).astype(np.float64)


def _hessians(inputs: Floats, curvature: Floats, fit: _Fit) -> Floats:
    """Σ_events curvature · input inputᵀ per hospital: float64 [hospitals, J, J]."""
    columns, hospitals = inputs.shape[1], fit.cohort.hospital_count
    hessians = np.zeros((hospitals, columns, columns))
    # One pass over all hospitals for each pair of columns; beyond a few, a product for each hospital is less work.
    if columns <= FEW_COLUMNS:
        for a in range(columns):
            for b in range(a + 1):
                sums = _sum_by(fit.hospital, curvature * inputs[:, a] * inputs[:, b], hospitals)
                hessians[:, a, b] = hessians[:, b, a] = sums
        return hessians
    starts = fit.cohort.events_from[fit.cohort.patients_from]
    for index in np.flatnonzero(np.diff(starts)):
        own = inputs[starts[index] : starts[index + 1]]
        hessians[index] = (own * curvature[starts[index] : starts[index + 1], None]).T @ own
    return hessians
