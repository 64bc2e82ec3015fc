"""How well each round's model ranks the held-out patients of a simulation, for the price of one sparse product."""

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.design import active_columns, active_entries, sparse_rows
from wardround.protocol.model.model import column_scale, predict_logits
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.measures import metrics

_ENTRY_BYTES = 12  # of a CSR matrix: a float64 value and its int32 column


class HeldOutScore:
    """AUC over all held-out events, round after round; the design of an additive model is kept where it fits."""

    def __init__(self, model: ModelSettings, layout: Layout, cohort: Cohort, memory_bytes: int) -> None:
        """Prepare the design if it takes at most ``memory_bytes``."""
        self._model, self._layout, self._cohort = model, layout, cohort
        active = 1 + len(layout.fields) + len(layout.values)
        fits = cohort.event_count * active * _ENTRY_BYTES <= memory_bytes
        self._rows = None
        if fits and model.structure.additive:
            columns = active_columns(layout, cohort)
            entries = active_entries(columns, cohort.values, column_scale(model, layout))
            self._rows = sparse_rows(columns, entries, layout.width)

    def auc(self, weights: Floats) -> float:
        """AUC of the model with these weights, float64 [parameters]; NaN where one class is missing."""
        return metrics.auc(self._cohort.labels, self.logits(weights))

    def logits(self, weights: Floats) -> Floats:
        """float64 [events]: what ``predict_logits`` gives, but for the order of a sum."""
        if self._rows is None:
            return predict_logits(self._model, self._layout, weights, self._cohort)
        return np.asarray(self._rows @ np.asarray(weights, np.float64))
