"""A user's own personalisation: one hospital's training events in, logits of its other events out.

It sees one hospital at a time, after the shared model is frozen. What it finds is never released.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, cast, runtime_checkable

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol import plugins
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.layout import Layout
from wardround.protocol.errors import require
from wardround.protocol.model.design import dense_rows


@dataclass(frozen=True, eq=False)
class HospitalEvents:
    """One hospital's events. logits: float64 [events], of the shared model. labels: float64 [events], 0 or 1.

    patients: int64 [events], whose event it is, counted from 0. labels are empty for the events to be scored.
    """

    logits: Floats = field(repr=False)
    labels: Floats = field(repr=False)
    patients: Integers = field(repr=False)
    _layout: Layout = field(repr=False)
    _cohort: Cohort = field(repr=False)

    @cached_property
    def rows(self) -> Floats:
        """float64 [events, width]: dense design rows, not scaled; built when they are first asked for."""
        return dense_rows(self._layout, self._cohort)


@runtime_checkable
class Personalization(Protocol):
    """Fit a hospital's own part and score its events; named by ``personalization.kind``.

    >>> import numpy as np, wardround
    >>> def own_rate(training, target):
    ...     rate = (training.labels.sum() + 1) / (len(training.labels) + 2)
    ...     return target.logits - training.logits.mean() + np.log(rate / (1 - rate))
    >>> isinstance(own_rate, wardround.Personalization)
    True
    """

    def __call__(self, training: HospitalEvents, target: HospitalEvents) -> Floats:
        """Return logits, float64 [target events]. Not called for a hospital without training patients."""


def own_personal_scores(
    name: str, layout: Layout, known: Floats, asked: Floats, training: Cohort, target: Cohort
) -> Floats:
    """Logits float64 [target events] by a user's personalisation, hospital by hospital.

    known, asked: the shared model's logits of training and target events. A hospital without training patients keeps
    the shared model. ConfigurationError, one line, where the plugin fails or gives another shape.
    """
    fit = cast(Personalization, plugins.find("personalization", name))
    scores = asked.copy()
    for index in range(training.hospital_count):
        own, whole = _events_of(training, index), _events_of(target, index)
        if own.start == own.stop or whole.start == whole.stop:
            continue
        learned = _part(layout, training.hospital(index), known[own], labelled=True)
        scored = _part(layout, target.hospital(index), asked[whole], labelled=False)
        given = plugins.called(
            "personalization",
            name,
            lambda a=learned, b=scored: np.asarray(fit(a, b), np.float64),  # type: ignore[misc]
        )
        shape, wanted = list(given.shape), [whole.stop - whole.start]
        line = f"gave an array of shape {shape}, must be {wanted}"
        require(shape == wanted, "personalization.kind", name, line)
        require(
            bool(np.isfinite(given).all()), "personalization.kind", name, "gave logits that are not finite"
        )
        scores[whole] = given
    return scores


def _events_of(cohort: Cohort, hospital: int) -> slice:
    first, last = cohort.patients_from[hospital : hospital + 2]
    return slice(int(cohort.events_from[first]), int(cohort.events_from[last]))


def _part(layout: Layout, cohort: Cohort, logits: Floats, labelled: bool) -> HospitalEvents:
    # The labels that are to be predicted are not handed out, or a plugin could score by them.
    labels = cohort.labels if labelled else np.empty(0)
    # Copies: a plugin may write into its arrays, and a cohort is kept and used again.
    return HospitalEvents(logits.copy(), labels.copy(), cohort.patient_of_event, layout, cohort)
