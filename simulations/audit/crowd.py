"""Many canaries at once: patients unlike one another, each of whom moves a release as far as the clip norm allows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats, Floats32
from wardround.protocol.model.model import initial_weights, named_parameters
from wardround.protocol.terms.request import RequestKind
from wardround.protocol.terms.terms import Terms
from wardround.simulations.audit.canary import CERTAIN, sums_of

_PATIENTS_AT_ONCE = 1000


@dataclass(frozen=True, eq=False)
class Crowd:
    """So many canaries of one event each, drawn by a seed that the attacker knows.

    The weights are sure of 1 for everybody, by the intercept alone, and all labels are 0: each gradient is nearly as
    long as its design row, and is clipped.
    """

    terms: Terms
    count: int
    seed: int

    @cached_property
    def patients(self) -> Cohort:
        """The patients as the gate would admit them."""
        layout, rng = self.terms.contract.layout, np.random.default_rng(self.seed)
        bins = [rng.integers(0, field.size, self.count) for field in layout.features]
        return Cohort(
            bins=np.stack(bins, axis=1).astype(np.int32),
            values=rng.choice(np.array([-1, 1], np.float32), (self.count, len(layout.values))),
            labels=np.zeros(self.count),
            rows=np.zeros(self.count, np.int64),
            known=np.zeros(self.count, np.bool_),
            tokens=rng.integers(0, 256, (self.count, 16), np.uint8),
            events_from=np.arange(self.count + 1),
            patients_from=np.array([0, self.count]),
        )

    @cached_property
    def weights(self) -> Floats32:
        """The weights that a lying server sends in every round, float32 [parameters], read-only."""
        model, layout = self.terms.model, self.terms.contract.layout
        sure = initial_weights(model, layout)
        named = named_parameters(model, layout, sure)
        # Twenty times over, since a row's entries are scaled down to norm 1.
        place = named["linear"][:1] if "linear" in named else named["output.bias"]
        place[...] = CERTAIN**2
        weights: Floats32 = sure.astype("<f4")
        weights.flags.writeable = False
        return weights

    def contributions(self, asked: RequestKind) -> Floats:
        """What each canary alone adds to a release of one step before noise, float64 [count, length]."""
        return np.concatenate([sums_of(self.terms, asked, self.weights, part) for part in self._parts()])

    def _parts(self) -> Iterator[Cohort]:
        for start in range(0, self.count, _PATIENTS_AT_ONCE):
            some = self.patients.take(np.arange(start, min(start + _PATIENTS_AT_ONCE, self.count)))
            # A patient as a hospital: then a hospital's sum is a patient's, by the product's own code.
            yield replace(some, patients_from=np.arange(some.patient_count + 1))
