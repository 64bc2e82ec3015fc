"""Clipped sum of an additive model in closed form: two sparse products, no gradient per patient.

Logistic loss has output gradient (σ(z) − y); a patient's gradient is ``sum_i g_i x_i`` with g_i that
over the number of events, its squared norm ``gᵀ G g`` with the patient's Gram matrix G, fixed by the design.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from client.train.prepared import Prepared, Rows
from protocol.mechanism import clip_factors

ROUNDING = 1e-11
"""Relative error that rounding may leave in a squared norm, of the squared sum of the events' own norms."""


def clipped_sum_additive(
    part: Prepared, weights: NDArray[np.float64], clip_norm: float
) -> NDArray[np.float64]:
    """Sum each hospital's clipped per-patient gradients: float64 [hospitals of the part, width].

    weights: float64 [1 or hospitals of the part, width]. Guarantee: one patient moves their hospital's
    row by at most clip_norm and no other row at all; a patient whose gradient is not finite adds zero.
    """
    gradients = (expit(_rows(part).dot(weights)) - part.labels) * part.shares
    return clipped_row_sums(part, gradients, clip_norm)


def clipped_row_sums(
    part: Prepared, coefficients: NDArray[np.float64], clip_norm: float
) -> NDArray[np.float64]:
    """Sum each hospital's patients' ``sum_i c_i x_i``, each clipped: float64 [hospitals of the part, width].

    coefficients: float64 [events], c. Guarantee: as ``clipped_sum_additive``'s.
    """
    rows = _rows(part)
    with np.errstate(over="ignore", invalid="ignore"):
        squared = part.per_patient(coefficients * (rows.gram @ coefficients))
        bound = part.per_patient(np.abs(coefficients) * np.sqrt(rows.squares))
        norms = safe_norms(squared, bound, ROUNDING)
    finite = np.isfinite(norms)
    if not finite.all():
        return clipped_row_sums(part.keep(finite), coefficients[finite[part.owners]], clip_norm)
    clipped = coefficients * clip_factors(norms, clip_norm)[part.owners]
    return np.asarray(rows.block.T @ clipped).reshape(part.segments.count, -1)


def _rows(part: Prepared) -> Rows:
    if part.linear is None:
        raise ValueError("the part was prepared for another model")
    return part.linear


def safe_norms(
    squared: NDArray[np.float64], bound: NDArray[np.float64], rounding: float
) -> NDArray[np.float64]:
    """Norms that never fall short of the true ones, though a sum of signed terms was rounded.

    squared: float64 [patients]; bound: the sum of the events' own norms, by the triangle inequality an
    upper bound on the norm, in whose square rounding errors are measured.
    """
    return np.sqrt(np.maximum(squared, 0) + rounding * bound**2)
