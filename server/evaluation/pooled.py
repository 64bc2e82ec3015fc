"""All evaluations of one study together: how many patients of each label a row has does not depend on the model.

Each evaluation of a study counts the same held-out patients, scored by other weights. So in each row the number of each
label was measured as often as the study evaluated, with independent noise of one public variance, and the mean over the
evaluations has that variance ÷ k. A table's cells are moved alike, so that a label's add up to it (least squares: a
label's sum is one of the contrasts that leave, ``protocol.terms.contrasts``, and has noise of its own).

Cells with noise S(ε_b) have after this the noise ε_b − mean(ε) + mean over the evaluations: for gradients g, h of two
rows the covariance S_gh · Σ_l [g_l K h_l − (1 − 1/k) v ḡ_l h̄_l], K being ``between_bins``, v the sum of its entries and
ḡ the mean over bins, which ``estimates`` reads off ``NoisedTables.evaluations``. Post-processing: it costs nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
from scipy.special import chdtrc

from wardround.server.evaluation.estimates import NoisedTables

LEAST_LIKELY = 0.01
"""Below this chance that noise alone made the numbers differ so much, they are not of the same patients."""


def pooled(tables: NoisedTables, others: Sequence[NoisedTables]) -> NoisedTables:
    """Give the tables with each row's numbers of either label measured by all evaluations that can be of the same sum.

    others: of the same terms. Left out are those with other noise, which hospitals that are missing leave; and all of
    them where they differ by more than noise makes likely: patients come, and withdraw.
    """
    alike = [
        one
        for one in others
        if one.counts.shape == tables.counts.shape and np.allclose(one.covariance, tables.covariance)
    ]
    numbers = [one.counts.sum(axis=2) for one in (tables, *alike)]
    if not alike or _chance_of(numbers, tables) < LEAST_LIKELY:
        return tables
    mean = reduce(np.add, numbers) / len(numbers)
    moved = tables.counts + ((mean - numbers[0]) / tables.bins)[:, :, np.newaxis]
    return replace(tables, counts=moved, evaluations=len(numbers))


def _chance_of(numbers: Sequence[np.ndarray], tables: NoisedTables) -> float:
    """Give the chance that noise alone makes the table of all differ so much between evaluations.

    Of the table of all: every attribute's groups add up to it.
    """
    variance = float(tables.covariance[0, 0]) * tables.label_variance
    totals = np.stack([one[0] for one in numbers])
    squares = float(((totals - totals.mean(axis=0)) ** 2).sum()) / variance
    return float(chdtrc(2 * (len(numbers) - 1), squares))
