"""Before a real study charges anything: check that the closed form and Opacus give the same clipped sum."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.train.update import clipped_sums
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.errors import WardroundError
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.precondition import Preconditioner
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.settings import ModelSettings

TOLERANCE = 1e-5
ENGINES = ("ghost", "hooks")


def check_closed_form(
    model: ModelSettings,
    layout: Layout,
    events_per_patient: int,
    precondition: Preconditioner | None = None,
    patients: int = 12,
    tolerance: float = TOLERANCE,
) -> float:
    """Compare closed form and Opacus on a random batch of a study's shapes: the largest relative difference.

    Two invented hospitals of ``patients`` patients, 1 to ``events_per_patient`` events each, random
    weights and importance, in float64, with a clip norm that half of the patients exceed. No patient data is touched.
    Raises WardroundError above ``tolerance``: nothing may be charged then. A user's own module has no closed form:
    it is compared with autograd instead (``client.train.check_module``), as interactions are.
    """
    if model.structure.own_module:
        # Here and not above: check_module takes its invented patients from this file.
        from wardround.client.train.check_module import check_module

        return check_module(model, layout, events_per_patient)
    # A public key: nobody's data is hidden by it, and a difference that was found must be found again.
    stream = Keystream(derive_key("agree", model.kind, layout.width, *model.hidden))
    cohort = of_one_label(random_cohort(layout, (patients, patients), events_per_patient, stream))
    cohort = of_unlike_importance(cohort, stream.child("importance"))
    weights = stream.gaussian(parameter_count(model, layout))[np.newaxis]
    clip_norm = _middle_norm(model, layout, weights, cohort, precondition)
    sums = partial(clipped_sums, model, layout, weights, cohort, clip_norm, precondition=precondition)
    ours = sums("closed_form", dtype=np.float64)
    worst = 0.0
    for engine in ENGINES:
        theirs = sums(engine)
        difference = float(np.linalg.norm(ours - theirs)) / max(float(np.linalg.norm(theirs)), 1e-300)
        worst = max(worst, _small(difference, f"closed form and Opacus {engine}", tolerance))
    if model.structure.interactions:
        # Here and not above: this file must not import torch.
        from wardround.client.train.check_interactions import interactions_difference

        difference = interactions_difference(model, layout, weights, cohort, clip_norm)
        worst = max(worst, _small(difference, "interactions and autograd", tolerance))
    return worst


def _small(difference: float, what: str, tolerance: float) -> float:
    """Give the difference back; WardroundError where it is above the tolerance, or no number."""
    if not difference <= tolerance:
        raise WardroundError(
            f"{what} differ by {difference:.1e}: at most {tolerance:.0e} is "
            f"allowed (nothing was charged; reinstall by scripts/install.sh, or report this)"
        )
    return difference


def random_cohort(
    layout: Layout, patients: tuple[int, ...], events_per_patient: int, stream: Keystream
) -> Cohort:
    """Invent ``patients[h]`` patients at hospital h, each with 1 to ``events_per_patient`` events."""
    total = sum(patients)
    counts = 1 + (stream.uniform(total) * events_per_patient).astype(np.int64)
    events = int(counts.sum())
    bins = [np.floor(stream.uniform(events) * field.size) for field in layout.features]
    ranged = [2 * stream.uniform(events) - 1 for _ in layout.values]
    return Cohort(
        bins=_columns(bins, events).astype(np.int32),
        values=_columns(ranged, events).astype(np.float32),
        labels=(stream.uniform(events) < 0.5).astype(np.float64),
        rows=np.arange(events),
        known=np.zeros(events, np.bool_),
        tokens=np.frombuffer(stream.words(2 * total), np.uint8).reshape(total, 16),
        events_from=np.concatenate([[0], np.cumsum(counts)]),
        patients_from=np.concatenate([[0], np.cumsum(patients)]).astype(np.int64),
    )


def of_one_label(cohort: Cohort) -> Cohort:
    """Give all events of a patient the label of the first.

    Events of either label may cancel almost to nothing, and such a patient is shrunk further than Opacus does
    (``client.train.rounding.safe_norms``); events of one label do not.
    """
    first = cohort.events_from[:-1][cohort.patient_of_event]
    return replace(cohort, labels=cohort.labels[first])


def of_unlike_importance(cohort: Cohort, stream: Keystream) -> Cohort:
    """Give the events unlike importance, in (0, 1], as propensities would."""
    return replace(cohort, importance=1 - stream.uniform(cohort.event_count))


def _columns(columns: Sequence[Floats], events: int) -> Floats:
    return np.stack(columns, axis=1) if columns else np.zeros((events, 0))


def _middle_norm(
    model: ModelSettings,
    layout: Layout,
    weights: Floats,
    cohort: Cohort,
    precondition: Preconditioner | None,
) -> float:
    """Median norm of the patients' gradients, each a clipped sum of one patient, at a clip norm that none reaches."""
    alone = [cohort.take(np.array([patient])).pooled() for patient in range(cohort.patient_count)]
    sums = partial(clipped_sums, model, layout, weights, clip_norm=1e12, precondition=precondition)
    norms = [np.linalg.norm(sums(one)) for one in alone]
    return float(np.median(norms))
