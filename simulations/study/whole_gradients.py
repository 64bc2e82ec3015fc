"""Gradients of all patients together, for baselines without privacy: without clipping nobody's own is needed."""

from collections.abc import Callable

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.train.update import clipped_sums
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.layout import Layout
from wardround.protocol.terms.settings import ModelSettings

NO_CLIP = 1e12

Sums = Callable[[Floats], Floats]


def whole_gradients(model: ModelSettings, layout: Layout, cohort: Cohort, memory_bytes: int) -> Sums:
    """Give what sums each hospital's gradients: weights [1 or hospitals, parameters] -> [hospitals, parameters].

    A user's own module goes by plain autograd, many times as fast as a gradient per patient, where its patients fit
    into half of ``memory_bytes`` once for all rounds.
    """
    padded = int(_padded_lengths(cohort.events_per_patient).sum())
    if model.structure.own_module and 8 * padded * layout.width <= memory_bytes // 2:
        return _by_autograd(model, layout, cohort)
    return lambda weights: clipped_sums(model, layout, weights, cohort, NO_CLIP, memory_bytes=memory_bytes)


def _by_autograd(model: ModelSettings, layout: Layout, cohort: Cohort) -> Sums:
    # Here and not above: the shipped models do not wait for torch.
    import torch

    from wardround.client.train.patient_batch import pad_patients
    from wardround.protocol.model.modules import build_module, load_vector, to_vector

    module = build_module(model, layout)
    parameters = list(module.parameters())
    wards = [cohort.hospital(index) for index in range(cohort.hospital_count)]
    # Padded once, and not per round: this is why the caller looks at the memory first.
    batches = [[pad_patients(layout, part) for part in _alike(ward)] for ward in wards]

    def sums(weights: Floats) -> Floats:
        rows = np.zeros((len(batches), weights.shape[1]))
        for index, ward in enumerate(batches):
            load_vector(module, weights[index if len(weights) > 1 else 0])
            for batch in ward:
                loss = batch.losses(module(batch.rows)).sum()
                rows[index] += to_vector(torch.autograd.grad(loss, parameters))
        return rows

    return sums


def _alike(ward: Cohort) -> list[Cohort]:
    """Part a hospital's patients by their number of events: 1, 2, 3 to 4, 5 to 8, and so on.

    Most patients have few events, and a batch is padded to its largest number: all in one, no-show would be 1.7 GB.
    """
    lengths = _padded_lengths(ward.events_per_patient)
    return [ward.take(np.flatnonzero(lengths == length)) for length in np.unique(lengths)]


def _padded_lengths(events_per_patient: Integers) -> Integers:
    """Round each number of events up to a power of two: int64 [patients]."""
    exponents = np.ceil(np.log2(np.maximum(events_per_patient, 1)))
    return np.left_shift(1, exponents.astype(np.int64))
