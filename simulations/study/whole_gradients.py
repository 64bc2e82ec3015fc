"""Gradients of all patients together, for baselines without privacy: nothing is clipped, so nobody's own is needed."""

from collections.abc import Callable

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.train.update import clipped_sums
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.terms.settings import ModelSettings

NO_CLIP = 1e12

Sums = Callable[[Floats], Floats]


def whole_gradients(model: ModelSettings, layout: Layout, cohort: Cohort, memory_bytes: int) -> Sums:
    """Give what sums each hospital's gradients: weights [1 or hospitals, parameters] -> [hospitals, parameters].

    A user's own module goes by plain autograd, ten times as fast as a gradient per patient, where its patients fit
    into half of ``memory_bytes`` once for all rounds.
    """
    widest = int(cohort.events_per_patient.max(initial=1))
    fits = 8 * cohort.patient_count * widest * layout.width <= memory_bytes // 2
    if model.structure.own_module and fits:
        return _by_autograd(model, layout, cohort)
    return lambda weights: clipped_sums(model, layout, weights, cohort, NO_CLIP, memory_bytes=memory_bytes)


def _by_autograd(model: ModelSettings, layout: Layout, cohort: Cohort) -> Sums:
    # Here and not above: the shipped models do not wait for torch.
    import torch

    from wardround.client.train.patient_batch import pad_patients
    from wardround.protocol.model.modules import build_module, load_vector, to_vector

    module = build_module(model, layout)
    parameters = list(module.parameters())
    batches = [pad_patients(layout, cohort.hospital(index)) for index in range(cohort.hospital_count)]

    def sums(weights: Floats) -> Floats:
        rows = np.zeros((len(batches), weights.shape[1]))
        for index, batch in enumerate(batches):
            load_vector(module, weights[index if len(weights) > 1 else 0])
            if len(batch):
                loss = batch.losses(module(batch.rows)).sum()
                rows[index] = to_vector(torch.autograd.grad(loss, parameters))
        return rows

    return sums
