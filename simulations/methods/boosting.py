"""Private additive boosting by noised histogram sums, federated.

DP-EBM: Nori, Caruana, Bu, Shen and Kulkarni 2021, "Accuracy, interpretability, and differential privacy via
explainable boosting", Alg. 2: cyclic over features, residual sums with noise. Each public bin is a leaf: they
are few, and trees of random splits that join them (3, 4 or 6 leaves) lost on synthetic federations.
Summed over hospitals as in Maddock et al. 2022, "Federated boosted decision trees with differential privacy".
Here the unit is the patient: each adds the mean over at most K events, clipped in L2 over the histogram's bins.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.privacy.accounting import noise_multiplier_for
from wardround.protocol.privacy.mechanism import clip_factors
from wardround.protocol.terms.settings import PrivacySettings
from wardround.simulations.federation.federation import Federation
from wardround.simulations.methods.additive import clip_norm_at
from wardround.simulations.methods.channel import Attempt, Channel

VALUE_BINS = 8
"""Equal public bins of a ranged value in [−1, 1]."""
CURVATURE = 0.2


@dataclass(frozen=True, kw_only=True)
class BoostingSettings:
    """Chosen on synthetic federations.

    epochs: passes over all fields; count_steps: what the release of all counts costs, in histogram releases.
    clip_norm bounds a patient's residual histogram; a leaf's effect is learning_rate × noised residual sum ÷
    (0.2 × noised count + ridge), the ridge being the noise of all epochs' mean ÷ effect_stddev.
    """

    epochs: int = 3
    count_steps: float = 2.0
    clip_norm: float = 0.5
    learning_rate: float = 0.8
    effect_stddev: float = 0.1


@dataclass(frozen=True, eq=False)
class Histogram:
    """One field's bins: bins int64 [events], from 0, and their number.

    cells: int64 [events], the patient's own bin that each event falls into, numbered over all patients;
    owners: int64 [cells], the patient of each. Fixed by the design, as bins are.
    """

    bins: Integers
    size: int
    cells: Integers
    owners: Integers

    @classmethod
    def of(cls, cohort: Cohort, bins: Integers, size: int) -> "Histogram":
        """Number the cells once for all rounds."""
        places, cells = np.unique(cohort.patient_of_event * size + bins, return_inverse=True)
        return cls(bins, size, cells, places // size)


def boosting(federation: Federation, privacy: PrivacySettings, seed: int) -> Attempt:
    """Boost with the chosen settings."""
    return boost(BoostingSettings(), federation, privacy, seed)


def boost(settings: BoostingSettings, federation: Federation, privacy: PrivacySettings, seed: int) -> Attempt:
    """Fit intercept and effects in cycles; every histogram is one release."""
    training, contract = federation.training, federation.contract
    channel = Channel.open(federation, privacy, seed, "boosting")
    known, asked = histograms(contract, training), histograms(contract, federation.heldout)
    releases = settings.epochs * len(known) + math.ceil(settings.count_steps)
    multiplier = noise_multiplier_for(privacy.epsilon, privacy.delta, 1.0, releases)
    # k Gaussian releases at σ cost what one at σ ÷ √k does: the counts pay for count_steps of them.
    counts = _counts(known, training, channel, multiplier / math.sqrt(settings.count_steps))
    clip_norm = clip_norm_at(contract, settings.clip_norm)
    stddev = channel.mean_stddev(clip_norm, multiplier)
    ridge = stddev / math.sqrt(settings.epochs) / settings.effect_stddev
    logits, found = np.zeros(training.event_count), np.zeros(federation.heldout.event_count)
    for _ in range(settings.epochs):
        for field, target, count in zip(known, asked, counts, strict=True):
            # Cyclic: each field is fitted to what the fields before it have left over.
            residuals = training.labels - expit(logits)
            sums = residual_sums(field, residuals, training, clip_norm)
            mean = channel.mean(sums, clip_norm, multiplier)
            effect = settings.learning_rate * mean / (CURVATURE * count + ridge)
            logits += effect[field.bins]
            found += effect[target.bins]
    return Attempt(found, channel.spent)


def histograms(contract: Contract, cohort: Cohort) -> list[Histogram]:
    """All fields: one bin for all (the intercept), features, crosses, ranged values."""
    layout = contract.layout
    bins = {field.name: cohort.bins[:, index].astype(np.int64) for index, field in enumerate(layout.features)}
    sizes = {field.name: field.size for field in layout.features}
    found = [Histogram.of(cohort, np.zeros(cohort.event_count, np.int64), 1)]
    found += [Histogram.of(cohort, bins[name], sizes[name]) for name in sizes]
    for cross in layout.crosses:
        first, second = cross.parents
        found.append(Histogram.of(cohort, bins[first] * sizes[second] + bins[second], cross.size))
    for column in cohort.values.T:
        # A value of exactly 1 belongs to the last bin.
        value_bins = np.minimum((column + 1) / 2 * VALUE_BINS, VALUE_BINS - 1).astype(np.int64)
        found.append(Histogram.of(cohort, value_bins, VALUE_BINS))
    return found


def residual_sums(field: Histogram, residuals: Floats, cohort: Cohort, clip_norm: float) -> Floats:
    """Sum per-patient mean residuals by hospital and bin: float64 [hospitals, size].

    Guarantee: one patient moves one row by at most clip_norm in L2.
    """
    shares = 1.0 / cohort.events_per_patient[cohort.patient_of_event]
    cells: Floats = np.bincount(field.cells, residuals * shares).astype(np.float64)
    # The norm is of a patient's whole histogram: events that share a bin have been added up.
    norms = np.sqrt(np.bincount(field.owners, cells**2, minlength=cohort.patient_count))
    amounts = cells * clip_factors(norms, clip_norm)[field.owners]
    bins = np.empty(len(cells), np.int64)
    bins[field.cells] = field.bins
    places = cohort.hospital_of_patient[field.owners] * field.size + bins
    sums = np.bincount(places, amounts, minlength=cohort.hospital_count * field.size)
    return sums.reshape(cohort.hospital_count, field.size).astype(np.float64)


def _counts(known: Sequence[Histogram], cohort: Cohort, channel: Channel, multiplier: float) -> list[Floats]:
    """Noised shares of every bin, all fields in one release: a patient's part has norm at most √fields."""
    ones = np.ones(cohort.event_count)
    tables = np.hstack([residual_sums(field, ones, cohort, 1.0) for field in known])
    # Noise can carry a count below zero, and a negative denominator would turn a leaf's step round.
    released = np.maximum(channel.mean(tables, math.sqrt(len(known)), multiplier), 0.0)
    return np.split(released, np.cumsum([field.size for field in known])[:-1])
