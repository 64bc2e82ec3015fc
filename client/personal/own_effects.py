"""One hospital's mixture as effects, and how far they may be off its own patients' truth. Never released.

No noise is in a hospital's own part, but its patients are few. Each candidate of the mixture (``personal_mixture``) is
the mean of a Gaussian posterior, with b the shared effects, P their covariance (published beside the model), s the
hospital's slope, H the Fisher information of its training patients, and r a candidate's ridge:

    shared                 P
    own part               Q = s² P + Var(s) b bᵀ
    own effects on top     (H + r)⁻¹ + B Q Bᵀ with B = r (H + r)⁻¹: what its patients leave open, and what of
                           the shared model's error they do not correct
    alone                  (H + r)⁻¹

which is exact where the loss is quadratic and the hospital's effects differ from the shared ones as the candidate
supposes (Rasmussen and Williams 2006, §2.2). A mixture has in addition what its candidates disagree about:

    Σ = Σ_c w_c (Σ_c + (b_c − b̄)(b_c − b̄)ᵀ)

(Hoeting, Madigan, Raftery and Volinsky 1999, §2). H counts a patient's events as one observation together, however
little they have in common, so it errs on the careful side. ``test_own_effects_are_off_as_far_as_is_stated`` draws
hospitals again and again, and refuses half of the error.
"""

from dataclasses import dataclass, field

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.personal.personal_mixture import (
    EFFECTS_RIDGES,
    PersonalMixture,
    mixture_effects,
    mixture_logits,
)
from wardround.client.personal.personalize import PersonalDesign
from wardround.client.personal.ridge import RIDGE, design_matrix, ridge_of
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout


@dataclass(frozen=True, eq=False)
class OwnEffects:
    """effects: float64 [D], log-odds per unscaled column, the hospital's offset included.

    error_factor: float64 [D, D], A of the covariance A Aᵀ of their errors.
    """

    effects: Floats = field(repr=False)
    error_factor: Floats = field(repr=False)


def own_effects(
    layout: Layout,
    mixture: PersonalMixture,
    hospital: int,
    training: Cohort,
    design: PersonalDesign,
    shared: Floats,
    shared_factor: Floats,
) -> OwnEffects:
    """Give one hospital's. mixture: fitted, of several hospitals perhaps; hospital: its place there.

    training, design: this hospital's training patients alone, on which the mixture was fitted. shared: float64 [D],
    the shared model's effects; shared_factor: float64 [D, r], of their errors.
    """
    alone = PersonalMixture(
        personal=mixture.personal[[hospital]],
        effects=tuple(each[[hospital]] for each in mixture.effects),
        alone=mixture.alone[[hospital]],
        weights=mixture.weights[[hospital]],
    )
    curvature = _curvatures(training, mixture_logits(layout, alone, training, design))
    rows = design_matrix(layout, training, 0, 1)
    information = np.asarray((rows.T @ rows.multiply(curvature[:, None])).todense())
    slope_error = _slope_variance(design, curvature)
    mean = mixture_effects(alone, 0, shared)
    covariance = np.zeros_like(information)
    posteriors = _candidates(alone, shared, shared_factor @ shared_factor.T, information, slope_error)
    for weight, (effects, own) in zip(alone.weights[0], posteriors, strict=True):
        apart = effects - mean
        # The hospital's offset is no difference between two messages: candidates may differ in it as they like.
        apart[0] = 0.0
        covariance += weight * (own + np.outer(apart, apart))
    values, vectors = np.linalg.eigh(covariance)
    mean[0] += alone.weights[0, 1:-1].sum() * alone.personal[0, 0]
    return OwnEffects(mean, vectors * np.sqrt(np.maximum(values, 0.0)))


def _candidates(
    mixture: PersonalMixture, shared: Floats, covariance: Floats, information: Floats, slope_variance: float
) -> list[tuple[Floats, Floats]]:
    """Give each candidate's effects and their covariance, in the order of ``CANDIDATES``."""
    slope = float(mixture.personal[0, 1])
    fixed = slope**2 * covariance + slope_variance * np.outer(shared, shared)
    found: list[tuple[Floats, Floats]] = [(shared, covariance), (np.asarray(slope * shared), fixed)]
    for ridge, each in zip(EFFECTS_RIDGES, mixture.effects, strict=True):
        prior = ridge_of(len(shared), ridge)
        left: Floats = np.asarray(np.linalg.inv(information + np.diag(prior)))
        kept = left * prior
        found.append((np.asarray(slope * shared + each[0]), np.asarray(left + kept @ fixed @ kept.T)))
    by_itself: Floats = np.asarray(np.linalg.inv(information + np.diag(ridge_of(len(shared), RIDGE))))
    return [*found, (mixture.alone[0], by_itself)]


def _curvatures(cohort: Cohort, logits: Floats) -> Floats:
    """Give each event's part of the Fisher information: p (1 − p), of a patient's mean. float64 [events]."""
    # ±50: within 2e-22 of 0 or 1 already; exp overflows beyond 709.
    probability = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    return np.asarray(probability * (1 - probability) * cohort.event_shares)


def _slope_variance(design: PersonalDesign, curvature: Floats) -> float:
    """Posterior variance of the hospital's slope, the last weight of an additive model's personal part."""
    inputs = np.nan_to_num(design.inputs, posinf=0.0, neginf=0.0)
    hessian = (inputs * curvature[:, None]).T @ inputs + np.diag(design.precision)
    return float(np.linalg.inv(hessian)[-1, -1])
