"""The private step of a round: clip each patient's gradient, sum, add noise; one hospital or many at once.

DP-SGD (Abadi et al. 2016) with the patient as the unit: the loss of a patient is the mean over that
patient's events, one item is one patient. How the clipped sum is computed is chosen by the model
(``engine_of``); Opacus is the oracle of the closed forms (``check_closed_form``) and the fallback for other models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from wardround.client.cohort import Cohort
from wardround.client.train.clipped_sum_additive import clipped_sum_additive
from wardround.client.train.clipped_sum_dense import clipped_sum_dense
from wardround.client.train.interactions import in_main_place, interaction_sums
from wardround.client.train.moments import moment_sums
from wardround.client.train.prepared import MEMORY_BYTES, cached_parts
from wardround.client.train.rounding import Totals
from wardround.protocol.arrays import Booleans, Floats, Integers, Numbers
from wardround.protocol.contract.layout import Layout
from wardround.protocol.errors import require
from wardround.protocol.model.model import main_count, parameter_count
from wardround.protocol.model.precondition import Preconditioner, preconditioner_of
from wardround.protocol.privacy.mechanism import add_noise, ordered_clip_norm
from wardround.protocol.privacy.randomness import Keystream
from wardround.protocol.secure_sum.integer_release import noised_integers
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.terms.terms import Terms

ENGINES = ("auto", "closed_form", "ghost", "hooks")


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """What stays the same over the private steps of one round.

    cohort: the patients, hospital by hospital. hospitals names its hospitals (the planned ones by default); only
    their public numbers of patients are looked up, and only for ``local_steps > 1``. memory_bytes bounds what a
    step holds besides the patients. round: its number, on which the noise may depend. moments: whether the round asks
    for mean design rows (``client.train.moments``): ``weights`` is then ignored, and the noised sum is that of rows in
    the place of gradients. interactions: whether it asks for residuals by pairs of bins
    (``client.train.interactions``). All else is the same: sample, bound, noise, path.
    """

    terms: Terms
    layout: Layout
    cohort: Cohort
    round: int
    hospitals: Sequence[str] | None = None
    memory_bytes: int = MEMORY_BYTES
    moments: bool = False
    interactions: bool = False

    @property
    def public_patients(self) -> Floats:
        """Declared numbers of training patients, float64 [hospitals]; ValueError where hospitals and rows differ."""
        names = self.terms.hospitals if self.hospitals is None else self.hospitals
        count = self.cohort.hospital_count
        if len(names) != count:
            raise ValueError(
                f"{len(names)} hospitals named for {count} rows: name the hospitals of these rows"
            )
        return np.array([self.terms.training.public_patients[name] for name in names], np.float64)


def private_update(step: Step, weights: Floats, streams: Sequence[Keystream]) -> Numbers:
    """Compute what each hospital releases in one round: float64 [hospitals, parameters], int64 in secure sums.

    A real hospital goes through Opacus's optimiser (``client.train.patient_optimizer``), a simulation computes all
    hospitals as one batch; both draw the same noise. Integers go without it: torch's parameters are no integers.

    weights: float64 [1 or hospitals, parameters]. Row h draws sample and noise of step s from the child
    ``("step", s)`` of ``streams[h]`` alone.

    Returns, for ``local_steps == 1``, the noised clipped **sum of gradients**: to descend, subtract it. For
    more, the **difference of weights** after steps of ``local_learning_rate`` × noised sum ÷ the hospital's
    public patients: to descend, add it.

    Guarantee: every step of every hospital adds the round's noise (``terms.hospital_noise_stddev``) to a sum that one
    patient moves by at most ``privacy.clip_norm``, whether or not anybody was sampled. In secure sums that is the
    hospital's share of the noise, exactly discrete (``terms.update_noise``), and what it is added to is on its grid.
    """
    if step.terms.secure_sum is not None:
        return _summed_step(step, weights, streams)
    if step.cohort.hospital_count == 1 and not step.terms.simulation:
        return _update_with_opacus(step, weights, streams[0])
    return update_together(step, weights, streams)


def update_together(step: Step, weights: Floats, streams: Sequence[Keystream]) -> Floats:
    """Compute ``private_update`` for all hospitals as one batch, without torch."""
    training = step.terms.training
    if training.local_steps == 1:
        return _noised_step(step, weights, streams, 0)
    rates = training.local_learning_rate / step.public_patients[:, np.newaxis]
    current = np.repeat(weights, step.cohort.hospital_count // len(weights), axis=0)
    for number in range(training.local_steps):
        current = current - rates * _noised_step(step, current, streams, number)
    return current - weights


def bounded_sums(step: Step, weights: Floats, sampled: Booleans | None = None) -> Floats:
    """Sum each hospital's clipped gradients, mean rows, or residuals by pairs of bins: no noise yet.

    weights: float64 [1 or hospitals, parameters]. sampled: bool [patients], who takes part (all, if None). Returns
    float64 [hospitals, parameters]. Guarantee: that of ``clipped_sums``, for each of the three.
    """
    terms, layout, cohort, memory = step.terms, step.layout, step.cohort, step.memory_bytes
    # A little below clip_norm: the order of float64 additions may move the sum by the rest.
    model, clip_norm = terms.model, ordered_clip_norm(terms.privacy.clip_norm)
    if step.moments:
        return moment_sums(model, layout, cohort, clip_norm, sampled=sampled, memory_bytes=memory)
    if step.interactions:
        return interaction_sums(
            model, layout, weights, cohort, clip_norm, sampled=sampled, memory_bytes=memory
        )
    return clipped_sums(
        model,
        layout,
        weights,
        cohort,
        clip_norm,
        sampled=sampled,
        memory_bytes=memory,
        precondition=preconditioner_of(terms),
    )


def clipped_sums(
    model: ModelSettings,
    layout: Layout,
    weights: Floats,
    cohort: Cohort,
    clip_norm: float,
    engine: str = "auto",
    *,
    sampled: Booleans | None = None,
    dtype: DTypeLike = np.float32,
    memory_bytes: int = MEMORY_BYTES,
    precondition: Preconditioner | None = None,
) -> Floats:
    """Sum each hospital's clipped per-patient gradients: float64 [hospitals, parameters], no noise yet.

    weights: float64 [1 or hospitals, parameters]. sampled: bool [patients], who takes part (all, if None).
    dtype: of hidden layers' forward and backward pass; sums over patients are float64 whatever it is. Of a model with
    interactions it is the main effects' sum, and zero in the place of interactions, which have a round of their own.
    precondition: M g is clipped and summed in the place of each gradient g (an additive model's alone).
    Guarantee: adding or removing one patient, however many events, moves that hospital's row by at most
    clip_norm (in L2), but for the order of additions (``protocol.privacy.mechanism.ordered_clip_norm``), and no other
    row; a patient whose gradient is not finite adds zero.
    """
    if model.structure.interactions:
        found = clipped_sums(
            model.main,
            layout,
            weights[:, : main_count(model, layout)],
            cohort,
            clip_norm,
            engine,
            sampled=sampled,
            dtype=dtype,
            memory_bytes=memory_bytes,
            precondition=precondition,
        )
        return in_main_place(model, layout, found)
    engine = engine_of(model, engine)
    if engine != "closed_form":
        # Here and not above: the closed form must not wait seconds for torch and Opacus.
        from wardround.client.train.with_opacus import opacus_sums

        chosen_patients = cohort if sampled is None else cohort.take(np.flatnonzero(sampled))
        return opacus_sums(
            model, layout, weights, chosen_patients, clip_norm, engine, memory_bytes, precondition
        )
    totals = Totals(cohort.hospital_count, parameter_count(model, layout))
    for part in cached_parts(model, layout, cohort, dtype, memory_bytes, precondition):
        first, last = part.hospitals
        part_weights = weights if len(weights) == 1 else weights[first:last]
        chosen = part if sampled is None else part.keep(sampled[slice(*part.patients_from)])
        if model.structure.additive:
            found = clipped_sum_additive(chosen, part_weights, clip_norm)
        else:
            found = clipped_sum_dense(model, layout, chosen, part_weights, clip_norm, dtype)
        totals.add(first, found)
    return totals.sums() if precondition is None else precondition.apply(totals.sums())


def engine_of(model: ModelSettings, engine: str = "auto") -> str:
    """Choose the engine: the closed form, which knows all models that ship, unless another is asked for.

    A user's own module goes by hooks: a gradient per patient, in one pass whatever those gradients are.
    """
    require(engine in ENGINES, "engine", engine, f"must be one of {', '.join(ENGINES)}")
    if model.structure.own_module:
        require(engine != "closed_form", "engine", engine, f"there is none for {model.kind}")
        return "hooks" if engine == "auto" else engine
    return "closed_form" if engine == "auto" else engine


def draw_sample(cohort: Cohort, rate: float, streams: Sequence[Keystream]) -> Booleans | None:
    """Poisson draw over patients, bool [patients]; None for full participation.

    Each patient is drawn by their token and their hospital's stream alone: who else is there changes nothing.
    """
    if rate >= 1:
        return None
    # Independent draws, not a batch of fixed size: the accountants' amplification by sampling is that of Poisson draws.
    bounds = zip(cohort.patients_from[:-1], cohort.patients_from[1:], strict=True)
    parts = [s.keyed_uniform(cohort.tokens[a:b]) for s, (a, b) in zip(streams, bounds, strict=True)]
    return np.asarray(np.concatenate(parts) < rate)


def _summed_step(step: Step, weights: Floats, streams: Sequence[Keystream]) -> Integers:
    """Draw, bound and sum, put on the grid, add the share of noise: terms of secure sums have one local step."""
    children, noise = [stream.child("step", 0) for stream in streams], step.terms.update_noise(step.round)
    sums = _drawn_sums(step, weights, children)
    return noised_integers(sums, noise.grid, noise.shares.variance, children)


def _noised_step(step: Step, weights: Floats, streams: Sequence[Keystream], number: int) -> Floats:
    """Draw, bound and sum, add noise: the round's step ``number``, counted from 0."""
    children = [stream.child("step", number) for stream in streams]
    stddev = step.terms.hospital_noise_stddev(step.round)
    return add_noise(_drawn_sums(step, weights, children), stddev, children)


def _drawn_sums(step: Step, weights: Floats, children: Sequence[Keystream]) -> Floats:
    """Draw the step's patients, then sum what they give."""
    return bounded_sums(step, weights, draw_sample(step.cohort, step.terms.training.sampling_rate, children))


def _update_with_opacus(step: Step, weights: Floats, stream: Keystream) -> Floats:
    """Compute a real hospital's round through Opacus's optimiser; only the clipped sum is ours."""
    from wardround.client.train.with_opacus import update_with_opacus

    def clipped_sum(current: Floats, child: Keystream) -> Floats:
        return np.asarray(_drawn_sums(step, current[np.newaxis], [child])[0])

    terms = step.terms
    # The denominator matters to several local steps only; one step releases the sum itself.
    known = step.hospitals is not None or terms.training.local_steps > 1 or len(terms.hospitals) == 1
    patients = int(step.public_patients[0]) if known else 1
    stddev = terms.hospital_noise_stddev(step.round)
    update = update_with_opacus(terms, step.layout, weights[0], patients, stddev, stream, clipped_sum)
    return np.asarray(update)[np.newaxis]
