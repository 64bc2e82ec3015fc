"""Before a real study of interactions charges anything: what is clipped is the gradient of each patient's cells.

The reference is plain autograd on one patient at a time. Opacus is not: in this round main effects stand still, and its
per-patient norms are over all parameters.
"""

import numpy as np
import torch

from wardround.client.cohort import Cohort
from wardround.client.train.interactions import interaction_sums
from wardround.client.train.patient_batch import pad_patients
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.model import main_count
from wardround.protocol.model.modules import build_module, load_vector
from wardround.protocol.terms.settings import ModelSettings


def interactions_difference(
    model: ModelSettings, layout: Layout, weights: Floats, cohort: Cohort, clip_norm: float
) -> float:
    """Compare a hospital's clipped sum of cells with autograd's: the relative difference, over all hospitals.

    weights: float64 [1, parameters], of which the main ones are read. No patient data is touched.
    """
    main = main_count(model, layout)
    plain = np.concatenate([weights[:, :main], np.zeros_like(weights[:, main:])], axis=1)
    ours = interaction_sums(model, layout, plain, cohort, clip_norm)[:, main:]
    theirs = np.stack(
        [
            _by_autograd(model, layout, plain[0], cohort.hospital(index), clip_norm)
            for index in range(cohort.hospital_count)
        ]
    )
    return float(np.linalg.norm(ours - theirs)) / max(float(np.linalg.norm(theirs)), 1e-300)


def _by_autograd(
    model: ModelSettings, layout: Layout, weights: Floats, cohort: Cohort, clip_norm: float
) -> Floats:
    """Clip one patient's gradient after another's, and add them up: float64 [cells]."""
    module = build_module(model, layout)
    load_vector(module, weights)
    cells = dict(module.named_parameters())["interactions.weight"]
    total = np.zeros(cells.numel())
    for patient in range(cohort.patient_count):
        batch = pad_patients(layout, cohort.take(np.array([patient])))
        (found,) = torch.autograd.grad(batch.losses(module(batch.rows)).sum(), [cells])
        gradient = found.numpy().ravel()
        total += gradient * min(1.0, clip_norm / max(float(np.linalg.norm(gradient)), 1e-300))
    return total
