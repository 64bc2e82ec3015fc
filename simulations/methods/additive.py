"""The additive model's sums over patients, hospital by hospital, which the challengers release with noise."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import scipy.sparse as sparse

from wardround.client.cohort import Cohort
from wardround.client.train.clipped_sum_additive import clipped_sum_additive
from wardround.client.train.prepared import cached_parts
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import active_columns, active_entries, sparse_rows
from wardround.protocol.model.model import column_scale, predict_logits
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.federation.federation import Federation

MODEL = ModelSettings()


def gradient_sums(
    layout: Layout, weights: Floats, cohort: Cohort, clip_norm: float, patient_weights: Floats | None = None
) -> Floats:
    """Sum each hospital's clipped per-patient gradients: float64 [hospitals, D].

    weights: float64 [1 or hospitals, D]. patient_weights: float64 [patients], public functions of a patient's
    own events by which that patient's loss is multiplied before clipping. Guarantee: one patient moves one
    row by at most clip_norm (Abadi et al. 2016).
    """
    sums = np.zeros((cohort.hospital_count, layout.width))
    for part in cached_parts(MODEL, layout, cohort):
        first, last = part.hospitals
        own = weights if len(weights) == 1 else weights[first:last]
        if patient_weights is not None:
            of_patient = patient_weights[slice(*part.patients_from)]
            # Before clipping: what multiplies a clipped gradient could carry it beyond clip_norm.
            part = replace(part, shares=part.shares * of_patient[part.owners])
        sums[first:last] += clipped_sum_additive(part, own, clip_norm)
    return sums


def gram_sums(layout: Layout, cohort: Cohort, patient_weights: Floats | None = None) -> Floats:
    """Sum each hospital's per-patient second moments: float64 [hospitals, D (D + 1) / 2].

    A patient's matrix is the mean of x xᵀ over the patient's events, x the scaled design row, times the
    patient's weight in [0, 1]; its upper triangle with √2 off the diagonal. Guarantee: one patient moves
    one row by at most 1 in L2, since that norm is the matrix's Frobenius norm and ‖x‖ ≤ 1 (Dwork et al. 2014).
    """
    width = layout.width
    own = np.ones(cohort.patient_count) if patient_weights is None else patient_weights
    event_shares = (own / cohort.events_per_patient)[cohort.patient_of_event]
    upper = np.triu_indices(width)
    stretch = np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))
    sums = np.zeros((cohort.hospital_count, len(stretch)))
    for hospital, rows, events in _by_hospital(layout, cohort):
        weighted = rows.multiply(event_shares[events][:, None]).tocsr()
        sums[hospital] = (rows.T @ weighted).toarray()[upper] * stretch
    return sums


def gram_matrix(layout: Layout, triangle: Floats) -> Floats:
    """Undo the layout of ``gram_sums``: float64 [D (D + 1) / 2] -> symmetric [D, D]."""
    width = layout.width
    upper = np.triu_indices(width)
    matrix = np.zeros((width, width))
    matrix[upper] = triangle / np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))
    return matrix + np.triu(matrix, 1).T


def logits_of(federation: Federation, weights: Floats) -> Floats:
    """Logits float64 [held-out events] under weights [D], or under each hospital's own [hospitals, D]."""
    layout, heldout = federation.contract.layout, federation.heldout
    if weights.ndim == 1:
        return predict_logits(MODEL, layout, weights, heldout)
    parts = [predict_logits(MODEL, layout, own, heldout.hospital(index)) for index, own in enumerate(weights)]
    return np.concatenate(parts)


def _by_hospital(layout: Layout, cohort: Cohort) -> Iterator[tuple[int, sparse.csr_matrix, slice]]:
    """Each hospital that has events: its index, scaled design rows [events, D], and where its events stand."""
    scale = column_scale(MODEL, layout)
    starts = cohort.events_from[cohort.patients_from]
    for index in np.flatnonzero(np.diff(starts)):
        own = cohort.hospital(int(index))
        columns = active_columns(layout, own)
        entries = active_entries(columns, own.values, scale)
        yield int(index), sparse_rows(columns, entries, layout.width), slice(starts[index], starts[index + 1])


def clip_norm_at(contract: Contract, at_one_half: float) -> float:
    """Scale a clip norm that was chosen where half the messages are engaged with to a contract's expected rate."""
    return at_one_half * contract.label.expected_residual / 0.5
