"""How far a study's noise may have moved its weights: public, from the terms and the released mean row. Free of ε.

Newton's last weights are w = F (H w* − n̄) (``server.algorithm.newton``): the gain F of the posterior mean, applied to
the weighted average of all gradients, each linearised where it was taken. n̄ is the average of their noise, independent
in every coordinate with the public standard deviation s (``newton.averaged_noise_stddev``: the hospitals' noise, their
weights, the clip norm and each round's own multiplier). So

    by the noise alone   w − E[w] has the covariance s² F Fᵀ,
    in all               w* − w has, given the releases, P = τ²K − F H τ²K (Rasmussen and Williams 2006, §2.2):

the noise, that patients are few, and what both hide, since a parameter that noise hides stays where it was expected.

Exact where the mean loss is quadratic with the curvature H, every planned hospital answers and the prior holds. An
approximation otherwise: H is read from a noised row with one h in the place of p(1 − p), so that later gradients do not
cancel the noise of earlier weights whole; clipping bends the gradients of few patients; and the noise of the moment
round, and that in what is read of each field's spread, moves F itself, which is not counted.

A model of interactions has main effects that all rounds but the last learned as an additive model's, and that the last
leaves as they are: theirs is the same error, by the noise of those rounds. Of interactions none is stated.

``test_the_noise_moves_weights_as_far_as_is_stated`` runs a study again and again with other noise, and
refuses two thirds of the error as well as three halves.
"""

import numpy as np
from scipy.linalg import solve_triangular

from wardround.protocol.arrays import Floats
from wardround.protocol.model.model import column_scale
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.newton import (
    Gain,
    averaged_noise_stddev,
    cached_fisher,
    cached_gain,
    noise_covariance,
    scaled_prior,
)
from wardround.server.algorithm.optimize import OptimizerState, row_noise_stddev


def noise_factor(terms: Terms, state: OptimizerState) -> Floats | None:
    """Give A of the covariance A Aᵀ that noise alone gives the effects: float64 [width, width].

    Effects are log-odds per unscaled column, the main ones of a model of interactions. state: after the last round.
    None where the study was not newton's, or its moment round was lost: the noise then went through other steps, and
    nothing is stated.
    """
    if (gain := _gain(terms, state)) is None:
        return None
    stddev = averaged_noise_stddev(terms, noise_gain(terms), state.steps)
    # F = outward (Λ + s²I)⁻¹ inward, and inward is orthogonal: without it A Aᵀ is the same.
    return np.asarray(_scale(terms)[:, None] * gain.outward * (stddev / (gain.strength + stddev**2)))


def posterior_factor(terms: Terms, state: OptimizerState) -> Floats | None:
    """Give A of the effects' whole posterior covariance P = A Aᵀ: float64 [width, width]; None as above."""
    if not _stated(terms, state):
        return None
    fisher = cached_fisher(terms, state.mean_row, row_noise_stddev(state, terms))
    stddev = averaged_noise_stddev(terms, noise_gain(terms), state.steps)
    noise = np.linalg.cholesky(noise_covariance(terms, fisher, stddev))
    # P = B (1 + Bᵀ H N⁻¹ H B)⁻¹ Bᵀ, N the noise's covariance and τ²K = B Bᵀ (Woodbury): no eigenvalues, and no
    # difference of which rounding could leave less than 0.
    root = np.linalg.cholesky(scaled_prior(terms.contract, state.factors))
    told = solve_triangular(noise, fisher @ root, lower=True, check_finite=False)
    precision = told.T @ told
    precision[np.diag_indices_from(precision)] += 1.0
    factor = solve_triangular(np.linalg.cholesky(precision), root.T, lower=True, check_finite=False).T
    return np.asarray(_scale(terms)[:, None] * factor)


def _gain(terms: Terms, state: OptimizerState) -> Gain | None:
    if not _stated(terms, state):
        return None
    return cached_gain(terms, state.mean_row, row_noise_stddev(state, terms), state.factors)


def _stated(terms: Terms, state: OptimizerState) -> bool:
    known = terms.training.optimizer == "newton" and terms.model.structure.convex
    return bool(known and state.row_count and state.steps)


def _scale(terms: Terms) -> Floats:
    return column_scale(terms.model, terms.contract.layout)
