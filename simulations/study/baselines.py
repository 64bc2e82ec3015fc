"""The additive model without privacy, converged: on every record, or at each hospital alone.

The ridge's strength is a fixed public number; held-out patients choose nothing. ``simulations.study.boosting`` has the
bar that is no additive model, ``simulations.study.descents`` the baselines that run by the study's own rounds.
"""

from wardround.client.cohort import Cohort
from wardround.client.personal.ridge import fit_effects
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout

MOST_ITERATIONS, TOLERANCE = 300, 3e-5
"""Where the pooled model stops: more steps change no AUC by 0.0005 (``tests/simulations/study/test_bars.py``)."""


def pooled_ridge(layout: Layout, scale: Floats, training: Cohort) -> Floats:
    """Weights float64 [D] of the additive model on all records, per-patient mean loss, without privacy."""
    effects = fit_effects(layout, training.pooled(), iterations=MOST_ITERATIONS, tolerance=TOLERANCE)
    weights: Floats = effects[0] / scale
    return weights


def alone_ridge(layout: Layout, scale: Floats, training: Cohort) -> Floats:
    """Weights float64 [H, D] of the additive model fitted at each hospital alone, without privacy.

    scale: the model's public column scale [D]; effects are weights times it. An empty hospital's are zero.
    """
    return fit_effects(layout, training) / scale
