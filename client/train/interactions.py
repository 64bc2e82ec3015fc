"""What a hospital releases in the round for interactions, before noise: residuals by pairs of bins, bounded.

It is the gradient of a model's interactions (``protocol.model.interactions``) while all of them are zero: the sum over
patients of their mean (σ(z) − y) times the scaled row of cells, z by the main effects alone. A row of cells has norm at
most 1, so that a patient's part is as long as a gradient may be, and is clipped as one: the same sensitivity, and with
the same noise the same cost.
"""

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.train.clipped_sum_additive import clipped_row_sums, output_gradients, prepared_rows
from wardround.client.train.prepared import MEMORY_BYTES, cached_parts
from wardround.client.train.rounding import Totals
from wardround.protocol.arrays import Booleans, Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.interactions import cell_count
from wardround.protocol.model.model import main_count, parameter_count
from wardround.protocol.terms.settings import ModelSettings


def interaction_sums(
    model: ModelSettings,
    layout: Layout,
    weights: Floats,
    cohort: Cohort,
    clip_norm: float,
    *,
    sampled: Booleans | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Floats:
    """Sum each hospital's clipped per-patient residuals by cell: float64 [hospitals, parameters], no noise yet.

    weights: float64 [1 or hospitals, parameters], of which the main ones are read; main effects' places of the sum are
    zero. sampled: bool [patients], who takes part (all, if None). Guarantee: adding or removing one patient, however
    many events, moves that hospital's row by at most clip_norm (in L2) and no other row; a patient whose row is not
    finite adds zero. ValueError for a model without interactions.
    """
    main = main_count(model, layout)
    totals = Totals(cohort.hospital_count, cell_count(layout))
    for part in cached_parts(model, layout, cohort, memory_bytes=memory_bytes):
        own = weights if len(weights) == 1 else weights[slice(*part.hospitals)]
        chosen = part if sampled is None else part.keep(sampled[slice(*part.patients_from)])
        gradients, cells = output_gradients(chosen, own[:, :main]), prepared_rows(chosen.cells)
        totals.add(part.hospitals[0], clipped_row_sums(chosen, gradients, clip_norm, cells))
    sums = totals.sums()
    return np.concatenate([np.zeros((len(sums), main)), sums], axis=1)


def in_main_place(model: ModelSettings, layout: Layout, sums: Floats) -> Floats:
    """Give sums of the main effects, float64 [hospitals, main], as those of the model: zero for interactions."""
    rest = parameter_count(model, layout) - sums.shape[1]
    return np.pad(sums, ((0, 0), (0, rest))) if rest else sums
