"""What a moment round releases before noise: the sum over patients of their mean design row, bounded.

The row is scaled to norm at most 1 by public factors (``protocol.model.model.column_scale``), so each patient's mean
row, times the clip norm, moves the sum as far as a clipped gradient could: the same sensitivity, and with the
same noise the same cost. Its entries are shares of every bin and crossed pair; outcomes do not enter.
"""

from wardround.client.cohort import Cohort
from wardround.client.train.clipped_sum_additive import clipped_row_sums
from wardround.client.train.interactions import in_main_place
from wardround.client.train.prepared import MEMORY_BYTES, cached_parts
from wardround.client.train.rounding import Totals
from wardround.protocol.arrays import Booleans, Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.terms.settings import ModelSettings


def moment_sums(
    model: ModelSettings,
    layout: Layout,
    cohort: Cohort,
    clip_norm: float,
    *,
    sampled: Booleans | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Floats:
    """Sum clip_norm × each patient's mean scaled row: float64 [hospitals, parameters], no noise yet.

    sampled: bool [patients], who takes part (all, if None). Guarantee: adding or removing one patient, however
    many events, moves that hospital's row by at most clip_norm (in L2) and no other row; a patient whose rows
    are not finite adds zero. ValueError where the model does not read the design row alone.
    """
    totals = Totals(cohort.hospital_count, layout.width)
    for part in cached_parts(model.main, layout, cohort, memory_bytes=memory_bytes):
        chosen = part if sampled is None else part.keep(sampled[slice(*part.patients_from)])
        totals.add(part.hospitals[0], clipped_row_sums(chosen, clip_norm * chosen.shares, clip_norm))
    return in_main_place(model, layout, totals.sums())
