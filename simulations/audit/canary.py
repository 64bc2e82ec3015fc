"""The canary: a patient who moves a release as far as the clip norm allows, in a direction that the attacker knows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.round.evaluate import scaled_tables
from wardround.client.train.update import Step, bounded_sums
from wardround.protocol.arrays import Floats, Floats32
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.design import active_columns, active_entries, sparse_rows
from wardround.protocol.model.model import column_scale, initial_weights, named_parameters, predict_logits
from wardround.protocol.terms.request import INTERACTIONS, MEAN_ROWS, TABLES, RequestKind
from wardround.protocol.terms.terms import Terms

CERTAIN = 20.0
"""Log-odds at which the attacker's weights put the canary: the model is sure, and wrong."""


@dataclass(frozen=True, eq=False)
class Canary:
    """One patient with K events, all alike, and what the attacker knows of that patient.

    The design row has norm 1 (every ranged value at its end), and the label is 0 where the weights are sure of 1: the
    gradient's norm is nearly 1, the most that one row can have; hidden layers add to it, and the clip takes that off.
    """

    terms: Terms

    @cached_property
    def patient(self) -> Cohort:
        """The patient as the gate would admit them."""
        layout, events = self.terms.contract.layout, self.terms.contract.events_per_patient
        return Cohort(
            bins=np.zeros((events, len(layout.features)), np.int32),
            values=np.ones((events, len(layout.values)), np.float32),
            labels=np.zeros(events),
            rows=np.zeros(events, np.int64),
            known=np.zeros(events, np.bool_),
            tokens=np.zeros((1, 16), np.uint8),
            events_from=np.array([0, events]),
            patients_from=np.array([0, 1]),
        )

    @cached_property
    def weights(self) -> Floats32:
        """The weights that a lying server sends in every round, float32 [parameters], read-only."""
        model, layout = self.terms.model, self.terms.contract.layout
        # Hidden layers keep their first weights, whose output is zero: what they add makes the gradient longer.
        sure = initial_weights(model, layout)
        named = named_parameters(model, layout, sure)
        if "linear" in named:
            row = self._row()
            named["linear"][...] = CERTAIN * row / np.linalg.norm(row)
        else:
            named["output.bias"][...] = CERTAIN
        weights: Floats32 = sure.astype("<f4")
        weights.flags.writeable = False
        return weights

    def _row(self) -> Floats:
        """Its design row, float64 [width]."""
        layout, patient = self.terms.contract.layout, self.patient
        columns = active_columns(layout, patient)
        entries = active_entries(columns, patient.values, column_scale(self.terms.model, layout))
        return np.asarray(sparse_rows(columns, entries, layout.width)[[0]].toarray()[0])

    def contribution(self, request: RequestKind) -> Floats:
        """What the canary alone adds to a release before noise, float64 [length]: the product's own sums.

        Of several local steps it is minus what one adds: each moves the weights so, times a public factor.
        """
        terms = self.terms
        if request is TABLES:
            if terms.evaluation is None:
                raise ConfigurationError("evaluation: these terms evaluate nothing")
            weights = self.weights.astype(np.float64)
            logits = predict_logits(terms.model, terms.contract.layout, weights, self.patient)
            return np.asarray(scaled_tables(terms.contract, terms.evaluation, logits, self.patient)[0])
        added = sums_of(terms, request, self.weights, self.patient)[0]
        # Several steps release the difference of weights, which goes down the gradient.
        down = terms.training.local_steps > 1 and request not in (MEAN_ROWS, INTERACTIONS)
        return np.asarray(-added if down else added)


def sums_of(terms: Terms, asked: RequestKind, weights: Floats32, patients: Cohort) -> Floats:
    """What each hospital of these patients adds to a release before noise, float64 [hospitals, length]."""
    # Of any round: its noise alone depends on which it is.
    step = Step(
        terms=terms,
        layout=terms.contract.layout,
        cohort=patients,
        round=1,
        moments=asked is MEAN_ROWS,
        interactions=asked is INTERACTIONS,
    )
    return bounded_sums(step, weights.astype(np.float64)[np.newaxis])
