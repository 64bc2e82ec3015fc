"""Clipped sum of an additive model in closed form: two sparse products, no gradient per patient.

Logistic loss has output gradient (σ(z) − y); a patient's gradient is ``sum_i g_i x_i`` with g_i that
over the number of events, its squared norm ``gᵀ G g`` with the patient's Gram matrix G, fixed by the design.
"""

import numpy as np
import scipy.sparse as sparse
from scipy.special import expit

from wardround.client.train.one_pass import blank
from wardround.client.train.prepared import Prepared, Rows
from wardround.client.train.rounding import add_part, norm_allowance, safe_norms
from wardround.protocol.arrays import Floats
from wardround.protocol.privacy.mechanism import TERMS_AT_ONCE, clip_factors


def clipped_sum_additive(part: Prepared, weights: Floats, clip_norm: float) -> Floats:
    """Sum each hospital's clipped per-patient gradients: float64 [hospitals of the part, width].

    A part that was prepared with a preconditioner clips by the norm of M g, and gives sums of g before M.

    weights: float64 [1 or hospitals of the part, width]. Guarantee: one patient moves their hospital's
    row by at most clip_norm and no other row at all; a patient whose gradient is not finite adds zero.
    """
    return clipped_row_sums(part, output_gradients(part, weights), clip_norm)


def output_gradients(part: Prepared, weights: Floats) -> Floats:
    """Give each event's (σ(z) − y) over its patient's number of events: float64 [events]. weights: as above."""
    return np.asarray((expit(prepared_rows(part.linear).dot(weights)) - part.labels) * part.shares)


def clipped_row_sums(
    part: Prepared, coefficients: Floats, clip_norm: float, rows: Rows | None = None
) -> Floats:
    """Sum each hospital's patients' ``sum_i c_i x_i``, each clipped: float64 [hospitals of the part, width].

    coefficients: float64 [events], c. rows: x, by default the design's. Guarantee: as ``clipped_sum_additive``'s.
    """
    rows = prepared_rows(part.linear) if rows is None else rows
    with np.errstate(over="ignore", invalid="ignore"):
        squared = part.per_patient(coefficients * (rows.gram @ coefficients))
        bound = part.per_patient(np.abs(coefficients) * np.sqrt(rows.bounds))
        # Products over the active columns, then over a patient's events, twice: in rows of the matrix, and of those.
        terms = rows.active + 2 * part.event_counts.astype(np.float64) + 4
        norms = safe_norms(squared, bound, norm_allowance(terms, np.float64))
        clipped = coefficients * clip_factors(norms, clip_norm)[part.owners]
    # The factor is 0, but 0 × inf would be NaN in everybody's sum.
    blank(clipped, np.isfinite(norms)[part.owners])
    return _row_sums(part, rows, clipped).reshape(part.segments.count, -1)


def _row_sums(part: Prepared, rows: Rows, coefficients: Floats) -> Floats:
    """Sum ``c_i x_i`` over events: float64 [columns of the block], at most ``TERMS_AT_ONCE`` plain additions on end."""
    block = rows.block
    if np.diff(part.segments.starts).max(initial=0) <= TERMS_AT_ONCE:  # columns are one hospital's alone
        return np.asarray(block.T @ coefficients)
    sums, lost = np.zeros(block.shape[1]), np.zeros(block.shape[1])
    for first in range(0, len(coefficients), TERMS_AT_ONCE):
        last = min(first + TERMS_AT_ONCE, len(coefficients))
        add_part(sums, lost, np.asarray(_some_rows(block, first, last).T @ coefficients[first:last]))
    return sums + lost


def _some_rows(block: sparse.csr_matrix, first: int, last: int) -> sparse.csr_matrix:
    """Rows first:last, not copied."""
    start, stop = block.indptr[first], block.indptr[last]
    parts = (block.data[start:stop], block.indices[start:stop], block.indptr[first : last + 1] - start)
    return sparse.csr_matrix(parts, shape=(last - first, block.shape[1]), copy=False)


def prepared_rows(rows: Rows | None) -> Rows:
    """Give rows that were prepared; ValueError where the part was prepared for a model without them."""
    if rows is None:
        raise ValueError("the part was prepared for another model")
    return rows
