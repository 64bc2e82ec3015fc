"""Opacus at work: its optimiser round one hospital's private steps, and its clipped sums as engine or oracle.

Importing this file imports torch and Opacus (seconds): ``client.train.update`` does so only where it must.
"""

from collections.abc import Callable

import numpy as np
import torch

from wardround.client.cohort import Cohort
from wardround.client.train.clipped_sum_opacus import clipped_sum_opacus
from wardround.client.train.patient_batch import PatientBatch, pad_patients
from wardround.client.train.patient_optimizer import PatientOptimizer
from wardround.client.train.rounding import add_part
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.modules import build_module, load_vector, to_vector
from wardround.protocol.model.precondition import Preconditioner
from wardround.protocol.privacy.mechanism import TERMS_AT_ONCE
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.terms.terms import Terms

StepHook = Callable[[PatientOptimizer], None]


def update_with_opacus(
    terms: Terms,
    layout: Layout,
    weights: Floats,
    public_patients: int,
    noise_stddev: float,
    stream: Keystream,
    clipped_sum: Callable[[Floats, Keystream], Floats],
    step_hook: StepHook | None = None,
) -> Floats:
    """Run one hospital's round through Opacus's optimiser: float64 [parameters], as ``private_update`` gives.

    noise_stddev: of one coordinate of one step's sum. clipped_sum gives [parameters] for the current weights and the
    step's stream, by whatever engine.
    step_hook is called after noise is added and before the step, as Opacus's accountants expect.
    """
    training, clip_norm = terms.training, terms.privacy.clip_norm
    module = build_module(terms.model, layout)
    load_vector(module, weights)
    # Not a PrivacyEngine: it takes sampling rate and normaliser from the private number of patients.
    optimizer = PatientOptimizer(
        torch.optim.SGD(module.parameters(), lr=training.local_learning_rate / public_patients),
        noise_stddev=noise_stddev,
        clip_norm=clip_norm,
        expected_batch_size=max(round(training.sampling_rate * public_patients), 1),
    )
    if step_hook is not None:
        optimizer.attach_step_hook(step_hook)
    for step in range(training.local_steps):
        child = stream.child("step", step)
        noised = optimizer.step_on(clipped_sum(to_vector(module.parameters()), child), child)
    return noised if training.local_steps == 1 else to_vector(module.parameters()) - weights


def opacus_sums(
    model: ModelSettings,
    layout: Layout,
    weights: Floats,
    cohort: Cohort,
    clip_norm: float,
    engine: str,
    memory_bytes: int,
    precondition: Preconditioner | None = None,
) -> Floats:
    """Clipped sums by Opacus, hospital by hospital: float64 [hospitals, parameters]. See ``clipped_sums``.

    Preconditioned gradients are those of the same model of rows M x: Opacus knows nothing of M.
    """
    module = build_module(model, layout)
    rows, lost = np.zeros((2, cohort.hospital_count, weights.shape[1]))
    if precondition is not None:
        # The logit w·x is θ·M x with θ = M⁻ᵀ w.
        weights = np.asarray(np.linalg.solve(precondition.matrix.T, weights.T).T, np.float64)
    for index in range(cohort.hospital_count):
        load_vector(module, weights[index if len(weights) > 1 else 0])
        ward = cohort.hospital(index)
        widest = int(ward.events_per_patient.max(initial=1))
        bytes_per_patient = 8 * (4 * layout.width * widest + (weights.shape[1] if engine == "hooks" else 0))
        # ORDER_ALLOWANCE counts on no more plain additions than this in one part.
        at_once = min(max(memory_bytes // bytes_per_patient, 1), TERMS_AT_ONCE)
        for first in range(0, ward.patient_count, at_once):
            part = ward.take(np.arange(first, min(first + at_once, ward.patient_count)))
            add_part(
                rows[index],
                lost[index],
                clipped_sum_opacus(module, _padded(layout, part, precondition), clip_norm, engine),
            )
    return rows + lost


def _padded(layout: Layout, part: Cohort, precondition: Preconditioner | None) -> PatientBatch:
    batch = pad_patients(layout, part)
    if precondition is None:
        return batch
    return PatientBatch(torch.tensor(precondition.apply(batch.rows.numpy())), batch.labels, batch.shares)
